"""SMS to nobody, against the pretend gateway of demo/."""

from collections.abc import Iterator

import pytest

from demo.sms_gateway import Gateway
from tests import sms_gateway
from tests.gateways.messaging.conftest import nowhere
from webapp.config import Settings
from webapp.gateways import messaging
from webapp.gateways.messaging import (
    UNREACHABLE,
    Accepted,
    OutgoingSms,
    RefusalKind,
    Refused,
    Unknown,
    WebhookBodyError,
    check,
    connect_sms,
    is_offered,
    read_webhook,
)
from webapp.gateways.messaging.pretend_sms import PretendSms
from webapp.models.messages import MessageEventKind, MessageProvider


@pytest.fixture
def running() -> Iterator[tuple[Gateway, str]]:
    with sms_gateway.running() as running:
        yield running


@pytest.fixture
def gateway(running: tuple[Gateway, str]) -> Gateway:
    return running[0]


@pytest.fixture
def url(running: tuple[Gateway, str]) -> str:
    """The gateway's address."""
    return running[1]


def test_an_sms_is_sent_once_for_each_time_that_it_is_asked_for(url: str, gateway: Gateway, sms: OutgoingSms) -> None:
    with PretendSms(url) as connection:
        assert connection.send(sms) == Accepted("sms-1")
        assert connection.send(sms) == Accepted("sms-2")
    assert [(sent["sender"], sent["to"], sent["text"]) for sent in gateway.sent] == [(sms.sender, sms.to, sms.text)] * 2


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("unknown_number", RefusalKind.ADDRESS),
        ("unwanted_text", RefusalKind.CONTENT),
        ("unknown_sender", RefusalKind.ACCOUNT),
        ("no_credit", RefusalKind.ACCOUNT),
        ("too_many", RefusalKind.LATER),
    ],
)
def test_a_refusal_says_what_it_is_about(
    reason: str, kind: RefusalKind, url: str, gateway: Gateway, sms: OutgoingSms
) -> None:
    gateway.order({"mode": "refuse", "reason": reason})
    with PretendSms(url) as connection:
        outcome = connection.send(sms)
    assert isinstance(outcome, Refused)
    assert (outcome.kind, outcome.code) == (kind, reason)
    assert gateway.sent == []


@pytest.mark.parametrize(("mode", "count"), [("drop", 1), ("lose", 0), ("slow", 1), ("down", 0)])
def test_nobody_knows_what_became_of_it(mode: str, count: int, url: str, gateway: Gateway, sms: OutgoingSms) -> None:
    gateway.order({"mode": mode, "delay": 1.0})
    with PretendSms(url, patience=0.3) as connection:
        assert isinstance(connection.send(sms), Unknown)
    assert len(gateway.sent) == count


def test_a_gateway_that_is_not_there_has_got_nothing(sms: OutgoingSms) -> None:
    with PretendSms(nowhere()) as connection:
        outcome = connection.send(sms)
    assert isinstance(outcome, Refused)
    assert (outcome.kind, outcome.code) == (RefusalKind.LATER, UNREACHABLE)


def test_it_is_offered_where_the_environment_names_it(url: str, settings: Settings, sms: OutgoingSms) -> None:
    assert not is_offered(MessageProvider.PRETEND_SMS)
    messaging.use(settings.model_copy(update={"sms_sandbox_url": url}))
    try:
        assert is_offered(MessageProvider.PRETEND_SMS)
        assert check(MessageProvider.PRETEND_SMS, {}) is None
        with connect_sms(MessageProvider.PRETEND_SMS, {}) as connection:
            assert isinstance(connection.send(sms), Accepted)
        messaging.use(settings.model_copy(update={"sms_sandbox_url": nowhere()}))
        assert (check(MessageProvider.PRETEND_SMS, {}) or "").startswith("Le bac à sable des SMS ne répond pas")
    finally:
        messaging.use(settings)


def test_what_it_tells_later_is_understood() -> None:
    body = b'{"event": "bounced", "id": "sms-1", "to": "+33612345678", "text": "", "at": "2026-11-20T09:00:00+00:00"}'
    (event,) = read_webhook(MessageProvider.PRETEND_SMS, body)
    assert (event.provider_id, event.kind, event.address) == ("sms-1", MessageEventKind.BOUNCED_HARD, "+33612345678")


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"event": "x"}', b'{"event": "bounced", "at": 7}'])
def test_what_makes_no_sense_is_refused(body: bytes) -> None:
    with pytest.raises(WebhookBodyError):
        read_webhook(MessageProvider.PRETEND_SMS, body)
