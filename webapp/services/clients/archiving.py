"""Archiving a client, and taking one out of the archives again."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from webapp.errors import DomainError, ForbiddenError, NotFoundError
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.identity import Role, User
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.clients.fields import find_own_commercial
from webapp.transactions import transaction


def _may_archive(client: Client, user: User) -> bool:
    """Managers and admins any client, a commercial their own: those who see its bank details."""
    if user.has_role(Role.MANAGER, Role.ADMIN):
        return True
    return client.commercial_id is not None and client.commercial_id == find_own_commercial(user)


def archive(client_id: UUID, *, by: User, at: datetime) -> None:
    """Take the client out of lists, searches and choices; nothing is lost. Raises NotFoundError, ForbiddenError."""
    with transaction():
        client = _lock(client_id, by)
        if client.archived_at is None:
            client.archived_at = at
            _note(client, EventKind.CLIENT_ARCHIVED, by=by, at=at)


def restore(client_id: UUID, *, by: User, at: datetime) -> None:
    """Put the client back into the lists. Raises NotFoundError, ForbiddenError; DomainError for a merged one."""
    with transaction():
        client = _lock(client_id, by)
        if client.merged_into_id is not None:
            raise DomainError("Ce client a été fusionné\u202f: annulez la fusion pour le retrouver.")
        if client.erased_at is not None:
            raise DomainError("Ce client a été effacé\u202f: il ne revient pas.")
        if client.archived_at is not None:
            client.archived_at = None
            _note(client, EventKind.CLIENT_RESTORED, by=by, at=at)


def _lock(client_id: UUID, by: User) -> Client:
    wanted = select(Client).where(Client.id == client_id).with_for_update()
    client = db.session.scalar(wanted.execution_options(populate_existing=True))
    if client is None:
        raise NotFoundError("Ce client n’existe pas ou plus.")
    if not _may_archive(client, by):
        raise ForbiddenError("Ce client est celui d’un autre commercial\u202f: demandez à un manager.")
    return client


def _note(client: Client, kind: EventKind, *, by: User, at: datetime) -> None:
    client.version += 1
    client.changed_at = at
    db.session.add(TimelineEvent(client_id=client.id, kind=kind, at=at, user_id=by.id))
