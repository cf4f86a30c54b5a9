"""Sending by a real mail server and a pretend SMS gateway: once, at its time, and never forgotten."""

from datetime import time, timedelta
from uuid import uuid4

import pytest

from demo.sms_gateway import Gateway
from tests.mail_server import MailServer
from tests.services.messages.conftest import Desk, at, open_sender
from webapp import clock
from webapp.extensions import db
from webapp.gateways.messaging import Accepted, Unknown
from webapp.models.consents import ConsentChannel, ConsentPurpose
from webapp.models.messages import (
    Channel,
    HeldReason,
    Message,
    MessageKind,
    MessageProvider,
    MessageStatus,
    Suppression,
    SuppressionReason,
)
from webapp.services.consents.recording import ConsentFields, record
from webapp.services.messages import claiming, deciding, recording, suppressing
from webapp.services.messages.drafts import Attachment
from webapp.services.messages.rendering import Text
from webapp.transactions import transaction


def test_an_e_mail_arrives_once_with_a_message_id_of_ours(desk: Desk, mail: MailServer) -> None:
    message = desk.write()
    desk.send()
    desk.send()
    [taken] = mail.accepted()
    sent = mail.message()
    assert taken["message_id"] == f"<{message.id}@verger.example>"
    assert (sent["Subject"], sent["From"], sent["To"]) == (
        "Bonjour Léa",
        "Verger & Cie <bonjour@verger.example>",
        "lea@example.org",
    )
    assert "Un mot pour Léa MARTIN." in sent.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    found = desk.message(message.id)
    assert (found.status, found.sent_at is not None, found.lease_until) == (MessageStatus.SENT, True, None)
    assert desk.events(message) == ["accepted"]


def test_answers_go_to_the_colleague_who_writes(desk: Desk, mail: MailServer) -> None:
    desk.sender.reply_to = "contact@verger.example"
    desk.write()
    desk.write(reply_to="nora@verger.example")
    desk.send()
    assert [mail.message(number)["Reply-To"] for number in (0, 1)] == ["contact@verger.example", "nora@verger.example"]


def test_many_leave_over_one_connection(desk: Desk, mail: MailServer) -> None:
    before = mail.connections()
    messages = [desk.write() for _ in range(claiming.LOT + 10)]
    desk.send()
    assert len({taken["message_id"] for taken in mail.accepted()}) == len(messages)
    assert mail.connections() == before + 1
    assert db.session.query(Message).filter(Message.status != MessageStatus.SENT).count() == 0


def test_an_sms_leaves_by_the_gateway(desk: Desk, gateway: Gateway) -> None:
    desk.client.phone = "+33639981234"
    open_sender(desk.company, Channel.SMS, {})
    message = desk.write(channel=Channel.SMS, text=Text("", "Bonjour {{ prenom }}"))
    desk.send()
    [sent] = gateway.sent
    assert (sent["to"], sent["text"], sent["sender"]) == ("+33639981234", "Bonjour Léa", "VERGER")
    assert desk.message(message.id).provider_id


@pytest.mark.parametrize(
    ("mode", "status"),
    [("550", MessageStatus.BOUNCED), ("552", MessageStatus.FAILED), ("450", MessageStatus.QUEUED)],
)
def test_refusals_are_told_apart(desk: Desk, mail: MailServer, mode: str, status: MessageStatus) -> None:
    message = desk.write()
    mail.order(mode)
    desk.send()
    found = desk.message(message.id)
    assert found.status is status
    assert mode in (found.error or "")
    assert mail.accepted() == []


def test_an_address_that_does_not_exist_gets_nothing_more(desk: Desk, mail: MailServer) -> None:
    desk.write()
    mail.order("550", times=1)
    desk.send()
    assert [each.reason for each in db.session.query(Suppression)] == [SuppressionReason.HARD_BOUNCE]
    assert desk.write().held_reason is HeldReason.SUPPRESSED


def test_what_is_refused_for_now_is_tried_again_later_and_later(desk: Desk, mail: MailServer) -> None:
    message = desk.write()
    mail.order("450")
    waits = []
    for _ in range(5):
        desk.send()
        found = desk.message(message.id)
        waits.append(round((found.not_before - clock.now()).total_seconds() / 60))
        desk.wait(found.not_before - clock.now())
    assert waits == [1, 5, 15, 60, 60]
    mail.order("ok")
    desk.send()
    assert desk.status(message) is MessageStatus.SENT
    assert len(mail.accepted()) == 1


