"""Jobs of exports."""

from uuid import UUID

from webapp.services.exports import carrying_out


def write(organisation_id: str, export_id: str) -> None:
    """Write a file that was asked for."""
    carrying_out.write(UUID(organisation_id), UUID(export_id))
