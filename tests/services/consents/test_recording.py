"""Noting what a client said: which state comes of it, what proves it, and what holds afterwards."""

from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import factories
from tests.conftest import NOW, Cast
from tests.examples import some
from tests.queries import recorded_queries
from tests.services.consents.conftest import fields, note
from webapp import tenancy
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.clients import Client
from webapp.models.consents import Consent, ConsentChannel, ConsentPurpose, ConsentState, ConsentWording
from webapp.models.documents import Document
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.clients.documents import ProofError, remove_document
from webapp.services.consents.listing import find_present, has_given, list_history
from webapp.services.consents.recording import Upload, record
from webapp.services.consents.wordings import SHIPPED

EMAIL = ConsentPurpose.PROSPECTION_EMAIL
PDF = b"%PDF-1.7\n"


def _state(client: Client, purpose: ConsentPurpose = EMAIL) -> ConsentState | None:
    present = find_present(client.id)[purpose]
    return present.state if present else None


def test_a_client_who_never_said_anything_has_given_nothing(subject: Client) -> None:
    assert find_present(subject.id) == dict.fromkeys(ConsentPurpose)
    assert has_given([subject.id], EMAIL) == set()


def test_a_yes_keeps_the_text_who_noted_it_and_is_told(subject: Client, cast: Cast) -> None:
    consent = note(subject, cast, at=NOW)
    assert (consent.state, consent.at, consent.user_id) == (ConsentState.GIVEN, NOW, cast.commercial.id)
    assert consent.wording is not None
    assert (consent.wording.version, consent.wording.text) == (1, SHIPPED[EMAIL])
    event = db.session.query(TimelineEvent).filter_by(client_id=subject.id).one()
    assert event.kind is EventKind.CONSENT_GIVEN
    assert event.body == "Prospection par e-mail · Téléphone"
    assert _state(subject, ConsentPurpose.PROSPECTION_SMS) is None  # a yes is for one purpose


@pytest.mark.parametrize(
    ("said", "states"),
    [
        ("no", ["refused"]),
        ("no no", ["refused"]),
        ("yes no", ["given", "withdrawn"]),
        ("yes no no", ["given", "withdrawn"]),
        ("yes yes", ["given", "given"]),
        ("no yes", ["refused", "given"]),
        ("yes no yes no", ["given", "withdrawn", "given", "withdrawn"]),
    ],
)
def test_a_no_withdraws_a_yes_refuses_without_one_and_adds_nothing_to_a_no(
    subject: Client, cast: Cast, said: str, states: list[str]
) -> None:
    for hour, word in enumerate(said.split()):
        note(subject, cast, at=NOW + timedelta(hours=hour), agrees=word == "yes")
    assert [consent.state.value for consent in reversed(list_history(subject.id))] == states
    assert _state(subject) == states[-1]


def test_telephone_prospection_is_opposed_without_a_yes_before(subject: Client, cast: Cast) -> None:
    phone = ConsentPurpose.PROSPECTION_PHONE
    note(subject, cast, at=NOW, agrees=False, purpose=phone)
    assert _state(subject, phone) is ConsentState.REFUSED
    assert db.session.query(TimelineEvent).one().kind is EventKind.CONSENT_REFUSED


def test_what_is_noted_later_and_was_said_before_changes_nothing_of_today(subject: Client, cast: Cast) -> None:
    note(subject, cast, at=NOW, agrees=False)
    note(subject, cast, at=NOW, channel=ConsentChannel.PAPER, said_on=date(2026, 11, 3), note="classeur 3")
    assert _state(subject) is ConsentState.REFUSED
    assert [consent.state.value for consent in list_history(subject.id)] == ["refused", "given"]


