"""Jobs of duplicates."""

from uuid import UUID

from webapp.services.duplicates import searches


def find(organisation_id: str, search_id: str) -> None:
    """Carry out a search, or what is left of it."""
    searches.carry_out(UUID(organisation_id), UUID(search_id))
