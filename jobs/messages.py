"""Message jobs."""

from uuid import UUID

from webapp.services.messages import sending


def send(organisation_id: str) -> None:
    """Send what is due in an organisation."""
    sending.send(UUID(organisation_id))