def test_of_a_day_gone_by_a_no_comes_after_a_yes(subject: Client, cast: Cast) -> None:
    day = date(2026, 11, 3)
    no = note(subject, cast, at=NOW, agrees=False, said_on=day)
    yes = note(subject, cast, at=NOW, said_on=day, note="au salon")
    assert yes.at == datetime(2026, 11, 2, 23, tzinfo=UTC)  # midnight in Paris
    assert no.at == datetime(2026, 11, 3, 22, 59, 59, 999999, tzinfo=UTC)
    assert _state(subject) is ConsentState.REFUSED


def test_the_future_is_refused(subject: Client, cast: Cast) -> None:
    late = NOW.replace(hour=23, minute=30)  # already the 21st in Paris
    note(subject, cast, at=late, said_on=date(2026, 11, 21))
    with pytest.raises(InvalidInputError, match="à venir") as refused:
        note(subject, cast, at=late, said_on=date(2026, 11, 22))
    assert refused.value.field == "said_on"
    assert len(list_history(subject.id)) == 1


class TestProof:
    def test_a_yes_on_paper_wants_one_and_a_no_does_not(self, subject: Client, cast: Cast) -> None:
        with pytest.raises(InvalidInputError, match="sur papier se prouve") as refused:
            note(subject, cast, at=NOW, channel=ConsentChannel.PAPER)
        assert refused.value.field == "note"
        assert list_history(subject.id) == []
        note(subject, cast, at=NOW, channel=ConsentChannel.PAPER, agrees=False)
        note(subject, cast, at=NOW, channel=ConsentChannel.PAPER, note=" bulletin 12,\n classeur 3 ")
        assert list_history(subject.id)[0].note == "bulletin 12, classeur 3"

    def test_a_file_becomes_a_document_that_stays(self, subject: Client, cast: Cast) -> None:
        consent = note(subject, cast, at=NOW, channel=ConsentChannel.PAPER, upload=Upload("bulletin.pdf", PDF))
        document = db.session.query(Document).one()
        assert consent.document_id == document.id
        with pytest.raises(ProofError):
            remove_document(subject.id, document.id, by=cast.admin, at=NOW)
        assert db.session.query(Document).count() == 1

    def test_a_file_that_is_refused_leaves_nothing(self, subject: Client, cast: Cast) -> None:
        with pytest.raises(InvalidInputError, match="n’est pas ce que dit son nom") as refused:
            note(subject, cast, at=NOW, upload=Upload("bulletin.pdf", b"<html>"))
        assert refused.value.field == "file"
        assert list_history(subject.id) == []
        assert db.session.query(TimelineEvent).count() == 0

    def test_the_document_of_another_client_is_none(self, subject: Client, cast: Cast) -> None:
        other = factories.ClientFactory()
        mine = note(other, cast, at=NOW, channel=ConsentChannel.PAPER, upload=Upload("bulletin.pdf", PDF)).document_id
        with pytest.raises(InvalidInputError, match="l’un de ceux du client") as refused:
            note(subject, cast, at=NOW, document_id=mine)
        assert refused.value.field == "document_id"
        assert note(other, cast, at=NOW, document_id=mine).document_id == mine


