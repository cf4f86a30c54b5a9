"""Two people at the same client in the same instant, or at the same text."""

from collections.abc import Callable
from functools import partial
from uuid import UUID

import pytest
from flask import Flask

from tests import concurrency, factories
from tests.conftest import NOW, Cast
from tests.services.consents.conftest import fields
from webapp.extensions import db
from webapp.models.consents import ConsentPurpose, ConsentState, ConsentWording
from webapp.models.identity import User
from webapp.services.clients.documents import remove_document
from webapp.services.consents.listing import find_present, list_history
from webapp.services.consents.recording import Upload, record
from webapp.services.consents.wordings import publish

AtOnce = Callable[..., list[str]]
EMAIL = ConsentPurpose.PROSPECTION_EMAIL


@pytest.fixture
def cast(committed: None) -> Cast:
    """The cast, really committed."""
    found: Cast = factories.make_cast(Cast)
    return found


@pytest.fixture
def at_once(app: Flask, cast: Cast) -> AtOnce:
    """Do things at the same time, each by the admin in a session of its own; how each ended."""
    organisation_id, user_id = cast.organisation.id, cast.admin.id

    def by_admin(act: Callable[[User], object]) -> None:
        act(db.session.get_one(User, (organisation_id, user_id)))

    return lambda *acts: concurrency.at_once(app, organisation_id, *(partial(by_admin, act) for act in acts))


@pytest.fixture
def client_id(cast: Cast) -> UUID:
    """A client."""
    made = factories.ClientFactory()
    db.session.commit()
    found: UUID = made.id
    return found


def test_two_who_withdraw_note_it_once(at_once: AtOnce, cast: Cast, client_id: UUID) -> None:
    record(client_id, fields(), by=cast.admin, at=NOW)
    no = fields(agrees=False)
    assert at_once(*[lambda by: record(client_id, no, by=by, at=NOW)] * 3) == ["done"] * 3
    db.session.rollback()
    assert [consent.state.value for consent in list_history(client_id)] == ["withdrawn", "given"]


def test_a_yes_and_a_no_leave_both_and_the_last_holds(at_once: AtOnce, client_id: UUID) -> None:
    at_once(
        lambda by: record(client_id, fields(), by=by, at=NOW),
        lambda by: record(client_id, fields(agrees=False), by=by, at=NOW),
    )
    db.session.rollback()
    history = list_history(client_id)
    present = find_present(client_id)[EMAIL]
    assert {consent.state for consent in history} <= set(ConsentState)
    assert len(history) == 2
    assert present is history[0]


def test_two_who_publish_a_text_do_not_overwrite_each_other(at_once: AtOnce, cast: Cast) -> None:
    acts = [
        lambda by, words=words: publish(EMAIL, words * 10, seen_version=1, by=by, at=NOW) for words in ("un ", "deux ")
    ]
    assert at_once(*acts) == ["NewerWordingError", "done"]
    db.session.rollback()
    assert sorted(wording.version for wording in db.session.query(ConsentWording)) == [1, 2]


def test_first_uses_of_our_text_store_it_once(at_once: AtOnce, cast: Cast) -> None:
    clients = [client.id for client in factories.ClientFactory.create_batch(3)]
    db.session.commit()
    acts = [lambda by, each=each: record(each, fields(), by=by, at=NOW) for each in clients]
    assert at_once(*acts) == ["done"] * 3
    db.session.rollback()
    assert db.session.query(ConsentWording).count() == 1


def test_a_proof_is_not_taken_away_while_it_is_named(at_once: AtOnce, cast: Cast, client_id: UUID) -> None:
    upload = Upload("bulletin.pdf", b"%PDF-1.7\n")
    first = record(client_id, fields(upload=upload, purpose=ConsentPurpose.PARTNERS), by=cast.admin, at=NOW)
    document_id = first.document_id
    assert document_id is not None
    ended = at_once(
        lambda by: record(client_id, fields(document_id=document_id), by=by, at=NOW),
        lambda by: remove_document(client_id, document_id, by=by, at=NOW),
    )
    assert ended == ["ProofError", "done"]
