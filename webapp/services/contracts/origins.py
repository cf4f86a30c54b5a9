"""Where a value of a contract comes from and what stood before, told by its history; and putting it back."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Row, and_, select
from sqlalchemy.orm import joinedload

from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.clients import Source
from webapp.models.commercials import Commercial
from webapp.models.contracts import Contract, ContractChange, ContractStatus, PaymentMethod
from webapp.models.identity import User
from webapp.models.operations import ItemAction, ItemTarget, Operation, OperationItem
from webapp.models.organisations import Company
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.models.winleadplus import SyncRun
from webapp.services.contracts.editing import edit_contract, find_contract, worded
from webapp.services.contracts.fields import ContractFields

FIELDS = frozenset(ContractFields.__dataclass_fields__) - {"lines"}
SHOWN = 10
"""Changes that are told, the newest first."""
_READ: dict[str, Callable[[Any], Any]] = {
    "status": lambda pair: (ContractStatus(pair[0]), pair[1]),
    "company_id": UUID,
    "commercial_id": UUID,
    "amount": Decimal,
    "signed_on": date.fromisoformat,
    "validated_on": date.fromisoformat,
    "starts_on": date.fromisoformat,
    "ends_on": date.fromisoformat,
    "payment_method": PaymentMethod,
}


@dataclass(frozen=True)
class Event:
    """A change, by its ``id``, or the creation of the contract, without one. What is named exists."""

    id: int | None
    at: datetime
    user: User | None = None
    run_id: UUID | None = None
    operation_id: UUID | None = None


@dataclass(frozen=True)
class Step:
    """A change of the value, or the creation of the contract (``before`` and ``after`` are None then).

    ``title`` says in words what happened, where neither ``operation`` nor a synchronisation names it; ``line`` is that
    of the operation's file. A status is a pair: ours, and upstream's word.
    """

    event: Event
    title: str
    before: Any = None
    after: Any = None
    operation: str | None = None
    line: int | None = None

    @property
    def is_creation(self) -> bool:
        """Whether the contract came into being with the value."""
        return self.event.id is None


@dataclass(frozen=True)
class Origin:
    """The history of one field, the newest first; ``is_told`` says whether it explains the value that stands.

    ``active`` are the commercials of the history who have not left.
    """

    contract: Contract
    field: str
    value: Any
    steps: Sequence[Step]
    is_told: bool
    names: dict[UUID, str]
    active: frozenset[UUID]

    def can_put_back(self, step: Step) -> bool:
        """A company stays as it is; a commercial who left, and a word of upstream's, are not to be chosen."""
        if step.is_creation or self.field == "company_id" or step.before == self.value:
            return False
        if self.field == "commercial_id":
            return step.before is None or step.before in self.active
        if self.field == "status":
            return step.before[1] is None and step.before[0] is not self.value[0]
        return step.before is not None or self.field != "reference"

    def word(self, value: Any) -> str:
        """A value of the field as a person reads it."""
        if self.field == "status":
            status, upstreams_word = value
            return str(upstreams_word or status.label)
        if isinstance(value, UUID):
            return self.names.get(value, "n’existe plus")
        return worded(self.field, value) or "vide"


def find_origin(contract_id: UUID, field: str) -> Origin:
    """Where the value of ``field`` (one of ContractFields, without lines) comes from. Raises NotFoundError."""
    if field not in FIELDS:
        raise NotFoundError
    wanted = select(Contract).where(Contract.id == contract_id).options(joinedload(Contract.client))
    contract = db.session.scalar(wanted)
    if contract is None:
        raise NotFoundError("Ce contrat n’existe pas ou plus.")
    rows = _changes(contract, field)
    steps = [_step(row, field) for row in rows if row.ContractChange.changes]
    if len(rows) < SHOWN:
        steps.append(_creation(contract))
    value = (contract.status, contract.status_raw) if field == "status" else getattr(contract, field)
    is_told = not rows or (bool(rows[0].ContractChange.changes) and steps[0].after == value)
    return Origin(contract, field, value, steps, is_told, *_names(field, value, steps))


def put_back(contract_id: UUID, field: str, change_id: int, *, seen: datetime, by: User, at: datetime) -> Contract:
    """Write what stood before the change, as an edit of the contract that was seen as it stood since ``seen``.

    Raises NotFoundError, InvalidInputError, EditConflictError.
    """
    origin = find_origin(contract_id, field)
    step = next((each for each in origin.steps if each.event.id == change_id), None)
    if step is None or not origin.can_put_back(step):
        raise InvalidInputError("Cette valeur ne peut pas être remise.")
    changes = {field: step.before[0] if field == "status" else step.before}
    fields = replace(ContractFields.of(find_contract(contract_id)), **changes)
    return edit_contract(contract_id, fields, seen=seen, by=by, at=at)