def test_after_a_day_of_refusals_it_is_given_up(desk: Desk, mail: MailServer) -> None:
    message = desk.write()
    mail.order("450")
    for _ in range(recording.MOST_ATTEMPTS):
        desk.send()
        desk.wait(timedelta(hours=1))
    assert desk.status(message) is MessageStatus.FAILED


def test_a_server_that_does_not_answer_costs_no_message_an_attempt(desk: Desk, mail: MailServer) -> None:
    desk.sender.keep_credentials(mail.credentials | {"port": "9"})
    db.session.flush()
    messages = [desk.write() for _ in range(3)]
    desk.send()
    assert {desk.status(message) for message in messages} == {MessageStatus.QUEUED}
    assert desk.present_sender().error
    desk.present_sender().keep_credentials(mail.credentials)
    db.session.flush()
    desk.send()
    assert mail.accepted() == [], "it rests for a while"
    desk.wait(claiming.PAUSE)
    desk.send()
    assert {desk.status(message) for message in messages} == {MessageStatus.SENT}
    assert desk.present_sender().error is None


def test_a_connection_that_breaks_after_the_content_leaves_a_fate_unknown(desk: Desk, mail: MailServer) -> None:
    message = desk.write()
    mail.order("drop", times=1)
    desk.send()
    desk.wait(timedelta(days=1))
    desk.send()
    assert desk.status(message) is MessageStatus.UNKNOWN
    assert len(mail.accepted()) == 1, "nobody sends it again by itself"
    assert desk.events(message) == ["lost"]


def test_what_must_arrive_is_sent_again_with_the_same_message_id(desk: Desk, mail: MailServer) -> None:
    message = desk.write(MessageKind.SEPA_NOTICE)
    mail.order("drop", times=1)
    desk.send()
    desk.wait(timedelta(minutes=1))
    desk.send()
    assert desk.status(message) is MessageStatus.SENT
    assert [taken["message_id"] for taken in mail.accepted()] == [f"<{message.id}@verger.example>"] * 2
    assert desk.events(message) == ["lost", "accepted"]


def test_a_dead_worker_s_messages_are_taken_over(desk: Desk, mail: MailServer) -> None:
    never_called, called = desk.write(), desk.write()
    lot = claiming.claim(desk.sender.id, at=clock.now())
    assert lot is not None
    with transaction():
        recording.note(None, lot.claims[1], lot.sender, at=clock.now())
    desk.sweep()
    assert desk.status(never_called) is MessageStatus.SENDING, "its lease still holds"
    desk.wait(claiming.LEASE + timedelta(seconds=1))
    desk.sweep()
    assert (desk.status(never_called), desk.status(called)) == (MessageStatus.QUEUED, MessageStatus.UNKNOWN)
    desk.send()
    assert [taken["message_id"] for taken in mail.accepted()] == [f"<{never_called.id}@verger.example>"]


def test_a_worker_that_lost_its_lease_neither_sends_nor_records(desk: Desk) -> None:
    message = desk.write()
    slow = claiming.claim(desk.sender.id, at=clock.now())
    assert slow is not None
    desk.wait(claiming.LEASE + timedelta(seconds=1))
    desk.sweep()
    assert claiming.claim(desk.sender.id, at=clock.now()) is not None
    with transaction():
        assert recording.note(None, slow.claims[0], slow.sender, at=clock.now()) == (None, False)
        finished = recording.Finished(slow.claims[0], clock.now(), Accepted("theirs"))
        recording.note(finished, None, slow.sender, at=clock.now())
    found = desk.message(message.id)
    assert (found.status, found.provider_id) == (MessageStatus.SENDING, "theirs")


def test_a_provider_that_honours_the_key_is_asked_again_within_its_time(desk: Desk) -> None:
    desk.sender.provider = MessageProvider.BREVO
    desk.sender.keep_credentials({"api_key": "k" * 20})
    message = desk.write()

    def lose() -> MessageStatus:
        lot = claiming.claim(desk.sender.id, at=clock.now())
        if lot is not None and lot.claims:
            with transaction():
                recording.note(None, lot.claims[0], lot.sender, at=clock.now())
                finished = recording.Finished(lot.claims[0], clock.now(), Unknown("rien"))
                recording.note(finished, None, lot.sender, at=clock.now())
        return desk.status(message)

    assert lose() is MessageStatus.QUEUED
    desk.wait(timedelta(minutes=2))
    assert lose() is MessageStatus.QUEUED, "the same key still holds"
    desk.wait(timedelta(minutes=12))
    assert lose() is MessageStatus.UNKNOWN


