"""Outbox jobs."""

from uuid import UUID

from webapp import clock
from webapp.services import outbox


def deliver(organisation_id: str) -> None:
    """Deliver the events that an organisation's subscribers have not received yet."""
    outbox.deliver(UUID(organisation_id), at=clock.now())