def _changes(contract: Contract, field: str) -> Sequence[Row[Any]]:
    """What changed the field, the newest first, and since when all changes are known: a row without any."""
    line = (
        select(OperationItem.line)
        .where(linked(Contract, OperationItem.row_id), OperationItem.operation_id == ContractChange.operation_id)
        .limit(1)
        .correlate(ContractChange, Contract)
        .scalar_subquery()
    )
    wanted = (
        select(ContractChange, User, Operation.title, line.label("line"), SyncRun.id.label("run_id"))
        .join(Contract, linked(Contract, ContractChange.contract_id))
        .outerjoin(User, linked(User, ContractChange.user_id))
        .outerjoin(Operation, linked(Operation, ContractChange.operation_id))
        .outerjoin(SyncRun, linked(SyncRun, ContractChange.run_id))
        .where(
            ContractChange.contract_id == contract.id,
            ContractChange.changes.has_key(field) | (ContractChange.changes == {}),
        )
        .order_by(ContractChange.id.desc())
        .limit(SHOWN)
    )
    return db.session.execute(wanted).all()


def _step(row: Row[Any], field: str) -> Step:
    change: ContractChange = row.ContractChange
    before, after = (_read(field, value) for value in change.changes[field])
    event = Event(change.id, change.at, row.User, row.run_id, change.operation_id)
    return Step(event, _title(change, row.User), before, after, row.title, row.line)


def _title(change: ContractChange, user: User | None) -> str:
    if change.user_id and user is None:
        return "Modifié par une personne dont le compte n’existe plus"
    if change.run_id:
        return "Mis à jour par WinLeadPlus"
    return "Contrat modifié" if change.user_id or change.operation_id else "Modifié par le CRM"


def _read(field: str, value: Any) -> Any:
    read = _READ.get(field)
    return read(value) if read and value is not None else value


def _creation(contract: Contract) -> Step:
    """An operation names the contract that it creates; else the event of the same instant tells who it was."""
    wanted = (
        select(Operation, OperationItem.line)
        .join(OperationItem, linked(Operation, OperationItem.operation_id))
        .where(
            OperationItem.row_id == contract.id,
            OperationItem.target == ItemTarget.CONTRACT,
            OperationItem.action == ItemAction.CREATE,
            OperationItem.left_out.is_(None),
        )
        .options(joinedload(Operation.by))
        .limit(1)
    )
    created = db.session.execute(wanted).first()
    if created:
        operation: Operation = created[0]
        event = Event(None, contract.created_at, operation.by, operation_id=operation.id)
        return Step(event, "Contrat créé", operation=operation.title, line=created[1])
    found = next(_events_of_creation(contract), None)
    user, run_id = (found.user, found.run_id) if found else (None, None)
    title = f"Venu de {contract.source.value}" if contract.source else "Contrat créé"
    return Step(Event(None, contract.created_at, user, run_id), title)


def _events_of_creation(contract: Contract) -> Iterator[TimelineEvent]:
    """The timeline names a contract by its reference alone: one that bore this one first."""
    by_hand = and_(TimelineEvent.run_id.is_(None), TimelineEvent.kind == EventKind.CONTRACT_CREATED)
    told = TimelineEvent.run_id.is_not(None) if contract.source is Source.WINLEADPLUS else by_hand
    wanted = (
        select(TimelineEvent)
        .where(
            TimelineEvent.client_id == contract.client_id,
            TimelineEvent.at == contract.created_at,
            TimelineEvent.operation_id.is_(None),
            told,
        )
        .options(joinedload(TimelineEvent.user))
        .order_by(TimelineEvent.id)
    )
    events = db.session.scalars(wanted).all()
    yield from (event for event in events if contract.reference in event.changes.get("Référence", ()))
    yield from events


def _names(field: str, value: Any, steps: Sequence[Step]) -> tuple[dict[UUID, str], frozenset[UUID]]:
    """Who the ids of the history are, and which of the commercials have not left."""
    ids = {each for step in steps for each in (step.before, step.after, value) if each is not None}
    if field == "company_id":
        companies = db.session.scalars(select(Company).where(Company.id.in_(ids)))
        return {company.id: company.name for company in companies}, frozenset()
    if field != "commercial_id":
        return {}, frozenset()
    commercials = db.session.scalars(select(Commercial).where(Commercial.id.in_(ids))).all()
    return (
        {commercial.id: commercial.full_name for commercial in commercials},
        frozenset(commercial.id for commercial in commercials if commercial.is_active),
    )