class TestWording:
    def _publish(self, version: int, active_from: datetime, purpose: ConsentPurpose = EMAIL) -> ConsentWording:
        wording = ConsentWording(purpose=purpose, version=version, text=f"Texte {version}", active_from=active_from)
        db.session.add(wording)
        db.session.flush()
        return wording

    def test_it_is_the_one_that_held_when_the_client_agreed(self, subject: Client, cast: Cast) -> None:
        first = self._publish(1, NOW - timedelta(days=20))
        second = self._publish(2, NOW - timedelta(days=5))
        self._publish(3, NOW + timedelta(days=5))
        assert note(subject, cast, at=NOW).wording_id == second.id
        assert note(subject, cast, at=NOW, said_on=date(2026, 11, 10)).wording_id == first.id
        assert note(subject, cast, at=NOW, wording_id=first.id).wording_id == first.id

    def test_one_that_did_not_hold_yet_or_is_for_something_else_is_refused(self, subject: Client, cast: Cast) -> None:
        today = self._publish(1, NOW - timedelta(hours=1))
        sms = self._publish(1, NOW - timedelta(days=1), ConsentPurpose.PROSPECTION_SMS)
        with pytest.raises(InvalidInputError, match="pas encore en vigueur"):
            note(subject, cast, at=NOW, wording_id=today.id, said_on=date(2026, 11, 19))
        with pytest.raises(InvalidInputError, match="l’un des textes de cette finalité"):
            note(subject, cast, at=NOW, wording_id=sms.id)

    def test_where_none_of_ours_held_the_yes_is_proved(self, subject: Client, cast: Cast) -> None:
        self._publish(1, NOW - timedelta(days=1))
        for said in ({"said_on": date(2020, 1, 1)}, {"is_other_wording": True}):
            with pytest.raises(InvalidInputError, match="Aucun de vos textes") as refused:
                note(subject, cast, at=NOW, **said)
            assert refused.value.field == "note"
            assert note(subject, cast, at=NOW, note="formulaire du salon", **said).wording_id is None

    def test_a_no_has_none(self, subject: Client, cast: Cast) -> None:
        assert note(subject, cast, at=NOW, agrees=False).wording_id is None


def test_a_form_sent_twice_is_noted_once(subject: Client, cast: Cast) -> None:
    consent_id = new_id()
    for _ in range(2):
        consent = record(subject.id, fields(), consent_id=consent_id, by=cast.commercial, at=NOW)
        assert consent.id == consent_id
    assert len(list_history(subject.id)) == 1
    with pytest.raises(NotFoundError):
        record(factories.ClientFactory().id, fields(), consent_id=consent_id, by=cast.commercial, at=NOW)


def test_the_client_of_another_organisation_is_not_found(subject: Client, cast: Cast) -> None:
    note(subject, cast, at=NOW)
    with tenancy.organisation(cast.other_organisation.id):
        with pytest.raises(NotFoundError):
            record(subject.id, fields(), by=cast.outsider, at=NOW)
        assert find_present(subject.id) == dict.fromkeys(ConsentPurpose)
        assert has_given([subject.id], EMAIL) == set()
    with pytest.raises(NotFoundError):
        record(uuid4(), fields(), by=cast.commercial, at=NOW)


def test_many_are_asked_for_in_one_statement(cast: Cast) -> None:
    clients = factories.ClientFactory.create_batch(6)
    for client in clients[:4]:
        note(client, cast, at=NOW)
    note(clients[0], cast, at=NOW, agrees=False)
    note(clients[5], cast, at=NOW, purpose=ConsentPurpose.PARTNERS)
    ids = [client.id for client in clients]
    with recorded_queries() as queries:
        assert has_given(ids, EMAIL) == set(ids[1:4])
    assert len(queries) == 1


@settings(max_examples=some(100), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    said=st.lists(
        st.tuples(
            st.sampled_from([EMAIL, ConsentPurpose.SATISFACTION]),
            st.booleans(),
            st.integers(min_value=0, max_value=4),
        ),
        max_size=12,
    )
)
def test_what_was_said_last_holds_in_whatever_order_it_is_noted(
    cast: Cast, said: list[tuple[ConsentPurpose, bool, int]]
) -> None:
    client = factories.ClientFactory()
    for purpose, agrees, days in said:
        day = date(2026, 11, 20 - days)
        note(client, cast, at=NOW, purpose=purpose, agrees=agrees, said_on=day, note="vu")
    for purpose in ConsentPurpose:
        rows = db.session.query(Consent).filter_by(client_id=client.id, purpose=purpose).all()
        latest = max(rows, key=lambda consent: (consent.at, consent.id), default=None)
        assert find_present(client.id)[purpose] is latest
        given = latest is not None and latest.state is ConsentState.GIVEN
        assert (client.id in has_given([client.id], purpose)) is given
        ordered = sorted(rows, key=lambda consent: (consent.at, consent.id))
        assert given is bool(ordered and ordered[-1].state is ConsentState.GIVEN)
