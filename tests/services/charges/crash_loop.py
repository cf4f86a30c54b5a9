"""A loop of crashes, as long as one likes: subscriptions fall due, workers are killed, and at the end all is counted.

For the tests, and for ``bin/bench crashes``.
"""

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, func, select

from tests import factories
from tests.forking import was_killed
from tests.services.charges.crashing import MortalLedger, fork_worker, work
from webapp import clock
from webapp.extensions import db
from webapp.models.charges import Charge, ChargeStatus
from webapp.models.contracts import PaymentMethod
from webapp.models.payments import Payment

START = datetime(2026, 2, 1, 8, tzinfo=UTC)
ROUND = timedelta(minutes=7)
"""Longer than a lease, and than the provider's longest delay."""
DUE_PER_ROUND = 3
POINTS = 26
"""A worker with three charges passes about as many points."""
MODES = ("succeed", "succeed", "succeed", "timeout", "lost")


WELL_EVERY = 8
"""Every so many rounds one worker lives: a provider honours a key for twenty hours, and then a person decides."""


class Toll(NamedTuple):
    """How a loop of crashes ended: captured twice; captured and not booked, or forgotten; on the list for a person."""

    kills: int
    doubles: int
    lost: int
    left_to_person: int


def subscribe(rounds: int) -> int:
    """So many subscriptions due in each round; returns how many in all."""
    account = factories.ProviderAccountFactory(rate_per_second=100_000, max_concurrency=2)
    for number in range(rounds * DUE_PER_ROUND):
        client = factories.ClientFactory()
        saved = factories.SavedPaymentMethodFactory(client_id=client.id, provider_account_id=account.id)
        subscription = factories.SubscriptionFactory(
            client_id=client.id,
            anchor_date=date(2026, 2, 1),
            recurring_amount=Decimal(20),
            payment_method=PaymentMethod.CARD,
            saved_method_id=saved.id,
            provider_account_id=account.id,
            next_charge_on=date(2026, 2, 1),
            next_charge_at=START + number // DUE_PER_ROUND * ROUND,
        )
        factories.SubscriptionLineFactory(subscription_id=subscription.id)
    db.session.commit()
    return rounds * DUE_PER_ROUND


def recover(organisation_id: UUID, ledger: MortalLedger, at: datetime) -> None:
    """Let time pass, with a provider and workers that are well again."""
    ledger.behave("succeed")
    for _ in range(5):
        clock.start_at(at)
        work(organisation_id, ledger, fatal=None, death=lambda: None)
        at += timedelta(minutes=65)  # what is unknown for long is looked up hourly


def toll(organisation_id: UUID, ledger: MortalLedger, kills: int, expected: int) -> Toll:
    """What the provider captured, against what was to be captured and what our ledger says."""
    captures = [(subscription, cycle) for subscription, cycle, _ in ledger.captures()]
    own = Charge.organisation_id == organisation_id
    paid = _count(own, Charge.status == ChargeStatus.SUCCEEDED)
    left_to_person = _count(own, Charge.status != ChargeStatus.SUCCEEDED, Charge.attention.is_not(None))
    booked = _count(Payment.organisation_id == organisation_id)
    lost = abs(len(captures) - booked) + expected - paid - left_to_person
    return Toll(kills, len(captures) - len(set(captures)), lost, left_to_person)


def _count(*conditions: ColumnElement[bool]) -> int:
    return db.session.execute(select(func.count()).where(*conditions)).scalar_one()


def crash_warm(organisation_id: UUID, ledger: MortalLedger, rounds: int, chance: random.Random) -> tuple[int, datetime]:
    """Two forked workers in each round, each with a fatal point of its own; returns how many died, and until when."""
    kills, at = 0, START
    db.session.remove()
    for number in range(rounds):
        clock.start_at(at)
        ledger.behave(chance.choice(MODES))
        fatal = [chance.randrange(POINTS), None if number % WELL_EVERY == 0 else chance.randrange(POINTS)]
        workers = [fork_worker(organisation_id, ledger, fatal=point) for point in fatal]
        kills += sum([was_killed(worker) for worker in workers])
        at += ROUND
    return kills, at
