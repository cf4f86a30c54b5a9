"""kill -9 of real workers before and after every commit and call: the receiver's own list shows each message once.

What must arrive may be there twice, under one Message-ID: better so than never.
"""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from demo.sms_gateway import Gateway
from tests import factories
from tests.forking import was_killed
from tests.gateways.messaging import imap_server
from tests.gateways.messaging.test_bounces import FROM_A_PERSON
from tests.mail_server import MailServer
from tests.services.charges.crashing import CrashPoints, fork_dying
from tests.services.messages.conftest import Desk, open_sender
from tests.services.messages.test_mailboxes import report
from webapp import clock, tenancy
from webapp.extensions import db
from webapp.gateways.messaging import pretend_sms, smtp
from webapp.models.messages import Channel, Message, MessageEvent, MessageKind, MessageStatus
from webapp.models.timeline import TimelineEvent
from webapp.services.messages import claiming, mailboxes, sending, sweeping
from webapp.services.messages.rendering import Text

POINTS = 16
"""Claiming, three messages and the end: commits and calls, each with a point before and after it."""
READING_POINTS = 10
"""Looking for mailboxes, three mails and the end: commits, each with a point before and after it."""


class _Mortal:
    """A connection whose process may die before the message is handed over, or after."""

    points: CrashPoints | None = None

    def send(self, message: Any, **options: Any) -> Any:
        if _Mortal.points:
            _Mortal.points.pass_one()
        outcome = super().send(message, **options)  # type: ignore[misc]
        if _Mortal.points:
            _Mortal.points.pass_one()
        return outcome


class _MortalSmtp(_Mortal, smtp.SmtpConnection):
    pass


class _MortalSms(_Mortal, pretend_sms.PretendSms):
    pass


@pytest.fixture
def mortal(committed: None, mail: MailServer, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A company whose rows are really committed, sending by both ways."""
    monkeypatch.setattr(smtp, "SmtpConnection", _MortalSmtp)
    monkeypatch.setattr(pretend_sms, "PretendSms", _MortalSms)
    organisation = factories.OrganisationFactory()
    tenancy.enter_organisation(organisation.id)
    company = factories.CompanyFactory(is_default=True)
    client = factories.ClientFactory(email="lea@example.org", phone="+33639981234")
    sender = open_sender(company, Channel.EMAIL, mail.credentials)
    open_sender(company, Channel.SMS, {})
    db.session.commit()
    for row in (organisation, company, client, sender):  # they outlive the sessions of the workers
        db.session.refresh(row)
    db.session.expunge_all()
    return Desk(organisation.id, company, client, sender)


def kill_at(organisation_id: UUID, fatal: int, what: Callable[[UUID], object] = sending.send) -> bool:
    """Do ``what`` in a process of its own that dies at the point; whether it came to it."""

    def begin(points: CrashPoints) -> None:
        _Mortal.points = points
        what(organisation_id)

    return was_killed(fork_dying(begin, fatal=fatal))


def recover(organisation_id: UUID) -> None:
    """Time passes, and everybody is well again."""
    clock.start_at(clock.now() + claiming.LEASE + timedelta(minutes=1))
    tenancy.enter_organisation(organisation_id)
    sweeping.sweep(at=clock.now())
    for _ in range(3):
        sending.send(organisation_id)
        clock.start_at(clock.now() + claiming.PAUSE)  # a busy machine may have kept a server from answering in time


def test_killed_workers_send_no_e_mail_twice_and_forget_none(mortal: Desk, mail: MailServer) -> None:
    killed, unknown = 0, 0
    for fatal in range(POINTS):
        mail.forget()
        usual = [mortal.write().id for _ in range(2)]
        notice = mortal.write(MessageKind.SEPA_NOTICE).id
        db.session.commit()
        killed += kill_at(mortal.organisation_id, fatal)
        recover(mortal.organisation_id)
        arrived = Counter(taken["message_id"].strip("<>").partition("@")[0] for taken in mail.accepted())
        stands = {each.id: each.status for each in db.session.query(Message).filter(Message.id.in_([*usual, notice]))}
        assert all(arrived[str(each)] <= 1 for each in usual), fatal
        assert all(arrived[str(each)] or stands[each] is MessageStatus.UNKNOWN for each in usual), fatal
        assert arrived[str(notice)] >= 1, fatal
        assert stands[notice] is MessageStatus.SENT, fatal
        told = Counter(db.session.scalars(select(TimelineEvent.message_id).where(TimelineEvent.message_id.in_(stands))))
        assert told == {each: 1 for each, status in stands.items() if status is MessageStatus.SENT}, fatal
        unknown += sum(status is MessageStatus.UNKNOWN for status in stands.values())
    assert killed >= POINTS - 1, "nearly every point is reached"
    assert 2 <= unknown <= POINTS, "one message at most of each worker is left to a person"


def test_killed_workers_send_no_sms_twice_and_forget_none(mortal: Desk, gateway: Gateway) -> None:
    for fatal in range(POINTS):
        gateway.sent.clear()
        texts = {
            f"Message {number}": mortal.write(channel=Channel.SMS, text=Text("", f"Message {number}")).id
            for number in "abc"
        }
        db.session.commit()
        kill_at(mortal.organisation_id, fatal)
        recover(mortal.organisation_id)
        arrived = Counter(sent["text"] for sent in gateway.sent)
        stands = {each.id: each.status for each in db.session.query(Message).filter(Message.id.in_(texts.values()))}
        assert all(arrived[text] <= 1 for text in texts), fatal
        assert all(arrived[text] or stands[each] is MessageStatus.UNKNOWN for text, each in texts.items()), fatal


def test_killed_readers_of_a_mailbox_lose_no_bounce_and_tell_none_twice(mortal: Desk, mail: MailServer) -> None:
    killed = 0
    with imap_server.running() as folder:
        folder.password = "secret"
        mortal.present_sender().keep_mailbox(folder.credentials)
        db.session.commit()
        for fatal in range(READING_POINTS):
            message = mortal.write(MessageKind.SEPA_NOTICE)
            message_id = message.id
            sending.send(mortal.organisation_id)
            folder.add(FROM_A_PERSON)
            folder.add(report(message, status="4.2.2", diagnostic="smtp; 452 4.2.2 Over quota"))
            folder.add(FROM_A_PERSON)
            db.session.commit()
            killed += kill_at(mortal.organisation_id, fatal, mailboxes.read_all)
            tenancy.enter_organisation(mortal.organisation_id)
            mailboxes.read_all(mortal.organisation_id)
            told = db.session.query(MessageEvent).filter(MessageEvent.message_id == message_id)
            assert sorted(event.kind.value for event in told) == ["accepted", "bounced_soft"], fatal
            assert mortal.present_sender().mailbox_uid == 3 * (fatal + 1), fatal
            db.session.commit()
    assert killed == READING_POINTS, "every point is reached"
