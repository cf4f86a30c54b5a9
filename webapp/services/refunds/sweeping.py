"""The timetable's look for refunds whose bell was lost, or whose time has come."""

from datetime import datetime

from sqlalchemy import select

from webapp import queue, tenancy
from webapp.extensions import db
from webapp.models.charges import Refund
from webapp.services.refunds.sending import JOB


def sweep(*, at: datetime) -> int:
    """Ring for every organisation with refunds to send or to look up; returns how many organisations."""
    with tenancy.across_organisations():
        waiting = db.session.scalars(
            select(Refund.organisation_id).where(Refund.next_attempt_at <= at).distinct()
        ).all()
    for organisation_id in waiting:
        queue.enqueue_once_after_commit(JOB, organisation_id, on="payments")
    return len(waiting)
