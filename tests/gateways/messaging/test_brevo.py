"""Brevo: its official library, against answers of its API's shape."""

from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

import orjson
import pytest

from tests.gateways.messaging.canned import Canned
from tests.gateways.messaging.conftest import MakeEmail, nowhere
from webapp.gateways.messaging import (
    UNREACHABLE,
    Accepted,
    Address,
    AttachedFile,
    InlineImage,
    Outcome,
    OutgoingEmail,
    OutgoingSms,
    ProviderEvent,
    RefusalKind,
    Refused,
    Unknown,
    WebhookBodyError,
    honoured_for,
    read_webhook,
)
from webapp.gateways.messaging.brevo import BrevoEmail, BrevoSms, check
from webapp.models.messages import MessageEventKind, MessageProvider

CREDENTIALS = {"api_key": "xkeysib-of-the-tests"}
TAKEN = {"messageId": "<202611200900.1234@smtp-relay.mailin.fr>"}


def send(canned: Canned, email: OutgoingEmail, *, patience: float = 5.0) -> Outcome:
    with BrevoEmail(CREDENTIALS, url=f"{canned.url}/v3", patience=patience) as connection:
        return connection.send(email)


def text(canned: Canned, sms: OutgoingSms) -> Outcome:
    with BrevoSms(CREDENTIALS, url=f"{canned.url}/v3") as connection:
        return connection.send(sms)


def test_an_email_is_sent_with_our_key_and_our_message_id(canned: Canned, make_email: MakeEmail) -> None:
    canned.answers(201, TAKEN)
    email = make_email(
        key="0197a3c4-7b1e-7c3a-9d2b-5b1f0c8e4a11",
        reply_to=Address("Camille Roux", "camille@ventes.example"),
        headers={"List-Unsubscribe": "<https://crm.ventes.example/d/1>"},
        attachments=(AttachedFile("facture.pdf", "application/pdf", b"%PDF"),),
    )
    assert send(canned, email) == Accepted(TAKEN["messageId"])
    (asked,) = canned.requests
    assert (asked.method, asked.path) == ("POST", "/v3/smtp/email")
    assert asked.headers["api-key"] == CREDENTIALS["api_key"]
    assert asked.said == {
        "sender": {"email": "contact@ventes.example", "name": "Ventes du Nord"},
        "to": [{"email": "lea@example.com", "name": "Léa Durand"}],
        "replyTo": {"email": "camille@ventes.example", "name": "Camille Roux"},
        "subject": email.subject,
        "textContent": email.text,
        "htmlContent": email.html,
        "headers": {
            "List-Unsubscribe": "<https://crm.ventes.example/d/1>",
            "idempotencyKey": email.key,
            "X-Mailin-custom": email.message_id,
        },
        "attachment": [{"name": "facture.pdf", "content": "JVBERg=="}],
    }


def test_the_key_is_a_uuid_and_always_the_same(canned: Canned, make_email: MakeEmail) -> None:
    canned.answers(201, TAKEN)
    email = make_email(key="notice:charge-7:first")
    send(canned, email)
    send(canned, email)
    first, second = (asked.said["headers"]["idempotencyKey"] for asked in canned.requests)
    assert first == second
    assert UUID(first)


def test_an_image_that_brevo_could_not_show_travels_within_the_html(canned: Canned, make_email: MakeEmail) -> None:
    canned.answers(201, TAKEN)
    logo = InlineImage("logo@ventes.example", "image/png", b"png")
    send(canned, make_email(html='<img src="cid:logo@ventes.example" alt="Ventes">', inline=(logo,)))
    assert canned.requests[0].said["htmlContent"] == '<img src="data:image/png;base64,cG5n" alt="Ventes">'


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, {"code": "unauthorized", "message": "Key not found"}, RefusalKind.ACCOUNT),
        (402, {"code": "not_enough_credits", "message": "Insufficient credits"}, RefusalKind.ACCOUNT),
        (400, {"code": "not_enough_credits", "message": "no more"}, RefusalKind.ACCOUNT),
        (403, {"code": "permission_denied", "message": "SMTP account is not yet activated"}, RefusalKind.ACCOUNT),
        (400, {"code": "invalid_parameter", "message": "sender is not valid"}, RefusalKind.ACCOUNT),
        (400, {"code": "invalid_parameter", "message": "email is not valid in to"}, RefusalKind.ADDRESS),
        (400, {"code": "missing_parameter", "message": "subject is missing"}, RefusalKind.CONTENT),
        (413, b"<html>Request Entity Too Large</html>", RefusalKind.CONTENT),
        (429, {"code": "too_many_requests", "message": "Rate limit reached"}, RefusalKind.LATER),
    ],
)
def test_a_refusal_says_what_it_is_about(
    status: int, body: object, kind: RefusalKind, canned: Canned, make_email: MakeEmail
) -> None:
    canned.answers(status, body)
    outcome = send(canned, make_email())
    assert isinstance(outcome, Refused)
    assert outcome.kind is kind
    assert len(canned.requests) == 1


