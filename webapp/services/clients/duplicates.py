"""Clients that look like the one being written: same e-mail or same telephone."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import or_, select

from webapp.errors import DomainError
from webapp.extensions import db
from webapp.models.clients import Client

SHOWN = 5


@dataclass(frozen=True)
class SimilarClient:
    """Enough of a client to recognise it."""

    id: UUID
    full_name: str
    email: str | None
    phone: str | None
    city: str | None


class SimilarClientsError(DomainError):
    """Clients with the same e-mail or telephone exist, and nobody said to go on; ``clients`` are the first few."""

    def __init__(self, clients: list[SimilarClient]) -> None:
        super().__init__("Un client avec le même e-mail ou le même téléphone existe déjà.")
        self.clients = clients


def list_similar(*, email: str | None, phone: str | None, besides: UUID | None = None) -> list[SimilarClient]:
    """Clients with this e-mail or telephone (both normalised), the latest changed first, ``besides`` left out."""
    same = [column == value for column, value in ((Client.email, email), (Client.phone, phone)) if value]
    if not same:
        return []
    similar = select(Client).where(Client.archived_at.is_(None), or_(*same))
    if besides:
        similar = similar.where(Client.id != besides)
    rows = db.session.scalars(similar.order_by(Client.changed_at.desc(), Client.id).limit(SHOWN))
    return [SimilarClient(row.id, row.full_name, row.email, row.phone, row.city) for row in rows]


def refuse_similar(*, email: str | None, phone: str | None) -> None:
    """Raise SimilarClientsError if there are any; a client's own new e-mail or telephone is not in its row yet."""
    if similar := list_similar(email=email, phone=phone):
        raise SimilarClientsError(similar)
