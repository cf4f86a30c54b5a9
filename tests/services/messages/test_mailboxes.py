"""Mailboxes of bounces: read as far as they go, every mail once, one after the other's failure."""

from collections.abc import Iterator

import pytest

from tests import factories
from tests.gateways.messaging import imap_server
from tests.gateways.messaging.imap_server import Folder
from tests.gateways.messaging.test_bounces import FROM_A_PERSON, dsn
from tests.services.messages.conftest import Desk, open_sender
from webapp import clock, queue
from webapp.extensions import db
from webapp.models.messages import Channel, Message, MessageSender, MessageStatus, Suppression
from webapp.services.messages import mailboxes


@pytest.fixture
def folder() -> Iterator[Folder]:
    """A mailbox."""
    with imap_server.running() as folder:
        folder.password = "secret"
        yield folder


@pytest.fixture
def sender(desk: Desk, folder: Folder) -> MessageSender:
    """The company's sender, whose bounces come back to the mailbox."""
    desk.sender.keep_mailbox(folder.credentials)
    db.session.flush()
    return desk.sender


def sent(desk: Desk) -> Message:
    message = desk.write()
    desk.send()
    return message


def report(message: Message, **values: str) -> bytes:
    returned = f"Message-ID: <{message.id}@verger.example>\r\nSubject: Bonjour\r\n"
    return dsn(returned=returned, **values).replace(b"lea@example.com", b"lea@example.org")


def read(desk: Desk) -> int:
    return mailboxes.read_all(desk.organisation_id)


def test_what_comes_back_is_not_delivered_and_the_address_gets_nothing_more(
    desk: Desk, sender: MessageSender, folder: Folder
) -> None:
    message = sent(desk)
    folder.add(FROM_A_PERSON)
    folder.add(report(message))
    assert read(desk) == 2
    assert desk.status(message) is MessageStatus.BOUNCED
    assert db.session.query(Suppression).count() == 1
    assert (desk.present_sender().mailbox_uid_validity, desk.present_sender().mailbox_uid) == (7, 2)
    assert read(desk) == 0, "every mail is read once"


def test_a_full_mailbox_keeps_its_address_but_has_not_got_the_message(
    desk: Desk, sender: MessageSender, folder: Folder
) -> None:
    message = sent(desk)
    folder.add(report(message, status="5.2.2", diagnostic="smtp; 552 5.2.2 Over quota"))
    read(desk)
    assert desk.status(message) is MessageStatus.BOUNCED
    assert db.session.query(Suppression).count() == 0


def test_what_names_an_address_alone_is_hearsay(desk: Desk, sender: MessageSender, folder: Folder) -> None:
    message = sent(desk)
    folder.add(dsn(returned="Subject: Bonjour\r\n").replace(b"lea@example.com", b"lea@example.org"))
    assert read(desk) == 1
    assert desk.status(message) is MessageStatus.SENT
    assert db.session.query(Suppression).count() == 0


def test_a_mailbox_that_counts_anew_is_read_anew_with_no_second_effect(
    desk: Desk, sender: MessageSender, folder: Folder
) -> None:
    message = sent(desk)
    folder.add(report(message))
    read(desk)
    folder.validity = 8
    assert read(desk) == 1
    assert desk.events(message).count("bounced_hard") == 1
    assert desk.present_sender().mailbox_uid_validity == 8


def test_one_that_fails_says_so_on_its_sender_and_does_not_stop_others(
    desk: Desk, sender: MessageSender, folder: Folder
) -> None:
    other = open_sender(factories.CompanyFactory(), Channel.EMAIL, {})
    other.keep_mailbox(folder.credentials | {"password": "faux"})
    db.session.flush()
    folder.add(FROM_A_PERSON)
    assert read(desk) == 1
    db.session.expire_all()
    assert (other.error or "").startswith("Boîte des rejets\u202f: Le serveur refuse")
    assert other.error_at is None, "what leaves is not held up"
    assert desk.present_sender().error is None
    other.keep_mailbox(folder.credentials)
    db.session.flush()
    read(desk)
    db.session.expire_all()
    assert other.error is None


def test_what_the_provider_refuses_the_sender_with_stands_before_the_mailbox(
    desk: Desk, sender: MessageSender, folder: Folder
) -> None:
    sender.keep_mailbox(folder.credentials | {"password": "faux"})
    sender.error, sender.error_at = "535 refused", clock.now()
    db.session.flush()
    read(desk)
    assert desk.present_sender().error == "535 refused"


def test_whoever_was_overtaken_reads_no_further(
    desk: Desk, sender: MessageSender, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = sent(desk)
    folder.add(report(message))
    folder.add(report(message))
    [mailbox] = mailboxes._load_mailboxes()
    read(desk)
    monkeypatch.setattr(mailboxes, "_load_mailboxes", lambda: [mailbox])
    assert read(desk) == 0
    assert desk.present_sender().mailbox_uid == 2


def test_a_sender_that_is_switched_off_is_read_still(desk: Desk, sender: MessageSender, folder: Folder) -> None:
    sender.is_active = False
    db.session.flush()
    folder.add(FROM_A_PERSON)
    assert read(desk) == 1


def test_the_bell_rings_where_there_is_a_mailbox(desk: Desk) -> None:
    assert mailboxes.ring(at=clock.now()) == 0
    desk.sender.keep_mailbox({"host": "imap.verger.example"})
    db.session.commit()
    assert mailboxes.ring(at=clock.now()) == 1
    [job] = queue.queue("messages").jobs
    assert (job.func_name, job.args) == (mailboxes.JOB, [str(desk.organisation_id)])
