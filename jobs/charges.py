"""Charge jobs."""

from uuid import UUID

from webapp import clock
from webapp.services.charges import reconciling, runs, sweeping
from webapp.services.refunds import sending


def run(organisation_id: str, run_id: str) -> None:
    """Carry out a run of the charge engine, or share in it."""
    runs.carry_out(UUID(organisation_id), UUID(run_id))


def sweep(organisation_id: str) -> None:
    """Look up and take up what waits apart from the schedule."""
    sweeping.sweep(UUID(organisation_id))


def reconcile(organisation_id: str) -> None:
    """Compare the last days with what the providers say happened."""
    reconciling.reconcile(UUID(organisation_id), at=clock.now())


def refund(organisation_id: str) -> None:
    """Send or look up the refunds that were asked for."""
    sending.carry_out(UUID(organisation_id))
