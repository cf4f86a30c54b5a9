"""WooCommerce jobs."""

from uuid import UUID

from webapp.services.woocommerce import pulling


def pull(organisation_id: str, pull_id: str) -> None:
    """Carry out a pull, or what is left of it."""
    pulling.carry_out(UUID(organisation_id), UUID(pull_id))
