"""A payment at the pretend provider, and the charge that it was asked for."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from demo.payment_bank import Bank
from tests import factories
from tests.conftest import Cast
from tests.gateways.providers.conftest import SECRET, bank
from webapp.config import Settings
from webapp.extensions import db
from webapp.gateways.providers import registry
from webapp.models.base import new_id
from webapp.models.charges import AttemptStatus, ChargeAttempt, ChargeStatus
from webapp.models.contracts import PaymentMethod
from webapp.models.providers import Provider, ProviderAccount

__all__ = ["bank"]

MakeAttempt = Callable[..., ChargeAttempt]


@pytest.fixture
def account(cast: Cast, bank: Bank, settings: Settings) -> Any:
    """The organisation's account with the pretend provider."""
    update = {"payment_sandbox_url": bank.url, "payment_sandbox_secret": SECRET}
    registry.use(settings.model_copy(update=update))
    account: ProviderAccount = factories.ProviderAccountFactory()
    db.session.commit()
    yield account
    registry.close()
    registry.use(settings)


@pytest.fixture
def make_attempt(account: ProviderAccount) -> MakeAttempt:
    """A charge that is under way, with its attempt."""

    def make(status: str = "processing", **values: Any) -> ChargeAttempt:
        client = factories.ClientFactory()
        subscription = factories.SubscriptionFactory(client_id=client.id, provider_account_id=account.id)
        charge = factories.ChargeFactory(
            subscription_id=subscription.id,
            client_id=client.id,
            provider_account_id=account.id,
            payment_method=PaymentMethod.CARD,
            status=ChargeStatus(status),
        )
        attempt = ChargeAttempt(
            id=new_id(),
            charge_id=charge.id,
            number=1,
            provider_account_id=account.id,
            provider=Provider.SANDBOX,
            amount=Decimal("24.00"),
            status=AttemptStatus(status),
            **values,
        )
        db.session.add(attempt)
        db.session.commit()
        return attempt

    return make


def capture(bank: Bank, attempt: ChargeAttempt, state: str = "succeeded") -> str:
    """Make the attempt's payment at the provider; its id there."""
    asked = {
        "amount": "24.00",
        "currency": "EUR",
        "method": "pm_ok",
        "metadata": {"organisation": str(attempt.organisation_id), "attempt": str(attempt.id)},
    }
    return str(bank.new_payment(attempt.idempotency_key, asked, state)["id"])


def event_about(payment_id: str, attempt_id: UUID | None, event_id: str = "evt_1", **metadata: str) -> dict[str, Any]:
    """What a webhook tells of a payment."""
    known = {"attempt": str(attempt_id)} if attempt_id else {}
    return {"id": event_id, "type": "payment.changed", "payment": {"id": payment_id, "metadata": known | metadata}}
