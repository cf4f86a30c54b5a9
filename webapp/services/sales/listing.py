"""The sales that are not signed yet."""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from webapp.extensions import db
from webapp.models.covers import CoverPlanVersion
from webapp.models.identity import User
from webapp.models.sales import CoverSale

SHOWN = 200


class OpenSales(NamedTuple):
    """The open sales, those changed last first; ``has_more`` where there are more than are shown."""

    sales: list[CoverSale]
    has_more: bool


def list_open(*, of: User | None = None, client_id: UUID | None = None) -> OpenSales:
    """The open sales of all, of a colleague, or to a client."""
    statement = select(CoverSale).where(CoverSale.signed_at.is_(None), CoverSale.abandoned_at.is_(None))
    if of is not None:
        statement = statement.where(CoverSale.owner_id == of.id)
    if client_id is not None:
        statement = statement.where(CoverSale.client_id == client_id)
    statement = statement.options(
        joinedload(CoverSale.client),
        joinedload(CoverSale.owner),
        joinedload(CoverSale.plan_version).joinedload(CoverPlanVersion.plan),
    )
    found = list(db.session.scalars(statement.order_by(CoverSale.changed_at.desc(), CoverSale.id).limit(SHOWN + 1)))
    return OpenSales(found[:SHOWN], len(found) > SHOWN)


def find_of_cover(cover_id: UUID) -> CoverSale | None:
    """The sale that led to a cover, if one did."""
    return db.session.scalar(select(CoverSale).where(CoverSale.cover_id == cover_id))
