"""An export that a worker writes: whole, of one instant, its owner's alone; killed anywhere, it is taken over."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import func, select

from tests import factories
from tests.forking import was_killed
from tests.services.charges.crashing import fork_dying
from tests.services.exports.wanting import csv_rows, want
from webapp import clock, tenancy
from webapp.crypto import DecryptionError
from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.gateways import document_store
from webapp.models.exports import KEPT, Export, ExportFormat
from webapp.models.identity import User
from webapp.models.journal import JournalEntry
from webapp.models.runs import RunStatus
from webapp.services.clients.selection import ClientsView
from webapp.services.exports import carrying_out, commands, keeping

CLIENTS = 7


@pytest.fixture
def owner(app: Flask, committed: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[User]:
    """Somebody with clients, really committed, whose exports are read in small batches."""
    monkeypatch.setattr("webapp.services.exports.reading.BATCH", 3)
    monkeypatch.setattr(carrying_out, "EVERY", timedelta())
    organisation = factories.OrganisationFactory()
    tenancy.enter_organisation(organisation.id)
    factories.CompanyFactory(is_default=True)
    user = factories.UserFactory()
    factories.ClientFactory.create_batch(CLIENTS)
    db.session.commit()
    yield user
    tenancy.enter_organisation(None)


def ask(owner: User, **asked: Any) -> Export:
    wanted = want("clients", ClientsView(), by=owner, **asked)
    return commands.start(wanted, CLIENTS, by=owner, at=clock.now())


def read(export: Export, owner: User) -> bytes:
    file = keeping.open_file(export.id, owner=owner)
    content = b"".join(file.chunks)
    assert len(content) == file.size
    return content


def files(owner: User) -> list[str]:
    folder = document_store.path_of("x", organisation_id=owner.organisation_id).parent
    return sorted(path.name for path in folder.glob("*")) if folder.exists() else []


def entries() -> int:
    return db.session.execute(
        select(func.count()).where(JournalEntry.organisation_id == tenancy.current_organisation_id())
    ).scalar_one()


@pytest.mark.parametrize("file_format", list(ExportFormat))
def test_a_file_is_written_sealed_and_noted(owner: User, file_format: ExportFormat) -> None:
    export = ask(owner, file_format=file_format)
    carrying_out.write(owner.organisation_id, export.id)
    carrying_out.write(owner.organisation_id, export.id)  # a bell that rings twice
    found = keeping.find_export(export.id, owner=owner)
    assert (found.status, found.written, found.total) == (RunStatus.SUCCESS, CLIENTS, CLIENTS)
    content = read(found, owner)
    if file_format is ExportFormat.CSV:
        assert len(csv_rows(content)) == CLIENTS + 1
    assert files(owner) == [found.file_name], "nothing in clear is left"
    at_rest = document_store.path_of(found.file_name, organisation_id=owner.organisation_id).read_bytes()
    assert b"DUPONT" not in at_rest
    assert b"PK" not in at_rest[:8]
    assert entries() == 1


def test_rows_that_come_while_it_is_written_are_not_in_it(
    app: Flask, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Seen to fail at another isolation level: the count is then that of after.
    count = carrying_out.count_rows

    def count_and_let_others_write(*arguments: Any, **keywords: Any) -> int:
        number = count(*arguments, **keywords)
        factories.ClientFactory.create_batch(4)
        db.session.commit()
        return number

    monkeypatch.setattr(carrying_out, "count_rows", count_and_let_others_write)
    export = ask(owner)
    carrying_out.write(owner.organisation_id, export.id)
    found = keeping.find_export(export.id, owner=owner)
    assert (found.status, found.total) == (RunStatus.SUCCESS, CLIENTS)
    assert len(csv_rows(read(found, owner))) == CLIENTS + 1


def test_a_killed_worker_is_followed_by_another(owner: User) -> None:
    killed = 0
    for fatal in range(40):
        export_id = ask(owner).id
        if not kill_at(owner.organisation_id, export_id, fatal):
            break
        killed += 1
        assert carrying_out.sweep(at=clock.now()) in (0, 1)
        clock.start_at(clock.now() + carrying_out.LEASE + timedelta(minutes=1))
        db.session.execute(select(Export.id).with_for_update())  # until PostgreSQL has seen that the process is dead
        db.session.commit()
        carrying_out.write(owner.organisation_id, export_id)
        tenancy.enter_organisation(owner.organisation_id)
        db.session.expire_all()
        found = keeping.find_export(export_id, owner=owner)
        assert found.status is RunStatus.SUCCESS, fatal
        assert len(csv_rows(read(found, owner))) == CLIENTS + 1, fatal
        assert [name for name in files(owner) if name.startswith(export_id.hex)] == [found.file_name], fatal
        assert entries() == killed, "noted once, whoever wrote it"
        db.session.commit()
    assert killed >= 10, "claim, progress and end are reached"


def kill_at(organisation_id: UUID, export_id: UUID, fatal: int) -> bool:
    """Write in a process of its own that dies at the point; whether it came to it."""
    return was_killed(fork_dying(lambda _: carrying_out.write(organisation_id, export_id), fatal=fatal))


def test_who_was_given_up_for_dead_writes_nothing_more(owner: User) -> None:
    # Seen to fail without the fence in ``_change``.
    export = ask(owner)
    first = carrying_out._claim(export.id, at=clock.now())
    clock.start_at(clock.now() + carrying_out.LEASE + timedelta(minutes=1))
    second = carrying_out._claim(export.id, at=clock.now())
    assert first
    assert second
    with pytest.raises(carrying_out.LostClaimError):
        carrying_out._write_file(first)
    carrying_out._write_file(second)
    found = keeping.find_export(export.id, owner=owner)
    assert (found.status, found.fence) == (RunStatus.SUCCESS, 2)
    assert files(owner) == [found.file_name]
    assert entries() == 1


def test_who_stops_in_the_middle_leaves_a_connection_that_works(owner: User) -> None:
    with db.engine.connect() as connection:
        rows = carrying_out.read_rows(connection, want("clients", ClientsView(), by=owner), at=clock.now())
        assert len(next(rows)) == 3
        rows.close()
        connection.rollback()
        assert connection.execute(select(1)).scalar_one() == 1


def test_what_kills_its_workers_is_given_up(owner: User) -> None:
    export = ask(owner)
    for _ in range(carrying_out.MOST_CLAIMS):
        assert carrying_out._claim(export.id, at=clock.now())
        clock.start_at(clock.now() + carrying_out.LEASE + timedelta(minutes=1))
    carrying_out.write(owner.organisation_id, export.id)
    found = keeping.find_export(export.id, owner=owner)
    assert (found.status, found.error) == (RunStatus.FAILED, carrying_out.GIVEN_UP)
    with pytest.raises(NotFoundError):
        keeping.open_file(export.id, owner=owner)


def test_a_list_that_fails_says_so(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    export = ask(owner)
    monkeypatch.setattr(carrying_out, "read_rows", lambda *_, **__: (batch for batch in ()))
    carrying_out.write(owner.organisation_id, export.id)
    found = keeping.find_export(export.id, owner=owner)
    assert found.status is RunStatus.FAILED
    assert "référence" in (found.error or "")
    assert (files(owner), entries()) == ([], 0)


def test_files_go_after_a_week(owner: User) -> None:
    export = ask(owner)
    carrying_out.write(owner.organisation_id, export.id)
    assert carrying_out.prune(at=clock.now() + KEPT - timedelta(minutes=1)) == 0
    assert carrying_out.prune(at=clock.now() + KEPT + timedelta(minutes=1)) == 1
    assert files(owner) == []
    with pytest.raises(NotFoundError):
        keeping.find_export(export.id, owner=owner)


@pytest.mark.parametrize(
    "spoil",
    [lambda b: b[:-40], lambda b: b[:60] + b"x" + b[61:], lambda b: b[: 4 + 64 + 16]],
    ids=["cut", "altered", "ends early"],
)
def test_a_file_that_was_altered_or_cut_does_not_open(app: Flask, organisation_id: UUID, spoil: Any) -> None:
    key = bytes(32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(document_store, "CHUNK", 64)
        with document_store.SealedFile("file", organisation_id=organisation_id, key=key) as file:
            file.write(b"a" * 200)
        assert document_store.sealed_size("file", organisation_id=organisation_id) == 200
    path = document_store.path_of("file", organisation_id=organisation_id)
    assert b"".join(document_store.read_sealed("file", organisation_id=organisation_id, key=key)) == b"a" * 200
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(DecryptionError):
        b"".join(document_store.read_sealed("file", organisation_id=organisation_id, key=key))
    path.unlink()
