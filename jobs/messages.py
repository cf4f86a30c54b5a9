"""Message jobs."""

from uuid import UUID

from webapp.services.messages import deciding, mailboxes, sending


def send(organisation_id: str) -> None:
    """Send what is due in an organisation."""
    sending.send(UUID(organisation_id))


def read_mailboxes(organisation_id: str) -> None:
    """Read what came back to an organisation's mailboxes."""
    mailboxes.read_all(UUID(organisation_id))


def release_held(organisation_id: str, reason: str, after: str, by: str) -> None:
    """Go on taking up what an organisation holds for a reason, after one message; ``by`` may be empty."""
    deciding.release_rest(UUID(organisation_id), reason, UUID(after), UUID(by) if by else None)
