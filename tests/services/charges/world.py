"""What tests of the engine do and look at, in few words."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import select

from tests import factories
from tests.services.charges.ledger import Ledger
from webapp import clock
from webapp.extensions import db
from webapp.models.charges import Charge, ChargeAttempt, ChargeRun
from webapp.models.contracts import PaymentMethod
from webapp.models.outbox import OutboxEvent
from webapp.models.payments import Payment
from webapp.models.providers import ProviderAccount, SavedPaymentMethod
from webapp.models.runs import RunTrigger
from webapp.models.subscriptions import Subscription
from webapp.services.charges import runs, sweeping
from webapp.services.subscriptions import lifecycle, scheduling


@dataclass
class World:
    """One organisation, its provider and its clock."""

    organisation_id: UUID
    ledger: Ledger
    account: ProviderAccount

    def move_to(self, instant: datetime) -> None:
        """Let the clock go on from ``instant``."""
        clock.start_at(instant)

    def wait(self, **time: float) -> None:
        """Let time pass."""
        self.move_to(clock.now() + timedelta(**time))

    def subscribe(self, price: str = "20.00", *, anchor: date = date(2026, 1, 31), **values: Any) -> Subscription:
        """An active monthly subscription with one line at 20 % VAT, paid by a card that the provider keeps."""
        client = factories.ClientFactory()
        saved = factories.SavedPaymentMethodFactory(client_id=client.id, provider_account_id=self.account.id)
        means = {
            "payment_method": PaymentMethod.CARD,
            "saved_method_id": saved.id,
            "provider_account_id": self.account.id,
        }
        subscription: Subscription = factories.SubscriptionFactory(
            client_id=client.id, anchor_date=anchor, recurring_amount=Decimal(price), **(means | values)
        )
        factories.SubscriptionLineFactory(subscription_id=subscription.id, unit_price=Decimal(price))
        scheduling.schedule(subscription, subscription.cycle_no)
        db.session.commit()
        return subscription

    def cancel(self, subscription: Subscription) -> None:
        """End it now."""
        lifecycle.cancel(subscription.id, reason="Déménagement", by=None, at=clock.now())

    def revoke_method(self, subscription: Subscription) -> None:
        """The card that the provider keeps is revoked."""
        key = (subscription.organisation_id, subscription.saved_method_id)
        db.session.get_one(SavedPaymentMethod, key).revoked_at = clock.now()
        db.session.commit()

    def run(self) -> ChargeRun:
        """What the schedule does every hour."""
        run_id, _ = runs.start(trigger=RunTrigger.COMMAND, at=clock.now(), enqueue=False)
        runs.carry_out(self.organisation_id, run_id)
        run = runs.find_run(run_id)
        assert run is not None
        return run

    def sweep(self) -> None:
        """What the sweeper does every half minute."""
        sweeping.sweep(self.organisation_id)

    def charges(self, subscription: Subscription | None = None) -> list[Charge]:
        """All charges, or those of a subscription, in the order of their cycles."""
        statement = select(Charge).order_by(Charge.cycle_no, Charge.id).execution_options(populate_existing=True)
        if subscription is not None:
            statement = statement.where(Charge.subscription_id == subscription.id)
        return list(db.session.scalars(statement))

    def charge(self, subscription: Subscription | None = None) -> Charge:
        """The only one."""
        (found,) = self.charges(subscription)
        return found

    def attempts(self) -> list[ChargeAttempt]:
        """All attempts, in their order."""
        statement = select(ChargeAttempt).order_by(ChargeAttempt.number, ChargeAttempt.id)
        return list(db.session.scalars(statement.execution_options(populate_existing=True)))

    def payments(self) -> list[Payment]:
        """The ledger, in the order of its rows."""
        return list(db.session.scalars(select(Payment).order_by(Payment.recorded_at, Payment.id)))

    def events(self) -> list[str]:
        """What was told, in order."""
        return [kind.value for kind in db.session.scalars(select(OutboxEvent.kind).order_by(OutboxEvent.id))]

    def reload(self, subscription: Subscription) -> Subscription:
        """The subscription as it stands now."""
        return db.session.scalars(
            select(Subscription).where(Subscription.id == subscription.id).execution_options(populate_existing=True)
        ).one()
