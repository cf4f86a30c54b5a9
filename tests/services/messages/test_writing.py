"""Writing: one row however often, never lost, held with its reason where it cannot leave."""

from datetime import date, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from tests import factories
from tests.conftest import NOW
from tests.queries import recorded_queries
from tests.services.messages.conftest import Desk, open_sender
from webapp import crypto
from webapp.extensions import db
from webapp.models.consents import ConsentChannel, ConsentPurpose
from webapp.models.messages import (
    Channel,
    HeldReason,
    Message,
    MessageKind,
    MessageStatus,
    MessageSwitch,
    SuppressionReason,
    address_purpose,
)
from webapp.services.consents.recording import ConsentFields, record
from webapp.services.messages import drafts, suppressing, writing
from webapp.services.messages.rendering import Text


def test_a_message_holds_the_words_that_the_client_will_read(desk: Desk) -> None:
    message = desk.write()
    assert message.status is MessageStatus.QUEUED
    assert message.content_in_clear() == {"subject": "Bonjour Léa", "body": "Un mot pour **Léa MARTIN**."}
    assert message.to_in_clear() == "lea@example.org"
    assert message.to_index == crypto.blind_index("lea@example.org", purpose=address_purpose(desk.organisation_id))
    assert b"example" not in (message.to or b"")


def test_the_same_occasion_is_written_once(desk: Desk) -> None:
    draft = desk.draft()
    assert writing.write(draft, at=NOW) is not None
    assert writing.write(draft, at=NOW) is None
    assert writing.write_many([draft, draft, desk.draft()], at=NOW) == 1
    assert db.session.query(Message).count() == 2
    assert {message.dedupe_key for message in db.session.query(Message)} >= {f"free:{draft.subject_id}:1"}


def test_the_first_channel_that_can_go_is_taken(desk: Desk) -> None:
    desk.client.email = None
    desk.client.phone = "+33639981234"
    open_sender(desk.company, Channel.SMS, {})
    message = desk.write(MessageKind.MEANS_REQUEST, text=Text("", "Bonjour {{ prenom }}"))
    assert (message.channel, message.to_in_clear()) == (Channel.SMS, "+33639981234")
    assert message.is_asked_for


def test_a_notice_without_e_mail_and_sms_becomes_a_letter(desk: Desk) -> None:
    desk.client.email = None
    message = desk.write(MessageKind.SEPA_NOTICE)
    assert (message.channel, message.status, message.sender_id) == (Channel.LETTER, MessageStatus.QUEUED, None)
    assert message.to_in_clear() == "Léa MARTIN\n1 rue des Lilas\n59000 Lille"


def test_nothing_is_lost_without_an_address(desk: Desk) -> None:
    desk.client.email = None
    message = desk.write()
    assert (message.status, message.held_reason) == (MessageStatus.HELD, HeldReason.NO_ADDRESS)


def test_nothing_is_lost_without_a_sender(desk: Desk) -> None:
    desk.sender.is_active = False
    message = desk.write()
    assert (message.status, message.held_reason) == (MessageStatus.HELD, HeldReason.NO_SENDER)


def test_an_address_that_does_not_work_holds_the_message(desk: Desk) -> None:
    suppressing.suppress("lea@example.org", SuppressionReason.HARD_BOUNCE, message_id=None, at=NOW)
    assert desk.write().held_reason is HeldReason.SUPPRESSED


@pytest.mark.parametrize("agrees", [None, False, True])
def test_what_no_contract_requires_needs_a_consent(desk: Desk, agrees: bool | None) -> None:
    if agrees is not None:
        fields = ConsentFields(
            purpose=ConsentPurpose.PROSPECTION_EMAIL, agrees=agrees, channel=ConsentChannel.WEB, note="dit au téléphone"
        )
        record(desk.client.id, fields, by=None, at=NOW)
    message = desk.write(MessageKind.PROSPECTION)
    assert message.held_reason is (None if agrees else HeldReason.NO_CONSENT)


def test_a_text_that_cannot_be_filled_in_is_held_with_its_fault(desk: Desk) -> None:
    message = desk.write(text=Text("Bonjour", "Bonjour {{ prenon }}"))
    assert message.held_reason is HeldReason.WRONG_TEXT
    assert "prenon" in (message.error or "")


def test_a_kind_that_is_switched_off_is_not_written(desk: Desk) -> None:
    db.session.add(MessageSwitch(company_id=desk.company.id, kind=MessageKind.WELCOME))
    db.session.flush()
    assert writing.write(desk.draft(MessageKind.WELCOME), at=NOW) is None
    assert desk.write().status is MessageStatus.QUEUED


def test_values_survive_until_a_held_message_is_filled_in(desk: Desk) -> None:
    desk.sender.is_active = False
    rows = [{"libelle": "Panier", "echeance": date(2026, 11, 5), "montant": Decimal("42.10")}]
    message = desk.write(
        MessageKind.DUNNING_REMINDER, variables={"montant_du": Decimal("84.20"), "impayes": rows, "date_limite": None}
    )
    kept = message.content_in_clear()["draft"]["variables"]
    assert {name: drafts.unpack(value) for name, value in kept.items()} == {
        "montant_du": Decimal("84.20"),
        "impayes": rows,
        "date_limite": None,
    }


def test_writing_many_takes_as_many_statements_as_writing_two(desk: Desk) -> None:
    written = [desk.draft(client_id=each.id) for each in factories.ClientFactory.create_batch(40)]
    with recorded_queries() as two:
        writing.write_many(written[:2], at=NOW)
    with recorded_queries() as many:
        writing.write_many(written, at=NOW)
    assert len(many) == len(two) <= 9


def test_a_message_for_later_waits(desk: Desk) -> None:
    message = desk.write(not_before=NOW + timedelta(days=1), subject_id=uuid4())
    desk.send()
    assert desk.status(message) is MessageStatus.QUEUED