@pytest.mark.parametrize("code", ["duplicate_request", "Request already processed"])
def test_what_was_taken_before_under_the_same_key_is_taken(code: str, canned: Canned, make_email: MakeEmail) -> None:
    canned.answers(400, {"code": code, "message": "idempotencyKey already used"})
    assert isinstance(send(canned, make_email()), Accepted)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, {"code": "internal", "message": "oops"}),
        (502, b"<html>Bad Gateway</html>"),
        (409, {"code": "conflict", "message": "under way"}),
        (201, {}),
        (201, b"not JSON"),
        (307, {}),
    ],
)
def test_nobody_knows_what_became_of_it(status: int, body: object, canned: Canned, make_email: MakeEmail) -> None:
    """And nothing is sent again behind our back."""
    canned.answers(status, body, Location=f"{canned.url}/v3/elsewhere")
    assert isinstance(send(canned, make_email()), Unknown)
    assert len(canned.requests) == 1


def test_a_connection_that_breaks_leaves_it_unknown_and_is_not_tried_again(
    canned: Canned, make_email: MakeEmail, sms: OutgoingSms
) -> None:
    canned.hangs_up = True
    assert isinstance(send(canned, make_email()), Unknown)
    assert isinstance(text(canned, sms), Unknown)
    assert len(canned.requests) == 2


@pytest.mark.parametrize("key", ["", "  ", "a key\r\nX-Injected: yes", "clé"])
def test_a_key_that_is_none_is_the_accounts_fault_and_not_told(key: str, canned: Canned, sms: OutgoingSms) -> None:
    with BrevoSms({"api_key": key}, url=canned.url) as connection:
        outcome, sentence = connection.send(sms), connection.fault()
    assert outcome == Refused(RefusalKind.ACCOUNT, "settings", "a key is missing, or is none")
    assert sentence == "Une clé manque, ou contient des caractères qu’aucune clé ne contient."
    assert canned.requests == []


def test_a_server_that_is_not_there_has_got_nothing(make_email: MakeEmail) -> None:
    outcome = send(Canned(url=nowhere()), make_email())
    assert isinstance(outcome, Refused)
    assert (outcome.kind, outcome.code) == (RefusalKind.LATER, UNREACHABLE)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"subject": "Bonjour\r\nBcc: all@example.com"}, RefusalKind.CONTENT),
        ({"subject": "Bonjour\u2028Bcc: all@example.com"}, RefusalKind.CONTENT),
        ({"sender": Address("Ventes\x00", "contact@ventes.example")}, RefusalKind.CONTENT),
        ({"headers": {"X-A": "b\nc"}}, RefusalKind.CONTENT),
        ({"to": "lea"}, RefusalKind.ADDRESS),
        ({"sender": Address("Ventes", "contact")}, RefusalKind.ACCOUNT),
    ],
)
def test_what_cannot_be_written_is_refused_here(
    change: dict[str, object], kind: RefusalKind, canned: Canned, make_email: MakeEmail
) -> None:
    outcome = send(canned, make_email(**change))
    assert isinstance(outcome, Refused)
    assert outcome.kind is kind
    assert canned.requests == []


@pytest.mark.parametrize(("content", "is_unicode"), [("Prélevé : 24,00 €", False), ("Prêt ❤", True)])
def test_an_sms_is_sent_as_transactional(content: str, is_unicode: bool, canned: Canned) -> None:
    canned.answers(201, {"reference": "ab1cde2fgh3i4jklmno", "messageId": 1511882900176220, "smsCount": 1})
    outcome = text(canned, OutgoingSms("k", "VENTES", "+33612345678", content))
    assert outcome == Accepted("1511882900176220")
    (asked,) = canned.requests
    assert asked.path == "/v3/transactionalSMS/sms"
    assert asked.said == {
        "sender": "VENTES",
        "recipient": "+33612345678",
        "content": content,
        "type": "transactional",
        "unicodeEnabled": is_unicode,
    }


def test_an_sms_to_no_number_is_refused_for_its_address(canned: Canned, sms: OutgoingSms) -> None:
    canned.answers(400, {"code": "invalid_parameter", "message": "Invalid telephone number"})
    outcome = text(canned, sms)
    assert isinstance(outcome, Refused)
    assert outcome.kind is RefusalKind.ADDRESS


def test_an_email_has_a_key_and_an_sms_has_none() -> None:
    assert honoured_for(MessageProvider.BREVO) is not None
    assert honoured_for(MessageProvider.BREVO, is_sms=True) is None
    assert honoured_for(MessageProvider.SMTP) is None


