"""Dunning jobs."""

from uuid import UUID

from webapp import clock
from webapp.services.dunning import steps


def carry_out(organisation_id: str) -> None:
    """Carry out the steps of dunning that are due in the organisation."""
    steps.carry_out(UUID(organisation_id), at=clock.now())
