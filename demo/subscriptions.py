"""Subscriptions of the demo organisation, paid through the sandbox by methods that behave as they are called.

Called at every start, and at home in an organisation that was seeded before there were subscriptions: what is there
already is left as it is.
"""

from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple

from sqlalchemy import select

from demo.dunning import add_unpaid, is_shipped
from webapp import clock
from webapp.extensions import db
from webapp.models.banking import Mandate
from webapp.models.base import new_id
from webapp.models.clients import Client
from webapp.models.contracts import PaymentMethod
from webapp.models.organisations import Company
from webapp.models.providers import Provider, ProviderAccount, SavedPaymentMethod
from webapp.services.providers.accounts import find_account, save_account
from webapp.services.subscriptions import lifecycle
from webapp.services.subscriptions.coupons import CouponFields, create_coupon
from webapp.services.subscriptions.creation import create_subscription
from webapp.services.subscriptions.fields import Opening, SubscriptionFields, SubscriptionLineFields
from webapp.services.subscriptions.means import PaymentFields
from webapp.transactions import transaction

LEGAL_DETAILS = {
    "legal_form": "SAS",
    "share_capital": Decimal(50_000),
    "registry_city": "Lille",
    "vat_number": "FR44732829320",
    "address_line1": "12 rue de la Démonstration",
    "postcode": "59000",
    "city": "Lille",
    "email": "facturation@example.com",
    "phone": "+33199000000",
}
"""What the law wants on an invoice; the company is as made up as its clients."""


FREE_MONTH = Opening(trial_cycles=1, setup_fee=Decimal("19.00"), setup_vat_rate=Decimal(20))


class Story(NamedTuple):
    """One subscription: what is sold, how often, when its first cycle falls due, how it is paid, what it is offered."""

    offer: str
    price: str
    vat_rate: str
    frequency: str
    due_in: int
    method: str
    state: str = "active"
    coupon: str = ""
    opening: Opening = Opening()


COUPONS = (
    CouponFields(code="BIENVENUE", label="Bienvenue", percent=Decimal(20), cycles=3),
    CouponFields(code="FIDELITE-5", label="Fidélité", amount=Decimal("5.00")),
)

STORIES = (
    Story("Box café découverte", "24.00", "5.5", "monthly", 0, "pm_ok"),
    Story("Box café découverte", "24.00", "5.5", "biweekly", 0, "pm_ok"),
    Story("Box café maison", "39.00", "5.5", "monthly", 0, "pm_insufficient_funds"),
    Story("Assistance habitation", "12.90", "20", "monthly", 0, "pm_ok", coupon="BIENVENUE"),
    Story("Assistance habitation", "12.90", "20", "monthly", 0, "pm_stolen_card"),
    Story("Électricité verte", "89.90", "20", "monthly", 0, "mandate"),
    Story("Mobile 100 Go", "15.99", "20", "monthly", 1, "pm_authentication"),
    Story("Fibre 2 Gb/s", "39.99", "20", "monthly", 2, "pm_processing", coupon="FIDELITE-5"),
    Story("Box café découverte", "24.00", "5.5", "weekly", 3, "pm_reverse"),
    Story("Entretien chaudière", "129.00", "10", "annual", 5, "pm_ok", "pending"),
    Story("Box café maison", "39.00", "5.5", "quarterly", 10, "pm_ok", "paused"),
    Story("Mobile 100 Go", "15.99", "20", "bimonthly", 12, "none", "pending", opening=FREE_MONTH),
)


def add_subscriptions() -> None:
    """Make the sandbox account and the subscriptions of the current organisation, where it has none yet."""
    with transaction():
        company = db.session.scalars(select(Company).where(Company.is_default)).one()
        if find_account(company.id, Provider.SANDBOX):
            return
        for name, value in LEGAL_DETAILS.items():
            setattr(company, name, getattr(company, name) or value)
        account = save_account(company.id, Provider.SANDBOX)
        for coupon in COUPONS:
            create_coupon(coupon, by=None, at=clock.now() - timedelta(days=100))
        for number, (story, client) in enumerate(zip(STORIES, _find_clients(), strict=False)):
            _tell(story, number, client, account)
        add_unpaid(account, at=clock.now())


def _find_clients() -> list[Client]:
    """Clients of our own who have a mandate, so that each way to pay can be told."""
    has_mandate = select(Mandate.client_id)
    statement = select(Client).where(Client.source.is_(None), Client.id.in_(has_mandate)).order_by(Client.created_at)
    return list(db.session.scalars(statement.limit(len(STORIES))))


def _tell(story: Story, number: int, client: Client, account: ProviderAccount) -> None:
    now = clock.now()
    began = now - timedelta(days=7 * (number + 1))
    line = SubscriptionLineFields(
        label=story.offer,
        unit_price=Decimal(story.price),
        vat_rate=Decimal(story.vat_rate),
        is_shipped=is_shipped(story.offer),
    )
    subscription = create_subscription(
        SubscriptionFields(
            client_id=client.id,
            frequency=story.frequency,
            anchor_date=now.astimezone(clock.PARIS).date() + timedelta(days=story.due_in),
            lines=[line],
            payment=_payment(story, number, client, account),
            coupon=story.coupon,
            opening=story.opening,
        ),
        by=None,
        at=began,
    )
    if story.state != "pending":
        lifecycle.activate(subscription.id, by=None, at=began)
    if story.state == "paused":
        lifecycle.pause(subscription.id, reason="Le client déménage.", by=None, at=began + timedelta(days=2))


def _payment(story: Story, number: int, client: Client, account: ProviderAccount) -> PaymentFields:
    if story.method == "none":
        return PaymentFields()
    if story.method == "mandate":
        mandate = db.session.scalars(select(Mandate).where(Mandate.client_id == client.id)).first()
        return PaymentFields(method=PaymentMethod.SEPA, mandate_id=mandate.id if mandate else None)
    saved = SavedPaymentMethod(
        id=new_id(),
        client_id=client.id,
        provider_account_id=account.id,
        method=PaymentMethod.CARD,
        method_reference=f"{story.method}_{number:02d}",
        label=f"Visa •••• {4200 + number}",
    )
    db.session.add(saved)
    db.session.flush()
    return PaymentFields(method=PaymentMethod.CARD, saved_method_id=saved.id)
