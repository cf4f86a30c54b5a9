"""OVH: signed requests, against answers of its API's shape."""

import hashlib

import pytest

from tests.gateways.messaging.canned import Canned
from tests.gateways.messaging.conftest import nowhere
from webapp.gateways.messaging import (
    UNREACHABLE,
    Accepted,
    Outcome,
    OutgoingSms,
    RefusalKind,
    Refused,
    Unknown,
    WebhookBodyError,
    honoured_for,
    read_webhook,
)
from webapp.gateways.messaging.ovh import OvhConnection, check
from webapp.models.messages import MessageProvider

CREDENTIALS = {
    "service_name": "sms-ab12345-1",
    "application_key": "application-key",
    "application_secret": "application-secret",
    "consumer_key": "consumer-key",
}
TAKEN = {
    "totalCreditsRemoved": 1,
    "invalidReceivers": [],
    "ids": [27814656],
    "validReceivers": ["+33612345678"],
}


@pytest.fixture
def ovh(canned: Canned) -> Canned:
    """OVH, which tells the time."""
    canned.others["/1.0/auth/time"] = 1795165200
    return canned


def send(ovh: Canned, sms: OutgoingSms) -> Outcome:
    with OvhConnection(CREDENTIALS, url=f"{ovh.url}/1.0") as connection:
        return connection.send(sms)


def test_an_sms_is_sent_by_a_signed_request(ovh: Canned, sms: OutgoingSms) -> None:
    ovh.answers(200, TAKEN)
    assert send(ovh, sms) == Accepted("27814656", "credits: 1")
    (asked,) = ovh.requests
    assert (asked.method, asked.path) == ("POST", "/1.0/sms/sms-ab12345-1/jobs")
    assert asked.said == {
        "message": sms.text,
        "receivers": ["+33612345678"],
        "sender": "VENTES",
        "noStopClause": True,
        "priority": "high",
        "charset": "UTF-8",
        "coding": "7bit",
    }
    moment = asked.headers["X-Ovh-Timestamp"]
    assert 0 <= int(moment) - 1795165200 < 30
    url = f"{ovh.url}{asked.path}"
    signed = "+".join(["application-secret", "consumer-key", "POST", url, asked.body.decode(), moment])
    assert asked.headers["X-Ovh-Signature"] == "$1$" + hashlib.sha1(signed.encode()).hexdigest()  # noqa: S324  # theirs
    assert (asked.headers["X-Ovh-Application"], asked.headers["X-Ovh-Consumer"]) == ("application-key", "consumer-key")
    assert b"secret" not in asked.body


def test_what_is_beyond_the_alphabet_of_sms_takes_two_bytes_a_character(ovh: Canned) -> None:
    ovh.answers(200, TAKEN)
    send(ovh, OutgoingSms("k", "VENTES", "+33612345678", "Prêt ❤"))
    assert ovh.requests[0].said["coding"] == "8bit"


def test_a_number_that_is_none_is_refused_for_its_address(ovh: Canned, sms: OutgoingSms) -> None:
    ovh.answers(200, {"totalCreditsRemoved": 0, "invalidReceivers": [sms.to], "ids": [], "validReceivers": []})
    outcome = send(ovh, sms)
    assert isinstance(outcome, Refused)
    assert outcome.kind is RefusalKind.ADDRESS


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (403, {"errorCode": "NOT_GRANTED_CALL", "message": "This call has not been granted"}, RefusalKind.ACCOUNT),
        (403, {"errorCode": "INVALID_CREDENTIAL", "message": "This credential is not valid"}, RefusalKind.ACCOUNT),
        (404, {"message": "The requested object (service_name = x) does not exist"}, RefusalKind.ACCOUNT),
        (402, {"message": "Not enough credits"}, RefusalKind.ACCOUNT),
        (400, {"message": "Sender VENTES does not exist"}, RefusalKind.ACCOUNT),
        (400, {"message": "Invalid receivers"}, RefusalKind.ADDRESS),
        (400, {"message": "Message is too long"}, RefusalKind.CONTENT),
        (429, {"message": "Too many requests"}, RefusalKind.LATER),
    ],
)
def test_a_refusal_says_what_it_is_about(
    status: int, body: object, kind: RefusalKind, ovh: Canned, sms: OutgoingSms
) -> None:
    ovh.answers(status, body)
    outcome = send(ovh, sms)
    assert isinstance(outcome, Refused)
    assert outcome.kind is kind


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, {"message": "Internal"}), (503, b"<html>"), (200, {}), (200, b"<html>"), (200, []), (307, {})],
)
def test_nobody_knows_what_became_of_it(status: int, body: object, ovh: Canned, sms: OutgoingSms) -> None:
    ovh.answers(status, body, Location=f"{ovh.url}/elsewhere")
    assert isinstance(send(ovh, sms), Unknown)
    assert len(ovh.requests) == 1


def test_a_connection_that_breaks_leaves_it_unknown(ovh: Canned, sms: OutgoingSms) -> None:
    ovh.hangs_up = True
    assert isinstance(send(ovh, sms), Unknown)
    assert len(ovh.requests) == 1


def test_without_the_time_nothing_is_sent(canned: Canned, sms: OutgoingSms) -> None:
    canned.answers(503, {})
    outcome = send(canned, sms)
    assert isinstance(outcome, Refused)
    assert (outcome.kind, outcome.code) == (RefusalKind.LATER, UNREACHABLE)
    assert [asked.method for asked in canned.requests] == ["GET"]


@pytest.mark.parametrize("key", ["", "  ", "a key\r\nX-Injected: yes", "clé"])
def test_a_key_that_is_none_is_the_accounts_fault_and_not_told(key: str, canned: Canned, sms: OutgoingSms) -> None:
    with OvhConnection(CREDENTIALS | {"consumer_key": key}, url=canned.url) as connection:
        outcome, sentence = connection.send(sms), connection.fault()
    assert outcome == Refused(RefusalKind.ACCOUNT, "settings", "a key is missing, or is none")
    assert sentence == "Une clé manque, ou contient des caractères qu’aucune clé ne contient."
    assert canned.requests == []


def test_a_server_that_is_not_there_has_got_nothing(sms: OutgoingSms) -> None:
    outcome = send(Canned(url=nowhere()), sms)
    assert isinstance(outcome, Refused)
    assert (outcome.kind, outcome.code) == (RefusalKind.LATER, UNREACHABLE)


def test_the_connection_is_checked_without_sending(ovh: Canned) -> None:
    ovh.answers(200, {"name": "sms-ab12345-1", "creditsLeft": 12})
    assert check(CREDENTIALS, url=f"{ovh.url}/1.0") is None
    ovh.answers(404, {"message": "The requested object does not exist"})
    assert check(CREDENTIALS, url=f"{ovh.url}/1.0") == "OVH ne connaît pas ce compte SMS."
    ovh.answers(403, {"message": "This credential is not valid"})
    assert check(CREDENTIALS, url=f"{ovh.url}/1.0") == "OVH refuse\u202f: This credential is not valid"
    assert (check(CREDENTIALS, url=nowhere()) or "").startswith("OVH ne répond pas")
    assert {asked.method for asked in ovh.requests} == {"GET"}


def test_it_knows_neither_keys_nor_webhooks() -> None:
    assert honoured_for(MessageProvider.OVH, is_sms=True) is None
    with pytest.raises(WebhookBodyError):
        read_webhook(MessageProvider.OVH, b"{}")
