"""Jobs of imports; what follows their plan is a job of operations."""

from uuid import UUID

from webapp.services.imports import commands


def read(organisation_id: str, import_id: str) -> None:
    """Read a file that somebody gave."""
    commands.read(UUID(organisation_id), UUID(import_id))
