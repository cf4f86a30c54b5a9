"""A loop of refunds whose workers are killed: what it stands on, and what it counts. Also ``bin/bench crashes``."""

import random
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select

from tests import factories
from tests.forking import was_killed
from tests.services.charges.crash_loop import MODES, WELL_EVERY
from tests.services.charges.crashing import MortalLedger, fork_worker
from webapp import clock, tenancy
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.charges import Charge, Refund, RefundStatus
from webapp.models.invoices import Invoice
from webapp.models.payments import Payment, PaymentKind
from webapp.services.invoices import finalising
from webapp.services.refunds import commands, sending

ROUND = timedelta(minutes=6)
"""Longer than a lease, and than the provider's longest delay."""
POINTS = 6
"""A worker with one refund passes a commit, a call and a commit, each with a point before and after it."""


class RefundToll(NamedTuple):
    """How a loop ended: given back twice; asked for and not booked or not credited, or forgotten."""

    kills: int
    doubles: int
    lost: int


def ask_for_each(charges: Sequence[Charge], amount: Decimal) -> None:
    """A refund of each charge, asked for and not yet sent."""
    user = factories.UserFactory(roles=["manager"])
    for charge in charges:
        commands.refund(charge.id, refund_id=new_id(), amount=amount, reason="Colis abîmé", by=user, at=clock.now())


def crash_refunds(organisation_id: UUID, ledger: MortalLedger, rounds: int, chance: random.Random) -> int:
    """Two forked workers in each round, each with a fatal point of its own; returns how many died."""
    kills = 0
    db.session.remove()
    for number in range(rounds):
        ledger.behave(chance.choice(MODES))
        fatal = [chance.randrange(POINTS), None if number % WELL_EVERY == 0 else chance.randrange(POINTS)]
        workers = [fork_worker(organisation_id, ledger, fatal=point, what=sending.carry_out) for point in fatal]
        kills += sum([was_killed(worker) for worker in workers])
        clock.start_at(clock.now() + ROUND)
    return kills


def recover(organisation_id: UUID, ledger: MortalLedger) -> None:
    """Let time pass, with a provider and workers that are well again."""
    ledger.behave("succeed")
    for _ in range(30):
        clock.start_at(clock.now() + timedelta(hours=1))
        while sending.carry_out(organisation_id):
            pass
        finalising.finalise_drafts(organisation_id, at=clock.now())


def toll(organisation_id: UUID, ledger: MortalLedger, kills: int) -> RefundToll:
    """What the provider gave back, against what was asked for, our ledger and the credit notes."""
    given = Counter(told.refund_id for told in ledger.refunds())
    with tenancy.organisation(organisation_id):
        settled = set(db.session.scalars(select(Refund.id).where(Refund.status == RefundStatus.SUCCEEDED)))
        came_to_nothing = Refund.status.in_((RefundStatus.REFUSED, RefundStatus.FAILED))
        refused = db.session.scalars(select(Refund.id).where(came_to_nothing)).all()
        asked = db.session.scalars(select(Refund.id)).all()
        undone = select(Payment.undoes_id).where(Payment.undoes_id.is_not(None))
        is_booked = (Payment.kind == PaymentKind.REFUND) & Payment.id.not_in(undone)
        booked = db.session.scalars(select(Payment.amount).where(is_booked)).all()
        credited = db.session.scalars(
            select(Invoice.total).where(Invoice.corrects_id.is_not(None), Invoice.number.is_not(None))
        ).all()
    lost = len(asked) - len(settled) - len(refused) + len(settled ^ set(given))
    lost += abs(len(booked) - len(given)) + abs(len(credited) - len(given)) + (sorted(booked) != sorted(credited))
    return RefundToll(kills, given.total() - len(given), lost)