def test_the_connection_is_checked_without_sending(canned: Canned) -> None:
    canned.answers(200, {"email": "a@b.example", "firstName": "A", "lastName": "B", "companyName": "C"})
    assert check(CREDENTIALS, url=f"{canned.url}/v3") is None
    canned.answers(401, {"code": "unauthorized", "message": "Key not found"})
    assert (check(CREDENTIALS, url=f"{canned.url}/v3") or "").startswith("Brevo refuse la clé")
    assert (check(CREDENTIALS, url=nowhere()) or "").startswith("Brevo ne répond pas")
    assert {asked.method for asked in canned.requests} == {"GET"}


class TestWebhooks:
    """What Brevo tells us later."""

    EMAIL: ClassVar[dict[str, Any]] = {
        "id": 26224,
        "date": "2026-11-20 10:00:00",
        "ts": 1795165200,
        "ts_event": 1795165200,
        "ts_epoch": 1795165200123,
        "email": "lea@example.com",
        "message-id": TAKEN["messageId"],
        "X-Mailin-custom": "<message-1@ventes.example>",
        "subject": "Votre prélèvement",
    }
    SMS: ClassVar[dict[str, Any]] = {
        "id": 34,
        "to": "33612345678",
        "sms_count": 1,
        "messageId": 1511882900176220,
        "ts_event": 1795165200,
        "type": "transactional",
    }
    AT = datetime.fromtimestamp(1795165200, UTC)

    @pytest.mark.parametrize(
        ("event", "kind"),
        [
            ("request", MessageEventKind.ACCEPTED),
            ("delivered", MessageEventKind.DELIVERED),
            ("hard_bounce", MessageEventKind.BOUNCED_HARD),
            ("hardBounce", MessageEventKind.BOUNCED_HARD),
            ("blocked", MessageEventKind.BOUNCED_HARD),
            ("soft_bounce", MessageEventKind.BOUNCED_SOFT),
            ("spam", MessageEventKind.COMPLAINED),
            ("unsubscribed", MessageEventKind.UNSUBSCRIBED),
            ("reply", MessageEventKind.REPLIED),
        ],
    )
    def test_what_became_of_an_email(self, event: str, kind: MessageEventKind) -> None:
        body = orjson.dumps(self.EMAIL | {"event": event, "reason": "550 5.1.1\r\nno such user"})
        assert read_webhook(MessageProvider.BREVO, body) == [
            ProviderEvent(
                TAKEN["messageId"],
                "<message-1@ventes.example>",
                kind,
                self.AT,
                "lea@example.com",
                "550 5.1.1 no such user",
            )
        ]

    @pytest.mark.parametrize("event", ["opened", "unique_opened", "click", "deferred", "something new"])
    def test_what_changes_nothing_is_passed_over(self, event: str) -> None:
        assert read_webhook(MessageProvider.BREVO, orjson.dumps(self.EMAIL | {"event": event})) == []

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            ("accepted", MessageEventKind.ACCEPTED),
            ("delivered", MessageEventKind.DELIVERED),
            ("hard_bounce", MessageEventKind.BOUNCED_HARD),
            ("blacklisted", MessageEventKind.BOUNCED_HARD),
            ("rejected", MessageEventKind.BOUNCED_SOFT),
            ("unsubscribe", MessageEventKind.UNSUBSCRIBED),
            ("replied", MessageEventKind.REPLIED),
        ],
    )
    def test_what_became_of_an_sms(self, status: str, kind: MessageEventKind) -> None:
        body = orjson.dumps(self.SMS | {"msg_status": status, "reply": "Stop"})
        (event,) = read_webhook(MessageProvider.BREVO, body)
        assert event == ProviderEvent("1511882900176220", None, kind, self.AT, "+33612345678", "Stop")

    def test_several_at_once_come_oldest_first(self) -> None:
        late = self.EMAIL | {"event": "delivered"}
        early = self.EMAIL | {"event": "request", "ts_event": 1795165100}
        kinds = [event.kind for event in read_webhook(MessageProvider.BREVO, orjson.dumps([late, early]))]
        assert kinds == [MessageEventKind.ACCEPTED, MessageEventKind.DELIVERED]

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"\xff",
            b"null",
            b"7",
            b"[[]]",
            b"{}",
            b'{"event": null}',
            b'{"event": "delivered"}',
            b'{"event": "delivered", "ts_event": "soon"}',
            b'{"event": "delivered", "ts_event": 1e40}',
            b'{"msg_status": "delivered", "ts_event": 1}',
        ],
    )
    def test_what_makes_no_sense_is_refused(self, body: bytes) -> None:
        with pytest.raises(WebhookBodyError):
            read_webhook(MessageProvider.BREVO, body)
