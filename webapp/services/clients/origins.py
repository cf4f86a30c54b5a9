"""Where a value of a client comes from and what stood before, told from its timeline; and putting it back."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, cast, func, or_, select
from sqlalchemy.orm import aliased, joinedload

from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.clients import Civility, Client, ClientStatus
from webapp.models.commercials import Commercial
from webapp.models.identity import User
from webapp.models.merging import MergeMove
from webapp.models.operations import Operation, OperationItem
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.clients.editing import edit_client, find_client
from webapp.services.clients.fields import ClientFields

FIELDS = frozenset(ClientFields.__dataclass_fields__)
SHOWN = 10
"""Changes that are told, the newest first."""
CREATIONS = (
    EventKind.CLIENT_CREATED,
    EventKind.CLIENT_IMPORTED,
    EventKind.CLIENT_FROM_SHOP,
    EventKind.CREATED_BY_OPERATION,
)
CHANGES = (
    EventKind.CLIENT_UPDATED,
    EventKind.CLIENT_SYNCED,
    EventKind.CLIENT_LINKED,
    EventKind.CLIENT_LINKED_TO_SHOP,
    EventKind.CLIENT_SYNCED_BY_SHOP,
    EventKind.CHANGED_BY_OPERATION,
    EventKind.CLIENT_MERGED,
    EventKind.CLIENT_UNMERGED,
)
_READ = {"status": ClientStatus, "civility": Civility, "birth_date": date.fromisoformat}


@dataclass(frozen=True)
class Step:
    """A change of the value, or the creation of the client (``before`` and ``after`` are None then).

    ``operation`` and ``line``, that of the file, name what did it, where it was an operation.
    """

    event: TimelineEvent
    before: Any
    after: Any
    operation: str | None
    line: int | None

    @property
    def is_creation(self) -> bool:
        """Whether the client came into being with the value."""
        return self.event.kind in CREATIONS

    @property
    def title(self) -> str:
        """What happened, where neither an operation nor a synchronisation names it."""
        return self.event.kind.label


@dataclass(frozen=True)
class Origin:
    """The history of one field, the newest first; ``is_told`` says whether it explains the value that stands."""

    client: Client
    field: str
    value: Any
    steps: Sequence[Step]
    is_told: bool

    def can_put_back(self, step: Step) -> bool:
        """A commercial is named only: whoever wants them back chooses them in the form."""
        return not step.is_creation and self.field != "commercial_id" and (step.before or None) != (self.value or None)


def find_origin(client_id: UUID, field: str) -> Origin:
    """Where the value of ``field`` (a column of ClientFields) comes from. Raises NotFoundError."""
    if field not in FIELDS:
        raise NotFoundError
    key = "commercial" if field == "commercial_id" else field
    line = (
        select(OperationItem.line)
        .where(linked(Client, OperationItem.row_id), OperationItem.operation_id == TimelineEvent.operation_id)
        .limit(1)
        .correlate(TimelineEvent, Client)
        .scalar_subquery()
    )
    name = func.nullif(func.trim(func.concat(Commercial.first_name, " ", Commercial.last_name)), "")
    wanted = (
        select(Client, name, TimelineEvent, Operation.title, line)
        .outerjoin(Commercial, linked(Commercial, Client.commercial_id))
        .outerjoin(
            TimelineEvent,
            linked(Client, TimelineEvent.client_id)
            & or_(
                TimelineEvent.kind.in_(CREATIONS),
                TimelineEvent.kind.in_(CHANGES) & TimelineEvent.changes.has_key(key),
            )
            & ~_is_of_another_card(),
        )
        .outerjoin(Operation, linked(Operation, TimelineEvent.operation_id))
        .where(Client.id == client_id)
        .options(joinedload(TimelineEvent.user))
        .order_by(TimelineEvent.at.desc(), TimelineEvent.id.desc())
        .limit(SHOWN)
    )
    rows = db.session.execute(wanted).all()
    if not rows:
        raise NotFoundError("Ce client n’existe pas ou plus.")
    client, commercial = rows[0][0], rows[0][1]
    value = commercial if field == "commercial_id" else _as_json(getattr(client, field))
    steps = []
    for _, _, event, operation, line_of_file in rows:
        if event is not None:
            before, after = event.changes.get(key, (None, None))
            steps.append(Step(event, before, after, operation, line_of_file))
    return Origin(client, field, value, steps, _explains(steps, value))


def _is_of_another_card() -> ColumnElement[bool]:
    """Whether the event came with a merge that the client's timeline tells of: it says nothing of this one's values."""
    merged = aliased(TimelineEvent)
    return (
        select(MergeMove)
        .where(
            merged.organisation_id == TimelineEvent.organisation_id,
            merged.client_id == TimelineEvent.client_id,
            merged.kind == EventKind.CLIENT_MERGED,
            MergeMove.organisation_id == merged.organisation_id,
            MergeMove.operation_id == merged.operation_id,
            MergeMove.table_name == TimelineEvent.__tablename__,
            MergeMove.row_key == cast(TimelineEvent.id, Text),
        )
        .correlate(TimelineEvent)
        .exists()
    )


def put_back(client_id: UUID, field: str, event_id: UUID, *, version: int, by: User, at: datetime) -> Client:
    """Write what stood before the event, as an edit of the client that was seen at ``version``.

    Raises NotFoundError, InvalidInputError, EditConflictError.
    """
    origin = find_origin(client_id, field)
    step = next((each for each in origin.steps if each.event.id == event_id), None)
    if step is None or not origin.can_put_back(step):
        raise InvalidInputError("Cette valeur ne peut pas être remise.")
    text = step.before or None
    value = _READ[field](text) if text and field in _READ else text
    if value is None and field in ("status", "country", "delivery_country"):
        raise InvalidInputError("Cette valeur ne peut pas être vide.")
    if value is None and field in ("last_name", "first_name"):
        value = ""
    changes: dict[str, Any] = {field: value}
    fields = replace(ClientFields.of(find_client(client_id)), **changes)
    return edit_client(client_id, fields, version=version, bank=None, confirmed=True, by=by, at=at)


def _explains(steps: Sequence[Step], value: Any) -> bool:
    """The newest change must have left what stands: else something wrote it without a trace."""
    return bool(steps) and (steps[0].is_creation or (steps[0].after or None) == (value or None))


def _as_json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value
