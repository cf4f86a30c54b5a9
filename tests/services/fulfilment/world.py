"""What tests of fulfilment do and look at, in few words."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import select

from tests.services.charges.world import World
from webapp import clock
from webapp.extensions import db
from webapp.gateways.providers.protocol import PaymentOutcome, PaymentState, ProviderRefund
from webapp.models.charges import Charge
from webapp.models.clients import Client
from webapp.models.fulfilment import LIVE_LINES, BatchStatus, FulfilmentBatch, FulfilmentBatchLine, LineStatus
from webapp.models.subscriptions import Subscription
from webapp.services import outbox
from webapp.services.charges import recording
from webapp.services.fulfilment import locking
from webapp.services.fulfilment.locking import Locked

CUT_OFF = datetime.fromisoformat("2026-02-02T12:00+01:00")
"""The first one: the Monday after the Saturday on which the clock of the tests starts."""


@dataclass
class FulfilmentWorld(World):
    """One organisation, its provider and its clock."""

    def subscribe(self, price: str = "20.00", *, anchor: date = date(2026, 1, 31), **values: Any) -> Subscription:
        """As ever, to somebody whom a parcel reaches."""
        subscription = super().subscribe(price, anchor=anchor, **values)
        client = self.client_of(subscription)
        client.address_line1 = "12 bis rue des Lilas"
        db.session.commit()
        return subscription

    def client_of(self, subscription: Subscription) -> Client:
        """Who gets it."""
        return db.session.scalars(select(Client).where(Client.id == subscription.client_id)).one()

    def charge_all(self, mode: str = "succeed") -> None:
        """What is due is charged now, and fulfilment hears of it."""
        self.ledger.behave(mode)
        self.run()
        self.ledger.behave("succeed")
        self.deliver()

    def deliver(self) -> None:
        """What the worker of the outbox does."""
        outbox.deliver(self.organisation_id, at=clock.now())

    def told(self, charge: Charge, state: PaymentState, **values: Any) -> None:
        """The provider says what became of the latest attempt."""
        (attempt,) = [each for each in self.attempts() if each.charge_id == charge.id][-1:]
        recording.apply_outcome(attempt.id, PaymentOutcome(state, **values), at=clock.now())

    def reverse(self, charge: Charge) -> None:
        """The bank takes a payment back, and nobody has heard of it yet."""
        self.told(charge, PaymentState.REVERSED, reversal_reason="AM04", reversed_at=clock.now())

    def refund(self, charge: Charge, amount: str = "24.00", *, key: str = "re_1", failed: bool = False) -> None:
        """Money goes back, or a refund turns out not to have been delivered."""
        (attempt,) = [each for each in self.attempts() if each.charge_id == charge.id][-1:]
        told = ProviderRefund(
            external_id=key,
            amount=Decimal(amount),
            happened_at=clock.now(),
            refund_id=None,
            failure="expired_or_canceled_card" if failed else None,
            failed_at=clock.now() if failed else None,
        )
        recording.apply_refund(attempt.id, told, at=clock.now())

    def to_cut_off(self, cut_off: datetime = CUT_OFF, *, minutes: float = 1) -> None:
        """Go to shortly after a cut-off."""
        self.move_to(cut_off + timedelta(minutes=minutes))

    def lock(self, batch_id: UUID | None = None) -> Locked:
        """Lock a batch, by default the open one, as the timetable does."""
        return locking.lock(batch_id or self.open_batch().id, by=None, at=clock.now())

    def batches(self) -> list[FulfilmentBatch]:
        """All batches, in order."""
        statement = select(FulfilmentBatch).order_by(FulfilmentBatch.company_id, FulfilmentBatch.number)
        return list(db.session.scalars(statement.execution_options(populate_existing=True)))

    def open_batch(self) -> FulfilmentBatch:
        """The only open one."""
        (found,) = (batch for batch in self.batches() if batch.status is BatchStatus.OPEN)
        return found

    def lines(self, batch: FulfilmentBatch | None = None, *, live: bool = False) -> list[FulfilmentBatchLine]:
        """All lines, or those of a batch, or those that stand for something that is shipped."""
        statement = select(FulfilmentBatchLine).order_by(FulfilmentBatchLine.id)
        if batch is not None:
            statement = statement.where(FulfilmentBatchLine.batch_id == batch.id)
        if live:
            statement = statement.where(FulfilmentBatchLine.status.in_(LIVE_LINES))
        return list(db.session.scalars(statement.execution_options(populate_existing=True)))

    def line(self) -> FulfilmentBatchLine:
        """The only one."""
        (found,) = self.lines()
        return found

    def states(self) -> list[LineStatus]:
        """Where the lines stand."""
        return [line.status for line in self.lines()]
