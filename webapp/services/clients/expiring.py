"""Documents that expire, of all clients that somebody looks after: what has expired, and what is next."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, select

from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.claims import Claim
from webapp.models.clients import Client, full_name_in_sql
from webapp.models.commercials import Commercial
from webapp.models.commercials import full_name_in_sql as commercial_in_sql
from webapp.models.documents import EXPIRES_SOON, Document, Validity
from webapp.services import keyset
from webapp.services.clients.search import found_by
from webapp.services.keyset import Position

PAGE_SIZE = 50
BY_DAY = "valid_until"


class Expiry(StrEnum):
    """How near the last day is, as the address says it."""

    EXPIRED = "expires"
    MONTH = "30-jours"
    QUARTER = "90-jours"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "expires": "Expirés",
            "30-jours": "Expirent d’ici 30 jours",
            "90-jours": "Expirent d’ici 90 jours",
        }[self.value]

    def holds(self, today: date) -> ColumnElement[bool]:
        """In a statement: the last day is that near."""
        if self is Expiry.EXPIRED:
            return Document.valid_until < today
        return Document.valid_until.between(
            today, today + (EXPIRES_SOON if self is Expiry.MONTH else timedelta(days=90))
        )


class Belonging(StrEnum):
    """What a document belongs to, as the address says it."""

    CLIENT = "client"
    CLAIM = "dossier"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {"client": "Pièces du client", "dossier": "Pièces d’un dossier de sinistre"}[self.value]


@dataclass(frozen=True, kw_only=True)
class ExpiringView:
    """Which documents are shown: ``commercial_ids`` are those whose clients one may see, None for all.

    ``search`` is for words over clients.
    """

    search: str = ""
    expiry: Expiry | None = None
    belonging: Belonging | None = None
    commercial_id: UUID | None = None
    commercial_ids: frozenset[UUID] | None = None
    cursor: str | None = None

    @property
    def is_narrowed(self) -> bool:
        """Whether a search or a filter leaves something out."""
        return bool(self.search or self.expiry or self.belonging or self.commercial_id)


class ExpiringRow(NamedTuple):
    """A document of the list."""

    id: UUID
    name: str
    valid_until: date
    client_id: UUID
    client: str
    commercial: str | None
    claim_id: UUID | None
    claim: str | None

    def validity_on(self, day: date) -> Validity:
        """Where it stands on a day."""
        return Validity.on(self.valid_until, day)


def list_expiring(view: ExpiringView, *, today: date, size: int = PAGE_SIZE) -> keyset.Page[ExpiringRow]:
    """The documents of the view, what expires first at the top."""
    statement = _select(view, today).with_only_columns(
        Document.id,
        Document.name,
        Document.valid_until,
        Document.client_id,
        full_name_in_sql(),
        commercial_in_sql(),
        Document.claim_id,
        Claim.reference,
    )

    def read(start: Position | None) -> Sequence[ExpiringRow]:
        page = keyset.cut(statement, [Document.valid_until, Document.id], start, is_descending=False, size=size)
        return [ExpiringRow._make(row) for row in db.session.execute(page)]

    start = keyset.decode(view.cursor, sort=BY_DAY, kind=date)
    return keyset.page(read, start, place=lambda row: (row.valid_until, row.id), sort=BY_DAY, size=size)


def select_all(view: ExpiringView, today: date) -> Select[*tuple[Any, ...]]:
    """Every document of a view in its order: an export adds the columns."""
    return _select(view, today).order_by(Document.valid_until, Document.id)


def _select(view: ExpiringView, today: date) -> Select[*tuple[Any, ...]]:
    statement = (
        select(Document.id)
        .join(Client, linked(Client, Document.client_id))
        .outerjoin(Commercial, linked(Commercial, Client.commercial_id))
        .outerjoin(Claim, linked(Claim, Document.claim_id))
        .where(Document.valid_until.is_not(None), Client.archived_at.is_(None))
    )
    if view.commercial_ids is not None:
        statement = statement.where(Client.commercial_id.in_(view.commercial_ids))
    if view.commercial_id:
        statement = statement.where(Client.commercial_id == view.commercial_id)
    if view.expiry:
        statement = statement.where(view.expiry.holds(today))
    if view.belonging:
        is_of_claim = Document.claim_id.is_not(None)
        statement = statement.where(is_of_claim if view.belonging is Belonging.CLAIM else ~is_of_claim)
    return statement.where(*found_by(view.search))
