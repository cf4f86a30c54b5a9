"""What tests of dunning do and look at, in few words."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, select, update

from tests.services.charges.world import World
from webapp import clock
from webapp.clock import PARIS
from webapp.extensions import db
from webapp.gateways.providers.protocol import PaymentOutcome, PaymentState
from webapp.models.clients import Client
from webapp.models.dunning import DunningCase, DunningClaim, DunningStep, StepOutcome
from webapp.models.messages import Channel, HeldReason, Message, MessageKind, MessageStatus
from webapp.models.subscriptions import Subscription
from webapp.services import outbox
from webapp.services.charges import recording
from webapp.services.dunning import steps


@dataclass
class DunningWorld(World):
    """One organisation, its provider and its clock."""

    def subscribe(self, price: str = "20.00", *, anchor: date = date(2026, 1, 31), **values: Any) -> Subscription:
        """As ever, to somebody whom a letter reaches."""
        subscription = super().subscribe(price, anchor=anchor, **values)
        client = db.session.scalars(select(Client).where(Client.id == subscription.client_id)).one()
        client.address_line1 = "12 rue des Lilas"
        db.session.commit()
        return subscription

    def refuse(self, subscription: Subscription, mode: str = "hard") -> None:
        """Its next cycle is charged now and refused."""
        self.ledger.behave(mode)
        self.run()
        self.deliver()
        self.ledger.behave("succeed")
        assert self.charges(subscription)

    def deliver(self) -> None:
        """What the worker of the outbox does."""
        outbox.deliver(self.organisation_id, at=clock.now())

    def to_day(self, day: date, hour: int = 9) -> None:
        """Go to a day, at an hour of Paris."""
        self.move_to(datetime.combine(day, time(hour), PARIS).astimezone(UTC))

    def dun(self) -> int:
        """What the timetable does every hour; what is not a letter leaves at once."""
        done = steps.carry_out(self.organisation_id, at=clock.now())
        self._leave(Message.channel != Channel.LETTER, clock.now())
        return done

    def live_until(self, day: date, *, hour: int = 9) -> None:
        """Dun every day at nine until a day."""
        today = clock.today()
        while today < day:
            today += timedelta(days=1)
            self.to_day(today, hour)
            self.dun()

    def cases(self) -> list[DunningCase]:
        """All cases, in their order."""
        statement = select(DunningCase).order_by(DunningCase.number).execution_options(populate_existing=True)
        return list(db.session.scalars(statement))

    def case(self) -> DunningCase:
        """The only one."""
        (found,) = self.cases()
        return found

    def claims(self) -> list[DunningClaim]:
        """All claims, in the order in which they joined."""
        statement = select(DunningClaim).order_by(DunningClaim.joined_at, DunningClaim.id)
        return list(db.session.scalars(statement.execution_options(populate_existing=True)))

    def steps(self, outcome: StepOutcome | None = StepOutcome.DONE) -> list[tuple[str, date]]:
        """What was done, by action and day."""
        statement = select(DunningStep).order_by(DunningStep.at, DunningStep.id)
        return [
            (step.action.value, step.at.astimezone(PARIS).date())
            for step in db.session.scalars(statement)
            if outcome is None or step.outcome is outcome
        ]

    def find_message(self, kind: MessageKind) -> Message:
        """The only one of a kind."""
        (found,) = (message for message in self.messages() if message.kind is kind)
        return found

    def put_message(self, kind: MessageKind, status: MessageStatus) -> None:
        """Have the only message of a kind come into a state, whatever led there."""
        message = self.find_message(kind)
        message.status = status
        message.lease_until = clock.now() if status is MessageStatus.SENDING else None
        message.held_reason = HeldReason.NO_ADDRESS if status is MessageStatus.HELD else None
        db.session.commit()

    def messages(self) -> list[Message]:
        """What was written about cases, in order."""
        about = Message.subject_id.in_(select(DunningCase.id))
        statement = select(Message).where(about).order_by(Message.id).execution_options(populate_existing=True)
        return list(db.session.scalars(statement))

    def post(self, at: datetime | None = None) -> None:
        """The letters that wait are posted."""
        self._leave(Message.channel == Channel.LETTER, at or clock.now())

    def _leave(self, which: ColumnElement[bool], at: datetime) -> None:
        db.session.execute(
            update(Message)
            .where(which, Message.status.in_((MessageStatus.QUEUED, MessageStatus.HELD)))
            .values(status=MessageStatus.SENT, sent_at=at, held_reason=None)
            .execution_options(synchronize_session=False)  # the commit expires all
        )
        db.session.commit()

    def reverse_latest(self) -> None:
        """The bank takes the last payment back."""
        self.reverse(self.attempts()[-1].id)
        self.deliver()

    def reverse(self, attempt_id: UUID) -> None:
        """The bank takes a payment back, and dunning does not hear of it yet."""
        outcome = PaymentOutcome(PaymentState.REVERSED, reversal_reason="MS03", reversed_at=clock.now())
        recording.apply_outcome(attempt_id, outcome, at=clock.now())
