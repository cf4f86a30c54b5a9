"""The lock of a client under which what hangs on them is written."""

from uuid import UUID

from sqlalchemy import select

from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.models.clients import Client


def lock_client(client_id: UUID) -> None:
    """Of two who write something of one client, the second waits for the first. Raises NotFoundError."""
    if db.session.scalar(select(Client.id).where(Client.id == client_id).with_for_update(key_share=True)) is None:
        raise NotFoundError("Ce client n’existe pas ou plus.")
