"""What invoices stand on: a charge whose amounts and lines are frozen, and money in the ledger."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.conftest import Cast
from tests.factories import ChargeFactory, ClientFactory, SubscriptionFactory
from webapp.extensions import db
from webapp.models.charges import Charge
from webapp.models.money import totals
from webapp.models.payments import Payment, PaymentKind

NOW = datetime(2026, 2, 1, 9, tzinfo=UTC)


def frozen_lines(*lines: tuple[str, str, str]) -> list[dict[str, Any]]:
    """Lines of one piece each, as the engine freezes them: label, price before tax, VAT rate."""
    return [
        {
            "label": label,
            "product_id": None,
            "quantity": "1",
            "unit_price": price,
            "discount": "0",
            "vat_rate": rate,
            "amount": price,
        }
        for label, price, rate in lines
    ]


@pytest.fixture
def make_charge(cast: Cast) -> Callable[..., Charge]:
    """A charge of a new subscription, for the given lines; one of 20 € before tax at 20 % by default."""

    def make(*lines: tuple[str, str, str], **values: Any) -> Charge:
        client = values.pop("client", None) or ClientFactory(last_name="Durand", first_name="Léa", city="Lille")
        subscription = SubscriptionFactory(client_id=client.id)
        frozen = frozen_lines(*(lines or (("Coffret découverte", "20.00", "20"),)))
        total = totals((Decimal(line["vat_rate"]), Decimal(line["amount"])) for line in frozen)
        charge: Charge = ChargeFactory(
            subscription_id=subscription.id,
            client_id=client.id,
            lines=frozen,
            vat=total.as_json(),
            amount_before_tax=total.before_tax,
            amount=total.with_tax,
            **values,
        )
        return charge

    return make


def pay(charge: Charge, amount: str | None = None, kind: PaymentKind = PaymentKind.CAPTURE) -> Payment:
    """Add a movement of a charge's money to the ledger."""
    payment = Payment(
        company_id=charge.company_id,
        client_id=charge.client_id,
        charge_id=charge.id,
        kind=kind,
        amount=Decimal(amount) if amount else charge.amount,
        currency=charge.currency,
        happened_at=NOW,
    )
    db.session.add(payment)
    db.session.flush()
    return payment
