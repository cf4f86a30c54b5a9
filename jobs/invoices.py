"""Invoice jobs."""

from uuid import UUID

from webapp import clock
from webapp.services.invoices import finalising


def finalise(organisation_id: str) -> None:
    """Number an organisation's drafts."""
    finalising.finalise_drafts(UUID(organisation_id), at=clock.now())
