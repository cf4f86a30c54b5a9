"""The addresses of webhooks: a signature in the place of session and CSRF."""

from uuid import uuid4

import orjson
import pytest
from flask.testing import FlaskClient
from limits.storage import RedisStorage
from sqlalchemy import func, select

from tests import factories
from tests.conftest import Cast
from tests.gateways.providers.conftest import SECRET
from tests.services.provider_events.conftest import account, bank, event_about
from webapp import clock, crypto
from webapp.extensions import db, limiter
from webapp.gateways.providers import stripe
from webapp.gateways.providers.registry import is_signed
from webapp.gateways.providers.sandbox import SIGNATURE_HEADER, sign
from webapp.models.provider_events import WebhookEvent
from webapp.models.providers import Provider, ProviderAccount

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


@pytest.fixture
def decryptions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where each value that is decrypted belongs."""
    places: list[str] = []
    decrypt = crypto.Keyring.decrypt

    def counted(ring: crypto.Keyring, ciphertext: bytes, *, place: str) -> bytes:
        places.append(place)
        return decrypt(ring, ciphertext, place=place)

    monkeypatch.setattr(crypto.Keyring, "decrypt", counted)
    return places


def test_a_call_without_a_signature_opens_no_secret_and_one_to_an_account_its_own_only(
    cast: Cast, stranger: FlaskClient, decryptions: list[str]
) -> None:
    first, *_ = [_stripe_account() for _ in range(3)]
    stranger.post("/webhooks/stripe", data=body())
    assert decryptions == []
    wrong = {"Stripe-Signature": "t=1,v1=00"}
    stranger.post(f"/webhooks/stripe/{first.id}", data=body(), headers=wrong)
    assert len({place for place in decryptions if "provider_accounts" in place}) == 1
    decryptions.clear()
    stranger.post("/webhooks/stripe", data=f'{{"organisation": "{uuid4()}"}}', headers=wrong)
    assert decryptions == []


def _stripe_account() -> ProviderAccount:
    made: ProviderAccount = factories.ProviderAccountFactory(
        provider=Provider.STRIPE, company_id=factories.CompanyFactory().id
    )
    made.keep_credentials({"api_key": f"sk_test_{made.id.hex}", "webhook_secret": f"whsec_{made.id.hex}"})
    db.session.commit()
    return made


def test_calls_that_nobody_signed_have_a_rate_and_signed_ones_to_an_accounts_own_address_none(
    account: ProviderAccount, stranger: FlaskClient
) -> None:
    answers = [stranger.post(SANDBOX, data=body()).status_code for _ in range(31)]
    assert answers == [401] * 30 + [429]
    content = body()
    assert stranger.post(f"{SANDBOX}/{account.id}", data=content, headers=signed(content)).status_code == 200
    elsewhere = {"REMOTE_ADDR": "192.0.2.7"}
    answer = stranger.post(SANDBOX, data=content, headers=signed(content), environ_overrides=elsewhere)
    assert answer.status_code == 200


def test_without_redis_webhooks_are_taken_and_refused_all_the_same(
    account: ProviderAccount, stranger: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limiter.limiter, "storage", RedisStorage("redis://127.0.0.1:9"))
    content = body()
    assert stranger.post(SANDBOX, data=content).status_code == 401
    assert stranger.post(SANDBOX, data=content, headers=signed(content)).status_code == 200


def test_the_headers_of_signatures_are_the_providers_own() -> None:
    for kind, header in ((Provider.STRIPE, stripe.SIGNATURE_HEADER), (Provider.SANDBOX, SIGNATURE_HEADER)):
        assert is_signed(kind, {header: "x"})
        assert not is_signed(kind, {header: ""})
    assert not is_signed(Provider.SEPA_FILE, {"": "x"})
