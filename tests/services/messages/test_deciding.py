"""What people decide: cancel, send again, consider sent, take up what was held; and every transition there is."""

from datetime import timedelta
from itertools import product
from uuid import uuid4

import pytest

from demo.sms_gateway import Gateway
from tests import factories
from tests.conftest import NOW, Cast
from tests.mail_server import MailServer
from tests.services.messages.conftest import Desk, open_sender
from webapp import clock
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.messages import (
    TRANSITIONS,
    Channel,
    HeldReason,
    Message,
    MessageKind,
    MessageStatus,
    SuppressionReason,
)
from webapp.services.messages import deciding, letters, suppressing
from webapp.services.messages.deciding import MessageStateError
from webapp.services.messages.rendering import Text
from webapp.tenancy import current_organisation_id

CANCELABLE = {
    MessageStatus.QUEUED,
    MessageStatus.UNKNOWN,
    MessageStatus.HELD,
    MessageStatus.FAILED,
    MessageStatus.BOUNCED,
    MessageStatus.CANCELED,
}


def put(desk: Desk, status: MessageStatus) -> Message:
    """A message in that state."""
    message = desk.write()
    message.status = status
    message.held_reason = HeldReason.NO_ADDRESS if status is MessageStatus.HELD else None
    message.lease_until = NOW if status is MessageStatus.SENDING else None
    db.session.commit()
    return message


@pytest.mark.parametrize("status", MessageStatus)
def test_what_has_not_left_can_be_cancelled(desk: Desk, status: MessageStatus) -> None:
    message = put(desk, status)
    if status in CANCELABLE:
        assert deciding.cancel(message.id, at=NOW, by=None).status is MessageStatus.CANCELED
    else:
        with pytest.raises(MessageStateError):
            deciding.cancel(message.id, at=NOW, by=None)
        assert desk.status(message) is status


@pytest.mark.parametrize("status", MessageStatus)
def test_what_is_true_no_longer_does_not_leave(desk: Desk, status: MessageStatus) -> None:
    message = put(desk, status)
    is_waiting = status in (MessageStatus.QUEUED, MessageStatus.HELD)
    assert deciding.withdraw(message.subject_id, [MessageKind.SATISFACTION], at=NOW) == set()
    assert deciding.withdraw(message.subject_id, [message.kind], at=NOW) == ({message.id} if is_waiting else set())
    assert desk.status(message) is (MessageStatus.CANCELED if is_waiting else status)
    is_leaving = status in (MessageStatus.SENDING, MessageStatus.UNKNOWN)
    assert message.expires_at == (NOW if is_leaving else None), "it does not leave a second time"


@pytest.mark.parametrize("status", MessageStatus)
def test_only_an_unknown_fate_can_be_considered_sent(desk: Desk, status: MessageStatus) -> None:
    message = put(desk, status)
    if status is MessageStatus.UNKNOWN:
        assert deciding.consider_sent(message.id, at=NOW, by=None).sent_at is not None
    else:
        with pytest.raises(MessageStateError):
            deciding.consider_sent(message.id, at=NOW, by=None)


@pytest.mark.parametrize("status", MessageStatus)
def test_what_waits_for_a_person_can_be_sent_again(desk: Desk, mail: MailServer, status: MessageStatus) -> None:
    message = put(desk, status)
    if status.awaits_person:
        deciding.send_again(message.id, at=NOW, by=None)
        desk.send()
        assert desk.status(message) is MessageStatus.SENT
        assert mail.message()["Subject"] == "Bonjour Léa", "its words have not changed"
    else:
        with pytest.raises(MessageStateError):
            deciding.send_again(message.id, at=NOW, by=None)
        assert mail.accepted() == []


def test_final_states_lead_nowhere() -> None:
    assert {status for status in MessageStatus if not TRANSITIONS[status]} == {
        MessageStatus.COMPLAINED,
        MessageStatus.CANCELED,
    }


def test_nothing_that_has_left_becomes_unsent() -> None:
    unsent = {MessageStatus.QUEUED, MessageStatus.SENDING, MessageStatus.HELD, MessageStatus.CANCELED}
    left = {MessageStatus.SENT, MessageStatus.DELIVERED, MessageStatus.COMPLAINED}
    assert not [(before, after) for before, after in product(left, unsent) if after in TRANSITIONS[before]]


def test_a_bounced_message_goes_to_the_client_s_new_address(desk: Desk, mail: MailServer) -> None:
    message = desk.write()
    mail.order("550", times=1)
    desk.send()
    with pytest.raises(MessageStateError, match="ne reçoit plus"):
        deciding.send_again(message.id, at=NOW, by=None)
    desk.client.email = "lea.martin@example.org"
    deciding.send_again(message.id, at=NOW, by=None)
    desk.send()
    assert mail.message()["To"] == "lea.martin@example.org"
    assert desk.message(message.id).to_in_clear() == "lea.martin@example.org"


def test_a_held_message_takes_the_way_that_is_open_by_then(desk: Desk, gateway: Gateway) -> None:
    desk.client.email = None
    message = desk.write(MessageKind.MEANS_REQUEST, text=Text("Bonjour", "Bonjour {{ prenom }}"))
    assert message.held_reason is HeldReason.NO_ADDRESS
    desk.client.phone = "+33639981234"
    open_sender(desk.company, Channel.SMS, {})
    desk.client.first_name = "Zoé"
    deciding.send_again(message.id, at=NOW, by=None)
    desk.send()
    assert [sent["text"] for sent in gateway.sent] == ["Bonjour Zoé"]
    assert desk.message(message.id).held_reason is None


