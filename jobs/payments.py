"""Payment jobs."""

from uuid import UUID

from webapp import clock
from webapp.services.bank_files import files
from webapp.services.means_requests import looking
from webapp.services.provider_events import webhooks


def handle_webhooks(organisation_id: str) -> None:
    """Handle what an organisation's payment providers have told us."""
    webhooks.handle_due(UUID(organisation_id), at=clock.now())


def settle_bank_file(organisation_id: str, file_id: str) -> None:
    """Record what a confirmed bank file collected."""
    files.settle(UUID(organisation_id), UUID(file_id), at=clock.now())


def look_at_pages(organisation_id: str) -> None:
    """Ask what became of the pages on which clients give their means of payment."""
    looking.look_at_due(UUID(organisation_id), at=clock.now())
