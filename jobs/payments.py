"""Payment jobs."""

from uuid import UUID

from webapp import clock
from webapp.services.payments import webhooks


def handle_webhooks(organisation_id: str) -> None:
    """Handle what an organisation's payment providers have told us."""
    webhooks.handle_due(UUID(organisation_id), at=clock.now())