def test_a_held_message_stays_held_where_something_else_is_missing(desk: Desk) -> None:
    desk.client.email = None
    message = desk.write()
    desk.client.email = "lea@example.org"
    suppressing.suppress("lea@example.org", SuppressionReason.COMPLAINT, message_id=None, at=NOW)
    assert deciding.send_again(message.id, at=NOW, by=None).held_reason is HeldReason.SUPPRESSED


def test_all_that_waited_for_a_sender_is_taken_up(desk: Desk, mail: MailServer) -> None:
    desk.sender.is_active = False
    messages = [desk.write() for _ in range(3)]
    other = factories.CompanyFactory()
    elsewhere = desk.write(company_id=other.id)
    assert {message.held_reason for message in [*messages, elsewhere]} == {HeldReason.NO_SENDER}
    desk.sender.is_active = True
    db.session.flush()
    assert deciding.release_held(HeldReason.NO_SENDER, at=NOW, by=None) == (3, 4, False)
    desk.send()
    assert len(mail.accepted()) == 3
    assert desk.message(elsewhere.id).held_reason is HeldReason.NO_SENDER


def test_what_stays_held_keeps_nothing_behind_it_and_a_worker_does_what_takes_long(
    desk: Desk, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deciding, "AT_ONCE", 2)
    desk.sender.is_active = False
    other = factories.CompanyFactory()
    elsewhere = [desk.write(company_id=other.id) for _ in range(3)]
    messages = [desk.write() for _ in range(3)]
    desk.sender.is_active = True
    db.session.commit()
    wanted = HeldReason.NO_SENDER
    assert deciding.release_held(wanted, at=NOW, by=cast.manager, patience=timedelta()) == (0, 2, True)
    *_, after = sorted(message.id for message in elsewhere[:2])
    assert deciding.release_rest(current_organisation_id(), wanted.value, after, cast.manager.id) == (3, 4, False)
    assert {desk.status(message) for message in messages} == {MessageStatus.QUEUED}
    assert {desk.status(message) for message in elsewhere} == {MessageStatus.HELD}
    assert desk.events(messages[0]) == ["decided"]


def test_decisions_are_told_with_who_took_them(desk: Desk, cast: Cast) -> None:
    message = desk.write()
    deciding.cancel(message.id, at=NOW, by=cast.manager)
    deciding.cancel(message.id, at=NOW, by=cast.manager)
    assert desk.events(message) == ["decided"]


def test_unknown_ids_are_not_found(desk: Desk) -> None:
    for decision in (deciding.cancel, deciding.consider_sent, deciding.send_again):
        with pytest.raises(NotFoundError):
            decision(uuid4(), at=clock.now(), by=None)


def test_posted_letters_were_sent_and_only_once(desk: Desk) -> None:
    letter = desk.write(MessageKind.FORMAL_NOTICE)
    e_mail = desk.write()
    numbers = {letter.id: "1A 234 567 8901 2"}
    assert letters.mark_posted([letter.id, e_mail.id], registered=numbers, of_cases=True, at=NOW, by=None) == 1
    assert letters.mark_posted([letter.id], of_cases=True, at=NOW, by=None) == 0
    found = desk.message(letter.id)
    assert (found.status, found.sent_at, found.registered_no) == (MessageStatus.SENT, NOW, "1A23456789012")
    assert desk.status(e_mail) is MessageStatus.QUEUED


@pytest.mark.parametrize("number", ["é", "1" * 31, "<b>"])
def test_a_registered_number_that_is_none_posts_nothing(desk: Desk, number: str) -> None:
    letter = desk.write(MessageKind.FORMAL_NOTICE)
    with pytest.raises(InvalidInputError, match="recommandé"):
        letters.mark_posted([letter.id], registered={letter.id: number}, at=NOW, by=None)
    assert desk.status(letter) is MessageStatus.QUEUED


def test_letters_of_dunning_are_posted_by_dunning_alone(desk: Desk) -> None:
    letter = desk.write(MessageKind.FORMAL_NOTICE)
    assert letters.mark_posted([letter.id], at=NOW, by=None) == 0
    assert desk.status(letter) is MessageStatus.QUEUED


@pytest.mark.parametrize("status", [status for status in MessageStatus if status is not MessageStatus.QUEUED])
def test_only_a_letter_that_waits_is_written_anew(desk: Desk, status: MessageStatus) -> None:
    letter = desk.write(MessageKind.FORMAL_NOTICE)
    letter.status = status
    letter.held_reason = HeldReason.NO_ADDRESS if status is MessageStatus.HELD else None
    letter.lease_until = NOW if status is MessageStatus.SENDING else None
    db.session.commit()
    with pytest.raises(MessageStateError):
        deciding.rewrite_letter(letter.id, desk.draft(MessageKind.FORMAL_NOTICE), at=NOW, by=None)


def test_what_is_of_no_use_any_more_is_not_sent_after_all(desk: Desk, mail: MailServer) -> None:
    desk.sender.is_active = False
    held = desk.write(expires_at=NOW + timedelta(days=1))
    desk.sender.is_active = True
    db.session.flush()
    later = NOW + timedelta(days=2)
    assert deciding.send_again(held.id, at=later, by=None).held_reason is HeldReason.TOO_LATE
    assert deciding.release_held(HeldReason.TOO_LATE, at=later, by=None) == (0, 1, False)
    unknown = put(desk, MessageStatus.UNKNOWN)
    unknown.expires_at = NOW
    db.session.commit()
    with pytest.raises(MessageStateError, match="passée"):
        deciding.send_again(unknown.id, at=later, by=None)
    desk.send()
    assert mail.accepted() == []
