"""An erased client gets nothing new; the database refuses it, too, whatever comes by another way (migration 0048)."""

from uuid import UUID

from sqlalchemy import select

from webapp.errors import DomainError
from webapp.extensions import db
from webapp.models.clients import Client


class ErasedError(DomainError):
    """The client was erased."""


def refuse_erased(client_id: UUID) -> None:
    """Raises ErasedError for a client that was erased; one that there is not is somebody else's concern."""
    wanted = select(Client.id).where(Client.id == client_id, Client.erased_at.is_not(None))
    if db.session.scalar(wanted) is not None:
        raise ErasedError("Ce client a été effacé\u202f: rien n’y est plus enregistré.")
