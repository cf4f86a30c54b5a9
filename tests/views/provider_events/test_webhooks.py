"""The addresses of webhooks: a signature in the place of session and CSRF."""

from uuid import uuid4

import orjson
import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from tests.gateways.providers.conftest import SECRET
from tests.services.provider_events.conftest import account, bank, event_about
from webapp import clock
from webapp.extensions import db
from webapp.gateways.providers.sandbox import SIGNATURE_HEADER, sign
from webapp.models.payments import ProviderAccount, WebhookEvent

__all__ = ["account", "bank"]

SANDBOX = "/webhooks/bac-a-sable"


def body() -> bytes:
    return orjson.dumps(event_about("pay_1", uuid4()))


def signed(content: bytes) -> dict[str, str]:
    return {SIGNATURE_HEADER: sign(content, SECRET, at=clock.now())}


def number_kept() -> int:
    return db.session.scalar(select(func.count()).select_from(WebhookEvent)) or 0


def test_a_signed_webhook_is_kept_and_answered_at_once(account: ProviderAccount, stranger: FlaskClient) -> None:
    content = body()
    for _ in range(2):
        answer = stranger.post(SANDBOX, data=content, headers=signed(content))
        assert (answer.status_code, answer.data) == (200, b"")
    assert number_kept() == 1


def test_an_accounts_own_address_takes_its_webhooks_only(account: ProviderAccount, stranger: FlaskClient) -> None:
    content = body()
    assert stranger.post(f"{SANDBOX}/{uuid4()}", data=content, headers=signed(content)).status_code == 401
    assert stranger.post(f"{SANDBOX}/{account.id}", data=content, headers=signed(content)).status_code == 200


@pytest.mark.parametrize(
    "address", [SANDBOX, "/webhooks/stripe", "/webhooks/stripe/c0b7e9a4-41ab-431b-a835-b2d5d425d95f"]
)
def test_no_signature_no_entry(account: ProviderAccount, stranger: FlaskClient, address: str) -> None:
    for headers in ({}, {SIGNATURE_HEADER: "t=1,v1=00", "Stripe-Signature": "t=1,v1=00"}):
        assert stranger.post(address, data=body(), headers=headers).status_code == 401
    assert number_kept() == 0


def test_a_body_beyond_the_limit_is_refused(account: ProviderAccount, stranger: FlaskClient) -> None:
    content = b"x" * (256 * 1024 + 1)
    assert stranger.post(SANDBOX, data=content, headers=signed(content)).status_code == 413


def test_only_posts_are_taken(account: ProviderAccount, stranger: FlaskClient) -> None:
    assert stranger.get(SANDBOX).status_code == 405
