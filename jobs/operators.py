"""Jobs of what operators tell us, of the files that they link to, and of what we tell them."""

from uuid import UUID

from webapp.services.operators import comparing, fetching, handling, telling


def handle(organisation_id: str) -> None:
    """Handle what an organisation's operators have told us."""
    handling.handle_due(UUID(organisation_id))


def fetch(organisation_id: str) -> None:
    """Fetch the files that they added to claims."""
    fetching.fetch_due(UUID(organisation_id))


def tell(organisation_id: str) -> None:
    """Tell them of files that were declared or decided here."""
    telling.tell_due(UUID(organisation_id))


def compare(organisation_id: str) -> None:
    """Compare their list of open files with ours."""
    comparing.compare(UUID(organisation_id))
