"""WooCommerce jobs."""

from uuid import UUID

from webapp.services.woocommerce import handling, pulling


def pull(organisation_id: str, pull_id: str) -> None:
    """Carry out a pull, or what is left of it."""
    pulling.carry_out(UUID(organisation_id), UUID(pull_id))


def handle(organisation_id: str) -> None:
    """Handle what an organisation's shops have told us."""
    handling.handle_due(UUID(organisation_id))
