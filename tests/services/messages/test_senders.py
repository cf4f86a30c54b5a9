"""Senders: what is typed is checked, secrets are kept, and nothing of another provider stays behind."""

from datetime import time
from typing import Any
from uuid import uuid4

import pytest

from demo.sms_gateway import Gateway
from tests import factories
from tests.conftest import Cast
from tests.mail_server import MailServer
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.gateways.messaging import bounces
from webapp.models.messages import Channel, MessageProvider, MessageSender
from webapp.models.organisations import Company
from webapp.services.messages import senders
from webapp.services.messages.senders import SenderFields

SMTP = {"host": "smtp.verger.example", "port": "587", "security": "starttls", "username": "moi", "password": "secret"}
MAILBOX = {"host": "imap.verger.example", "username": "rejets", "password": "boîte"}


@pytest.fixture
def company(cast: Cast) -> Company:
    """A company without a sender."""
    return factories.CompanyFactory()


def save(company: Company, channel: Channel = Channel.EMAIL, **values: Any) -> MessageSender:
    """Save a sender."""
    given: dict[str, Any] = {
        "provider": MessageProvider.SMTP,
        "credentials": SMTP,
        "from_name": "Verger & Cie",
        "from_address": "Bonjour@Verger.example",
    }
    return senders.save_sender(company.id, channel, SenderFields(**(given | values)))


def test_a_sender_is_opened_and_found_again(company: Company) -> None:
    sender = save(company)
    found = senders.find_sender(company.id, Channel.EMAIL)
    assert found is not None
    assert found.credentials_in_clear() == SMTP
    assert b"secret" not in (found.credentials or b"")
    assert (found.from_address, found.quiet_from, found.quiet_until) == ("bonjour@verger.example", time(20), time(8))
    assert len(sender.webhook_token) >= 32
    assert senders.load_active({company.id}) == {(company.id, Channel.EMAIL): sender}


def test_an_empty_secret_stays_as_it_was(company: Company) -> None:
    save(company)
    sender = save(company, credentials=SMTP | {"password": "", "username": "toi"})
    assert sender.credentials_in_clear()["password"] == "secret"
    assert sender.credentials_in_clear()["username"] == "toi"
    assert db.session.query(MessageSender).count() == 1


def test_nothing_of_another_provider_s_secrets_is_kept(company: Company) -> None:
    save(company)
    with pytest.raises(InvalidInputError) as refusal:
        save(company, provider=MessageProvider.BREVO, credentials={"password": ""})
    assert (refusal.value.field or "").startswith("credentials.")
    sender = save(company, provider=MessageProvider.BREVO, credentials={"api_key": "xkeysib-" + "a" * 30})
    assert "secret" not in sender.credentials_in_clear().values()


def test_saving_lets_a_sender_that_was_refused_try_again(company: Company) -> None:
    sender = save(company)
    sender.error, sender.error_at = "535 no", sender.created_at
    assert save(company).error is None


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"from_name": ""}, "from_name"),
        ({"from_name": "x" * 101}, "from_name"),
        ({"from_address": "personne"}, "from_address"),
        ({"from_address": "a@b.example\r\nBcc: tous@b.example"}, "from_address"),
        ({"reply_to": "personne"}, "reply_to"),
        ({"pace_per_minute": 0}, "pace_per_minute"),
        ({"quiet_from": None}, "quiet_from"),
        ({"provider": MessageProvider.OVH}, "provider"),
        ({"credentials": SMTP | {"host": ""}}, "credentials.host"),
        ({"credentials": SMTP | {"port": "99999"}}, "credentials.port"),
        ({"credentials": SMTP | {"port": "x"}}, "credentials.port"),
        ({"credentials": SMTP | {"security": "none at all"}}, "credentials.security"),
        ({"credentials": SMTP | {"password": "a\nb"}}, "credentials.password"),
        ({"credentials": SMTP | {"password": "x" * 501}}, "credentials.password"),
        ({"mailbox": MAILBOX | {"password": ""}}, "mailbox.password"),
        ({"mailbox": MAILBOX | {"port": "0"}}, "mailbox.port"),
    ],
)
def test_what_cannot_be_right_is_refused_at_its_field(company: Company, values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        save(company, **values)
    assert refusal.value.field == field
    assert db.session.query(MessageSender).count() == 0


@pytest.mark.parametrize("name", ["AB", "x" * 12, "Vergé", "123456", "A B C", "A-B-C"])
def test_phones_show_short_names_of_letters_and_digits(company: Company, gateway: Gateway, name: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        save(company, Channel.SMS, provider=MessageProvider.PRETEND_SMS, credentials={}, from_name=name)
    assert refusal.value.field == "from_name"


def test_a_sender_of_sms_has_no_addresses(company: Company, gateway: Gateway) -> None:
    sender = save(company, Channel.SMS, provider=MessageProvider.PRETEND_SMS, credentials={}, from_name="VERGER")
    assert (sender.from_address, sender.reply_to, sender.mailbox) == (None, None, None)


def test_the_pretend_gateway_is_offered_only_where_there_is_one(company: Company) -> None:
    assert MessageProvider.PRETEND_SMS not in senders.providers_for(Channel.SMS)
    assert senders.providers_for(Channel.LETTER) == []


def test_another_mailbox_is_read_from_its_beginning(company: Company) -> None:
    sender = save(company, mailbox=MAILBOX)
    sender.mailbox_uid_validity, sender.mailbox_uid = 7, 42
    assert save(company, mailbox=MAILBOX | {"password": ""}).mailbox_uid == 42
    assert sender.mailbox_in_clear()["password"] == "boîte"
    assert save(company, mailbox=MAILBOX | {"host": "autre.verger.example"}).mailbox_uid is None
    assert save(company, mailbox={"port": bounces.CREDENTIALS[1].default}).mailbox is None


def test_a_renewed_webhook_is_heard_under_its_new_address_alone(company: Company) -> None:
    token = save(company).webhook_token
    assert senders.renew_webhook(company.id, Channel.EMAIL).webhook_token != token


def test_checking_says_what_is_wrong(company: Company, mail: MailServer) -> None:
    save(company, credentials=mail.credentials)
    assert senders.check(company.id, Channel.EMAIL) == []
    save(company, credentials=mail.credentials | {"port": "9"})
    assert len(senders.check(company.id, Channel.EMAIL)) == 1


def test_companies_and_senders_that_do_not_exist_are_not_found(company: Company) -> None:
    for command in (senders.renew_webhook, senders.check):
        with pytest.raises(NotFoundError):
            command(company.id, Channel.EMAIL)
    with pytest.raises(NotFoundError):
        senders.save_sender(
            uuid4(),
            Channel.EMAIL,
            SenderFields(provider=MessageProvider.SMTP, credentials=SMTP, from_name="x", from_address="a@b.example"),
        )
