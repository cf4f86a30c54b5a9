"""The lists of what operators tell us and of what we tell them, and what a person decides of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, or_, select
from sqlalchemy.orm import contains_eager, joinedload, undefer

from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.claims import Claim
from webapp.models.events import EventState
from webapp.models.identity import User
from webapp.models.operator_events import OperatorDelivery, OperatorEvent
from webapp.models.operators import CoverOperator
from webapp.services import event_engine, keyset
from webapp.services.body_masking import Shown
from webapp.services.event_engine import NO_EVENT, state_is
from webapp.services.keyset import Page, Position
from webapp.services.operators import handling, telling
from webapp.services.operators.contract import EventType
from webapp.transactions import transaction

PAGE_SIZE = 50
BY_RECEPTION = "-received_at"
SHOWN = Shown(
    texts=frozenset(
        """version type external_id reference cover state trade event_on event_time declared_on asked occurred_at
        scheduled_at done_at answered_at""".split()
    ),
    personal=frozenset({"client", "home"}),
)
"""What of a body says nothing of who somebody is."""


@dataclass(frozen=True, kw_only=True)
class EventsView:
    """Which events are shown; ``file`` is the number of a file, ours or the operator's, ``cursor`` the page's start."""

    state: EventState | None = None
    operator_id: UUID | None = None
    type: EventType | None = None
    file: str | None = None
    cursor: str | None = None


def list_events(view: EventsView, *, size: int = PAGE_SIZE) -> Page[OperatorEvent]:
    """The events of the view, the latest first, each with its operator and its file."""
    statement = _joined(select(OperatorEvent), view).options(
        contains_eager(OperatorEvent.operator), contains_eager(OperatorEvent.claim)
    )

    def read(start: Position | None) -> Sequence[OperatorEvent]:
        order = [OperatorEvent.received_at, OperatorEvent.id]
        return db.session.scalars(keyset.cut(statement, order, start, is_descending=True, size=size)).all()

    start = keyset.decode(view.cursor, sort=BY_RECEPTION, kind=datetime)
    return keyset.page(read, start, place=lambda each: (each.received_at, each.id), sort=BY_RECEPTION, size=size)


def select_all(view: EventsView) -> Select[*tuple[Any, ...]]:
    """Every event of a view in that order, joined with operators and files: an export adds the columns."""
    statement: Select[*tuple[Any, ...]] = _joined(select(OperatorEvent.id), view)
    return statement.order_by(OperatorEvent.received_at.desc(), OperatorEvent.id.desc())


def _joined(statement: Any, view: EventsView) -> Any:
    joined = statement.join(OperatorEvent.operator).outerjoin(OperatorEvent.claim)
    named = [] if view.file is None else [or_(OperatorEvent.external_id == view.file, Claim.reference == view.file)]
    return joined.where(*_conditions(view), *named)


def _conditions(view: EventsView) -> list[ColumnElement[bool]]:
    return [
        *state_is(OperatorEvent.state, view.state),
        *([OperatorEvent.operator_id == view.operator_id] if view.operator_id is not None else []),
        *([OperatorEvent.type == view.type.value] if view.type is not None else []),
    ]


def find_event(event_id: UUID) -> OperatorEvent:
    """An event with its operator, file and body. Raises NotFoundError."""
    statement = (
        select(OperatorEvent)
        .where(OperatorEvent.id == event_id)
        .options(joinedload(OperatorEvent.operator), joinedload(OperatorEvent.claim), undefer(OperatorEvent.body))
    )
    event = db.session.scalar(statement)
    if event is None:
        raise NotFoundError(NO_EVENT)
    return event


def retry_event(event_id: UUID, *, at: datetime) -> None:
    """Have an event handled once more, now. Raises NotFoundError, EventStateError."""
    handling.ENGINE.retry(event_id, at=at)


def retry_all(view: EventsView, *, at: datetime) -> int:
    """Have every event of the view that failed or waits handled once more; returns how many."""
    named = []
    if view.file is not None:
        its_file = select(Claim.id).where(linked(Claim, OperatorEvent.claim_id), Claim.reference == view.file).exists()
        named = [or_(OperatorEvent.external_id == view.file, its_file)]
    return handling.ENGINE.retry_all(*_conditions(view), *named, at=at)


def close_event(event_id: UUID, *, by: User, at: datetime) -> None:
    """A person has seen to an event: it is IGNORED, and says by whom. Raises NotFoundError, EventStateError."""
    with transaction():
        event_engine.close([handling.ENGINE.find_decidable(event_id)], by=by, at=at)


def list_deliveries(*, size: int = PAGE_SIZE) -> Sequence[OperatorDelivery]:
    """What operators were told of lately, or are to be told, the latest first."""
    statement = select(OperatorDelivery).options(
        joinedload(OperatorDelivery.operator), joinedload(OperatorDelivery.claim)
    )
    order = (OperatorDelivery.received_at.desc(), OperatorDelivery.id.desc())
    return db.session.scalars(statement.order_by(*order).limit(size)).all()


def retry_delivery(delivery_id: UUID, *, at: datetime) -> None:
    """Send once more what failed. Raises NotFoundError, EventStateError."""
    telling.ENGINE.retry(delivery_id, at=at)


def list_names() -> list[tuple[UUID, str]]:
    """Every operator of the organisation, by name."""
    statement = select(CoverOperator.id, CoverOperator.name).order_by(CoverOperator.name, CoverOperator.id)
    return [(row.id, row.name) for row in db.session.execute(statement)]
