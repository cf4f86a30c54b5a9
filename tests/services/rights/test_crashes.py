"""kill -9 before any commit of an erasure: nothing is gone by half, and what was begun is ended, files included."""

from pathlib import Path

from flask import Flask
from sqlalchemy import select

from tests import factories
from tests.concurrency import at_once
from tests.conftest import NOW, Cast
from tests.forking import lives
from tests.services.merging.test_crashes import COMMITS, recover
from tests.services.rights.markers import MARK, find_marks
from tests.services.rights.test_erasing import LATER
from webapp import tenancy
from webapp.extensions import db
from webapp.gateways import document_store
from webapp.models.clients import Client
from webapp.models.documents import Document
from webapp.models.identity import User
from webapp.models.journal import JournalEntry
from webapp.models.operations import Operation, OperationState
from webapp.services.clients import documents
from webapp.services.operations.carry_out import carry_out
from webapp.services.rights import commands, erasing


def _person(by: User) -> tuple[Client, Path]:
    client = factories.ClientFactory(last_name=MARK, first_name="Zoé")
    db.session.commit()
    document: Document = documents.add_document(client.id, f"{MARK}.pdf", b"%PDF-1.7 zz", by=by, at=NOW)
    return client, document_store.path_of(document.stored_as, organisation_id=document.organisation_id)


def _erase(client_id: object, version: int, admin_id: object) -> None:
    by = db.session.scalars(select(User).where(User.id == admin_id)).one()
    commands.erase(client_id, typed=f"{MARK} zoe", version=version, by=by, at=LATER)  # type: ignore[arg-type]


def test_killed_anywhere_it_is_erased_whole_or_not_at_all(committed: None) -> None:
    cast: Cast = factories.make_cast(Cast)
    admin_id = cast.admin.id
    db.session.commit()
    outcomes = set()
    for fatal in range(COMMITS):
        client, path = _person(db.session.scalars(select(User).where(User.id == admin_id)).one())
        client_id, version = client.id, client.version
        db.session.commit()
        lived = lives(lambda: _erase(client_id, version, admin_id), fatal=fatal)  # noqa: B023  called at once
        recover()
        db.session.expire_all()
        client = db.session.scalars(select(Client).where(Client.id == client_id)).one()
        is_erased = client.erased_at is not None
        assert is_erased is (find_marks() == set())
        assert is_erased is not path.exists()
        outcomes.add((lived, is_erased))
        db.session.commit()
        if not is_erased:
            _erase(client_id, version, admin_id)
        if lived:
            break
    assert outcomes == {(False, False), (False, True), (True, True)}
    ended = set(db.session.scalars(select(Operation.state)))
    assert ended == {OperationState.DONE}
    assert db.session.query(JournalEntry).count() == db.session.query(Client).count()


def test_worked_on_twice_it_is_erased_once(committed: None) -> None:
    cast: Cast = factories.make_cast(Cast)
    client, path = _person(cast.admin)
    db.session.commit()
    operation_id = commands.erase_many([client.id], "essai", typed="1", by=cast.admin, at=LATER)
    for _ in range(2):
        carry_out(tenancy.current_organisation_id(), operation_id)
    assert db.session.query(JournalEntry).count() == 1
    assert not path.exists()


def test_of_two_windows_one_erases(app: Flask, committed: None) -> None:
    cast: Cast = factories.make_cast(Cast)
    client, _ = _person(cast.admin)
    client_id, version, admin_id = client.id, client.version, cast.admin.id
    db.session.commit()
    ends = at_once(
        app, tenancy.current_organisation_id(), *(lambda: _erase(client_id, version, admin_id) for _ in range(2))
    )
    assert "done" in ends
    db.session.expire_all()
    assert db.session.query(JournalEntry).count() == 1
    assert find_marks() == set()


def test_files_of_one_that_was_given_up_go_all_the_same(committed: None) -> None:
    cast: Cast = factories.make_cast(Cast)
    client, path = _person(cast.admin)
    db.session.commit()
    operation_id = commands.erase_many([client.id], "essai", typed="1", by=cast.admin, at=LATER)
    organisation_id = tenancy.current_organisation_id()
    lives(lambda: carry_out(organisation_id, operation_id), fatal=2)  # the commit that says that the files are gone
    path.write_bytes(b"as if it had died before it came to them")
    db.session.expire_all()
    operation = db.session.scalars(select(Operation).where(Operation.id == operation_id)).one()
    assert (operation.settings["files"], path.exists()) == ([path.name], True)
    operation.state, operation.finished_at = OperationState.FAILED, LATER
    db.session.commit()
    assert erasing.sweep(at=LATER) == 1
    assert not path.exists()
    assert erasing.sweep(at=LATER) == 0
