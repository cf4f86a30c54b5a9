"""Pairs as people see them: the list, those of a client, and what a person says of one.

Managers and admins see all pairs. A commercial sees those of whom both clients are theirs or nobody's: who may not
decide over both has no say in whether they are one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, or_, select
from sqlalchemy.orm import aliased, contains_eager, joinedload

from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.clients import Client
from webapp.models.commercials import Commercial
from webapp.models.duplicates import DuplicatePair, PairScore
from webapp.models.identity import Role, User
from webapp.services import keyset
from webapp.transactions import transaction

PAGE_SIZE = 20
SHOWN_OF_CLIENT = 3
_SORT = "score"
FIRST, SECOND = aliased(Client), aliased(Client)
FIRST_SELLER, SECOND_SELLER = aliased(Commercial), aliased(Commercial)


@dataclass(frozen=True)
class PairsView:
    """Which pairs are shown. ``commercial_id`` narrows them to those of whom a client is theirs."""

    score: PairScore | None = None
    commercial_id: UUID | None = None
    is_dismissed: bool = False
    cursor: str = ""

    @property
    def is_narrowed(self) -> bool:
        """Whether a filter leaves something out."""
        return self.score is not None or self.commercial_id is not None


def list_pairs(view: PairsView, *, by: User) -> keyset.Page[DuplicatePair]:
    """The pairs of the view that ``by`` may see, the surest first, each with its clients and their commercials."""
    statement = _statement(by).where(*_conditions(view))
    order = [DuplicatePair.score, DuplicatePair.id]

    def read(start: keyset.Position | None) -> Sequence[DuplicatePair]:
        return db.session.scalars(keyset.cut(statement, order, start, is_descending=False, size=PAGE_SIZE)).all()

    position = keyset.decode(view.cursor, sort=_SORT, kind=int)
    return keyset.page(read, position, place=lambda pair: (pair.score, pair.id), sort=_SORT, size=PAGE_SIZE)


def list_of_client(client_id: UUID, *, by: User) -> Sequence[DuplicatePair]:
    """The first open pairs of a client, the surest first."""
    of_client = or_(DuplicatePair.first_id == client_id, DuplicatePair.second_id == client_id)
    statement = _statement(by).where(of_client, DuplicatePair.dismissed_at.is_(None))
    return db.session.scalars(statement.order_by(DuplicatePair.score, DuplicatePair.id).limit(SHOWN_OF_CLIENT)).all()


def dismiss(pair_id: UUID, *, by: User, at: datetime) -> DuplicatePair:
    """« Ce ne sont pas les mêmes » : kept for good, whatever is found again. Raises NotFoundError."""
    return _say(pair_id, by=by, at=at)


def reopen(pair_id: UUID, *, by: User) -> DuplicatePair:
    """Take back what was said of a pair. Raises NotFoundError."""
    return _say(pair_id, by=by, at=None)


def _say(pair_id: UUID, *, by: User, at: datetime | None) -> DuplicatePair:
    with transaction():
        wanted = _statement(by).where(DuplicatePair.id == pair_id)
        pair = db.session.scalar(wanted.with_for_update(of=DuplicatePair).execution_options(populate_existing=True))
        if pair is None:
            raise NotFoundError("Ce doublon n’existe pas ou plus.")
        if (pair.dismissed_at is None) != (at is None):
            pair.dismissed_at, pair.dismissed_by_id = at, by.id if at else None
        return pair


def own_only(by: User) -> UUID | None:
    """Whose own clients pairs are narrowed to for ``by``; None for who sees all."""
    return None if by.has_role(Role.MANAGER, Role.ADMIN) else by.id


@dataclass(frozen=True)
class SeenPairs:
    """The pairs of a view that somebody sees; ``own_of`` is their ``own_only``."""

    view: PairsView
    own_of: UUID | None


def select_all(seen: SeenPairs) -> Select[*tuple[Any, ...]]:
    """Every one of them in the order of the list, joined with clients and commercials: an export adds the columns."""
    statement: Select[*tuple[Any, ...]] = _narrowed(select(DuplicatePair.id), seen.own_of)
    return statement.where(*_conditions(seen.view)).order_by(DuplicatePair.score, DuplicatePair.id)


def _statement(by: User) -> Select[DuplicatePair]:
    statement: Select[DuplicatePair] = _narrowed(select(DuplicatePair), own_only(by))
    return statement.options(
        joinedload(DuplicatePair.dismissed_by),
        contains_eager(DuplicatePair.first.of_type(FIRST)).contains_eager(FIRST.commercial.of_type(FIRST_SELLER)),
        contains_eager(DuplicatePair.second.of_type(SECOND)).contains_eager(SECOND.commercial.of_type(SECOND_SELLER)),
    )


def _narrowed(statement: Any, own_of: UUID | None) -> Any:
    """Pairs of clients of whom none is archived or merged, as far as they may be seen."""
    statement = (
        statement.join(FIRST, linked(FIRST, DuplicatePair.first_id))
        .join(SECOND, linked(SECOND, DuplicatePair.second_id))
        .outerjoin(FIRST_SELLER, linked(FIRST_SELLER, FIRST.commercial_id))
        .outerjoin(SECOND_SELLER, linked(SECOND_SELLER, SECOND.commercial_id))
        .where(FIRST.archived_at.is_(None), SECOND.archived_at.is_(None))
    )
    if own_of is None:
        return statement
    return statement.where(_is_own(FIRST, own_of), _is_own(SECOND, own_of))


def _is_own(side: Any, own_of: UUID) -> ColumnElement[bool]:
    own = select(Commercial.id).where(Commercial.user_id == own_of)
    return or_(side.commercial_id.is_(None), side.commercial_id.in_(own))


def _conditions(view: PairsView) -> list[ColumnElement[bool]]:
    is_dismissed = DuplicatePair.dismissed_at.is_not(None)
    conditions: list[ColumnElement[bool]] = [is_dismissed if view.is_dismissed else ~is_dismissed]
    if view.score is not None:
        conditions.append(DuplicatePair.score == view.score)
    if view.commercial_id is not None:
        conditions.append(or_(*(side.commercial_id == view.commercial_id for side in (FIRST, SECOND))))
    return conditions
