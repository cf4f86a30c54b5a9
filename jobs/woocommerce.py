"""WooCommerce jobs."""

from uuid import UUID

from webapp.services.woocommerce import fetching, handling, pulling


def pull(organisation_id: str, pull_id: str) -> None:
    """Carry out a pull, or what is left of it."""
    pulling.carry_out(UUID(organisation_id), UUID(pull_id))


def fetch(organisation_id: str, shop_id: str, kind: str, woo_id: str) -> None:
    """Fetch a resource that something waits for."""
    fetching.carry_out(UUID(organisation_id), UUID(shop_id), kind, int(woo_id))


def handle(organisation_id: str) -> None:
    """Handle what an organisation's shops have told us."""
    handling.handle_due(UUID(organisation_id))
