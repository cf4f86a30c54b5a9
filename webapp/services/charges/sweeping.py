"""The sweeper: what waits apart from the schedule (results that nobody knows, retries, abandoned claims) is found."""

from collections import Counter
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from webapp import queue, tenancy
from webapp.models.charges import Charge, ChargeStatus
from webapp.services import each_organisation
from webapp.services.charges import loop, runs
from webapp.services.charges.claiming import LOOKED_UP, TAKEN_UP

JOB = "jobs.charges.sweep"


def ring(*, at: datetime) -> int:
    """Ring for every organisation with something to look up or to take up, and for abandoned runs.

    Returns how many organisations and runs.
    """
    waiting = find_waiting(at=at)
    for organisation_id in waiting:
        queue.enqueue_once_after_commit(JOB, organisation_id, on="charges")
    return len(waiting) + runs.ring_abandoned(at=at)


def find_waiting(*, at: datetime) -> list[UUID]:
    """The organisations in which the sweeper has something to do at ``at``."""
    abandoned = select(Charge.organisation_id).where(Charge.lease_until < at)
    up = select(Charge.organisation_id).where(
        Charge.next_attempt_at <= at, Charge.lease_until.is_(None), Charge.status.in_(TAKEN_UP | LOOKED_UP)
    )
    return each_organisation.list_found(abandoned, up)


def sweep(organisation_id: UUID) -> Counter[ChargeStatus]:
    """Look up and take up what waits in the organisation; returns how many charges came to stand where."""
    queue.heard(JOB, organisation_id)
    statuses: Counter[ChargeStatus] = Counter()
    with tenancy.organisation(organisation_id):
        loop.drive(loop.claim_overdue, on_progress=statuses.update)
    return statuses
