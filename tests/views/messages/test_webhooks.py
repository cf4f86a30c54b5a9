"""The address at which providers tell what became of messages: a secret in the place of session and CSRF."""

import orjson
import pytest
from flask.testing import FlaskClient

from tests import factories
from tests.queries import recorded_queries
from webapp.extensions import db
from webapp.models.messages import Channel, MessageProvider, MessageSender

ADDRESS = "/webhooks/messages/"
pytestmark = pytest.mark.usefixtures("cast")


@pytest.fixture
def sender() -> MessageSender:
    """A company's sender by Brevo."""
    sender = MessageSender(
        company_id=factories.CompanyFactory().id,
        channel=Channel.EMAIL,
        provider=MessageProvider.BREVO,
        from_name="Verger",
        webhook_token="secret-token",
    )
    db.session.add(sender)
    db.session.commit()
    return sender


def test_what_is_of_no_message_of_ours_is_taken(sender: MessageSender, stranger: FlaskClient) -> None:
    told = {"event": "delivered", "message-id": "<1@mailin.example>", "ts_event": 1, "email": "lea@example.org"}
    answer = stranger.post(ADDRESS + sender.webhook_token, data=orjson.dumps(told))
    assert (answer.status_code, answer.data) == (200, b"")


@pytest.mark.parametrize("token", ["x", "%00", "%F0%9F", "a" * 3000, "secret-token "])
def test_an_address_of_nobody_is_not_found(sender: MessageSender, stranger: FlaskClient, token: str) -> None:
    assert stranger.post(ADDRESS + token, data=b"{}").status_code == 404


@pytest.mark.parametrize("body", [b"", b"\xff", b"[1]", b'{"event": {}}', b'{"event": "delivered"}', b"[" * 100_000])
def test_what_cannot_be_read_is_refused_without_details(
    sender: MessageSender, stranger: FlaskClient, body: bytes
) -> None:
    answer = stranger.post(ADDRESS + sender.webhook_token, data=body)
    assert (answer.status_code, answer.text) == (400, "Contenu illisible.")


def test_a_body_beyond_the_limit_is_refused(sender: MessageSender, stranger: FlaskClient) -> None:
    assert stranger.post(ADDRESS + sender.webhook_token, data=b"x" * (256 * 1024 + 1)).status_code == 413


def test_only_posts_are_taken(stranger: FlaskClient) -> None:
    assert stranger.get(ADDRESS + "x").status_code == 405


def test_whoever_guesses_is_slowed_down_and_providers_never_are(sender: MessageSender, stranger: FlaskClient) -> None:
    answers = [stranger.post(ADDRESS + "x", data=b"{}").status_code for _ in range(31)]
    assert answers == [404] * 30 + [429]
    assert stranger.post(ADDRESS + sender.webhook_token, data=b"[]").status_code == 200


def test_a_thousand_events_take_as_many_statements_as_one(sender: MessageSender, stranger: FlaskClient) -> None:
    def statements(number: int) -> int:
        events = [{"event": "delivered", "message-id": f"<{n}@x>", "ts_event": n + 1} for n in range(number)]
        with recorded_queries() as recorded:
            stranger.post(ADDRESS + sender.webhook_token, data=orjson.dumps(events))
        return len(recorded)

    assert statements(1000) == statements(2)
