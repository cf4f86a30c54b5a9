"""Message jobs."""

from uuid import UUID

from webapp.services.messages import mailboxes, sending


def send(organisation_id: str) -> None:
    """Send what is due in an organisation."""
    sending.send(UUID(organisation_id))


def read_mailboxes(organisation_id: str) -> None:
    """Read what came back to an organisation's mailboxes."""
    mailboxes.read_all(UUID(organisation_id))