def test_what_was_withdrawn_since_is_not_sent(desk: Desk, mail: MailServer) -> None:
    def say(*, agrees: bool) -> None:
        fields = ConsentFields(
            purpose=ConsentPurpose.PROSPECTION_EMAIL, agrees=agrees, channel=ConsentChannel.WEB, note="formulaire"
        )
        record(desk.client.id, fields, by=None, at=clock.now())

    say(agrees=True)
    message = desk.write(MessageKind.PROSPECTION)
    say(agrees=False)
    desk.send()
    assert desk.message(message.id).held_reason is HeldReason.NO_CONSENT
    assert mail.accepted() == []


def test_what_no_contract_requires_can_be_unsubscribed_from_with_one_click(desk: Desk, mail: MailServer) -> None:
    fields = ConsentFields(
        purpose=ConsentPurpose.SATISFACTION, agrees=True, channel=ConsentChannel.WEB, note="formulaire"
    )
    record(desk.client.id, fields, by=None, at=clock.now())
    desk.write(MessageKind.SATISFACTION)
    desk.write()
    desk.send()
    first, second = mail.message(0), mail.message(1)
    assert "/desabonnement/" in first["List-Unsubscribe"]
    assert first["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert second["List-Unsubscribe"] is None


def test_an_address_that_was_suppressed_since_gets_nothing(desk: Desk, mail: MailServer) -> None:
    message = desk.write()
    suppressing.suppress("lea@example.org", SuppressionReason.COMPLAINT, message_id=None, at=clock.now())
    desk.send()
    assert desk.message(message.id).held_reason is HeldReason.SUPPRESSED
    assert mail.accepted() == []


def test_a_message_that_is_of_no_use_any_more_is_held(desk: Desk, mail: MailServer) -> None:
    claimed, swept = (desk.write(expires_at=clock.now() + timedelta(hours=1)) for _ in range(2))
    desk.wait(timedelta(hours=2))
    claiming.claim(desk.sender.id, at=clock.now())
    desk.sweep()
    assert {desk.message(each.id).held_reason for each in (claimed, swept)} == {HeldReason.TOO_LATE}
    assert mail.accepted() == []


@pytest.mark.parametrize(
    ("instant", "is_quiet"),
    [
        ("2026-11-20T19:59:00+01:00", False),
        ("2026-11-20T20:00:00+01:00", True),
        ("2026-11-21T07:59:00+01:00", True),
        ("2026-11-21T08:00:00+01:00", False),
        ("2026-11-22T12:00:00+01:00", True),  # a Sunday
        ("2026-11-11T12:00:00+01:00", True),  # Armistice
        ("2026-07-14T12:00:00+02:00", True),
        ("2027-03-29T12:00:00+02:00", True),  # Easter Monday
    ],
)
def test_nobody_is_written_to_at_night_on_sundays_and_on_holidays(
    desk: Desk, mail: MailServer, instant: str, is_quiet: bool
) -> None:
    desk.sender.quiet_from, desk.sender.quiet_until = time(20), time(8)
    at(instant)
    usual, awaited = desk.write(), desk.write(is_asked_for=True)
    desk.send()
    assert desk.status(awaited) is MessageStatus.SENT
    assert desk.status(usual) is (MessageStatus.QUEUED if is_quiet else MessageStatus.SENT)


def test_a_sender_keeps_its_pace(desk: Desk, mail: MailServer) -> None:
    desk.sender.pace_per_minute = 3
    for _ in range(7):
        desk.write()
    counts = []
    for _ in range(4):
        desk.send()
        counts.append(len(mail.accepted()))
        desk.wait(timedelta(seconds=61))
    assert counts == [3, 6, 7, 7]


def test_a_sender_that_is_put_away_sends_nothing(desk: Desk, mail: MailServer) -> None:
    message = desk.write()
    desk.sender.is_active = False
    db.session.flush()
    desk.send()
    assert desk.status(message) is MessageStatus.QUEUED
    assert mail.accepted() == []


def test_a_file_that_is_gone_stops_only_its_message(desk: Desk, mail: MailServer) -> None:
    broken = desk.write(attachments=(Attachment("document", uuid4()),))
    whole = desk.write()
    desk.send()
    assert (desk.status(broken), desk.status(whole)) == (MessageStatus.FAILED, MessageStatus.SENT)
    assert "document" in (desk.message(broken.id).error or "")


def test_a_message_that_was_cancelled_while_it_waited_is_not_sent(desk: Desk, mail: MailServer) -> None:
    message = desk.write()
    deciding.cancel(message.id, at=clock.now(), by=None)
    desk.send()
    assert desk.status(message) is MessageStatus.CANCELED
    assert mail.accepted() == []
