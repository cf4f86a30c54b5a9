"""The timetable's look for refunds whose bell was lost, or whose time has come."""

from datetime import datetime

from sqlalchemy import select

from webapp.models.charges import Refund
from webapp.services import each_organisation
from webapp.services.refunds.sending import JOB


def sweep(*, at: datetime) -> int:
    """Ring for every organisation with refunds to send or to look up; returns how many organisations."""
    waiting = select(Refund.organisation_id).where(Refund.next_attempt_at <= at)
    return each_organisation.ring(JOB, waiting, on="payments")
