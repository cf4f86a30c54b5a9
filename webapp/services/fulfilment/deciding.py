"""What a person does with lines: hold, set aside, take back, carry over, withdraw, let leave, mark as prepared."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select

from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.charges import Charge
from webapp.models.fulfilment import (
    BatchStatus,
    FulfilmentBatch,
    FulfilmentBatchLine,
    LineStatus,
    consignment_code,
)
from webapp.models.identity import User
from webapp.services.contact import clean_text
from webapp.services.fulfilment import batches, locking, totals
from webapp.services.fulfilment.batches import BatchStateError
from webapp.transactions import transaction

REASON_LENGTH = 300
MOST_AT_ONCE = 500
_REFERENCE = re.compile(r"L(\d{1,9})-(\d{1,9})")


class LineAction(StrEnum):
    """What a person may do with a line."""

    HOLD = "hold"
    RELEASE = "release"
    PREPARE = "prepare"
    UNPREPARE = "unprepare"
    SET_ASIDE = "set_aside"
    TAKE_BACK = "take_back"
    CARRY_OVER = "carry_over"
    SHIP_ANYWAY = "ship_anyway"
    WITHDRAW = "withdraw"

    @property
    def label(self) -> str:
        """The words on the button."""
        return {
            "hold": "Retenir",
            "release": "Libérer",
            "prepare": "Marquer préparée",
            "unprepare": "Marquer à préparer",
            "set_aside": "Mettre de côté",
            "take_back": "Reprendre dans ce lot",
            "carry_over": "Reporter",
            "ship_anyway": "Expédier quand même",
            "withdraw": "Retirer du lot",
        }[self.value]

    @property
    def needs_reason(self) -> bool:
        """Whether whoever does it says why."""
        return self in (LineAction.HOLD, LineAction.SET_ASIDE, LineAction.WITHDRAW)


LEADS_TO = {
    LineAction.PREPARE: LineStatus.PREPARED,
    LineAction.UNPREPARE: LineStatus.TO_PREPARE,
    LineAction.SET_ASIDE: LineStatus.SET_ASIDE,
    LineAction.TAKE_BACK: LineStatus.TO_PREPARE,
    LineAction.CARRY_OVER: LineStatus.CARRIED_OVER,
    LineAction.WITHDRAW: LineStatus.WITHDRAWN,
}
"""Where an action brings a line; the others leave it where it is."""
WHILE_LOCKED = frozenset({LineAction.PREPARE, LineAction.UNPREPARE, LineAction.SET_ASIDE, LineAction.TAKE_BACK})
NOT_IN_STATE = "L’état de cette ligne ne le permet pas, ou ne le permet plus."


class LineStateError(BatchStateError):
    """The line's state does not allow this."""


def actions_of(line: FulfilmentBatchLine, batch: FulfilmentBatch) -> list[LineAction]:
    """What may be done with a line of the batch, as both stand."""
    return [action for action in LineAction if _allows(line, batch, action)]


def _allows(line: FulfilmentBatchLine, batch: FulfilmentBatch, action: LineAction) -> bool:
    if action in WHILE_LOCKED and batch.status is not BatchStatus.LOCKED:
        return False
    if action in LEADS_TO and not line.can_become(LEADS_TO[action]):
        return False
    return _CONDITIONS[action](line, batch)


def _is_undecided(line: FulfilmentBatchLine) -> bool:
    """Whether its charge ships no more, and nobody has said what follows."""
    return line.flag is not None and line.ships_anyway_at is None and line.status.is_live


_CONDITIONS: dict[LineAction, Callable[[FulfilmentBatchLine, FulfilmentBatch], bool]] = {
    LineAction.HOLD: lambda line, _: line.status is LineStatus.PENDING and line.held_reason is None,
    LineAction.RELEASE: lambda line, _: line.status is LineStatus.PENDING and line.held_reason is not None,
    LineAction.PREPARE: lambda line, _: not _is_undecided(line),
    LineAction.UNPREPARE: lambda line, _: line.status is LineStatus.PREPARED,
    LineAction.SET_ASIDE: lambda line, _: line.status is not LineStatus.PENDING,
    LineAction.TAKE_BACK: lambda line, _: line.status is LineStatus.SET_ASIDE and not _is_undecided(line),
    LineAction.CARRY_OVER: lambda line, _: not _is_undecided(line),
    LineAction.SHIP_ANYWAY: lambda line, _: _is_undecided(line) and line.status is not LineStatus.SHIPPED,
    # Once its parcel was made, a line leaves with it, or is set aside first.
    LineAction.WITHDRAW: lambda line, batch: (
        batch.status in (BatchStatus.OPEN, BatchStatus.LOCKED) or line.status is LineStatus.SET_ASIDE
    ),
}


class Done(NamedTuple):
    """How many lines an action was done with, and with how many it could not be."""

    done: int
    refused: int


def act(
    batch_id: UUID, line_ids: Sequence[UUID], action: LineAction, *, reason: str = "", by: User, at: datetime
) -> Done:
    """Do something with lines of a batch. Of several, those whose state does not allow it stay as they are.

    Raises NotFoundError, InvalidInputError (field « reason » or « lines »); LineStateError where none allows it.
    """
    reason, by_id = _checked_reason(reason, action), by.id
    if not line_ids:
        raise InvalidInputError("Choisissez au moins une ligne.", field="lines")
    if len(line_ids) > MOST_AT_ONCE:
        raise InvalidInputError(f"Choisissez {MOST_AT_ONCE} lignes au plus.", field="lines")
    with transaction():
        batch, lines = _lock_lines(batch_id, line_ids)
        allowed = [line for line in lines if _allows(line, batch, action)]
        if not allowed:
            raise LineStateError(NOT_IN_STATE)
        touched = {line.consignment_no for line in allowed}
        for line in allowed:
            line.decided_at, line.decided_by_id = at, by_id
        _DO[action](batch, allowed, reason, by_id, at)
        db.session.flush()
        if batch.status is not BatchStatus.OPEN and action in LEADS_TO:
            touched |= {line.consignment_no for line in allowed}
            totals.restate(batch.id, [number for number in touched if number is not None])
    return Done(len(allowed), len(lines) - len(allowed))


def _checked_reason(written: str, action: LineAction) -> str:
    reason = clean_text(written)
    if action.needs_reason and not reason:
        raise InvalidInputError("Indiquez pourquoi.", field="reason")
    if len(reason) > REASON_LENGTH:
        raise InvalidInputError(f"Le motif est trop long ({REASON_LENGTH} caractères au plus).", field="reason")
    return reason


def _lock_lines(
    batch_id: UUID, line_ids: Sequence[UUID] | None = None, *, consignment_no: int | None = None
) -> tuple[FulfilmentBatch, list[FulfilmentBatchLine]]:
    """A batch that does not move, with lines of it, and their charges: no event changes them meanwhile."""
    chosen = [FulfilmentBatchLine.batch_id == batch_id]
    if line_ids is not None:
        chosen.append(FulfilmentBatchLine.id.in_(line_ids))
    if consignment_no is not None:
        chosen.append(FulfilmentBatchLine.consignment_no == consignment_no)
    charges = select(FulfilmentBatchLine.charge_id).where(*chosen)
    db.session.execute(select(Charge.id).where(Charge.id.in_(charges)).order_by(Charge.id).with_for_update())
    batch = batches.share_batches([batch_id]).get(batch_id)
    if batch is None:
        raise NotFoundError("Ce lot n’existe pas ou plus.")
    statement = select(FulfilmentBatchLine).where(*chosen).order_by(FulfilmentBatchLine.id).with_for_update()
    lines = list(db.session.scalars(statement.execution_options(populate_existing=True)))
    if line_ids is not None and not lines:
        raise NotFoundError("Ces lignes ne sont pas, ou plus, dans ce lot.")
    return batch, lines


Act = Callable[[FulfilmentBatch, Sequence[FulfilmentBatchLine], str, UUID, datetime], None]


def _hold(_: FulfilmentBatch, lines: Sequence[FulfilmentBatchLine], reason: str, by: UUID, at: datetime) -> None:
    for line in lines:
        line.held_reason = reason


def _release(_: FulfilmentBatch, lines: Sequence[FulfilmentBatchLine], reason: str, by: UUID, at: datetime) -> None:
    for line in lines:
        line.held_reason = None


def _prepare(_: FulfilmentBatch, lines: Sequence[FulfilmentBatchLine], reason: str, by: UUID, at: datetime) -> None:
    for line in lines:
        line.status, line.prepared_at, line.prepared_by_id = LineStatus.PREPARED, at, by


def _unprepare(_: FulfilmentBatch, lines: Sequence[FulfilmentBatchLine], reason: str, by: UUID, at: datetime) -> None:
    for line in lines:
        line.status, line.prepared_at, line.prepared_by_id = LineStatus.TO_PREPARE, None, None


def _set_aside(_: FulfilmentBatch, lines: Sequence[FulfilmentBatchLine], reason: str, by: UUID, at: datetime) -> None:
    for line in lines:
        line.status, line.reason = LineStatus.SET_ASIDE, reason
        line.prepared_at = line.prepared_by_id = None


def _withdraw(_: FulfilmentBatch, lines: Sequence[FulfilmentBatchLine], reason: str, by: UUID, at: datetime) -> None:
    for line in lines:
        line.status, line.reason = LineStatus.WITHDRAWN, reason


def _ship_anyway(_: FulfilmentBatch, lines: Sequence[FulfilmentBatchLine], reason: str, by: UUID, at: datetime) -> None:
    for line in lines:
        line.ships_anyway_at = at


def _take_back(
    batch: FulfilmentBatch, lines: Sequence[FulfilmentBatchLine], reason: str, by: UUID, at: datetime
) -> None:
    """What was frozen goes on as it was frozen; the others are frozen now, if their address is complete by now."""
    for line in lines:
        if line.snapshot_at is not None:
            line.status, line.reason = LineStatus.TO_PREPARE, None
    bare = [line for line in lines if line.snapshot_at is None]
    if not bare:
        return
    db.session.flush()
    locking.freeze_late(batch.id, [line.id for line in bare], at=at)
    for line in bare:
        db.session.refresh(line)
    if all(line.status is LineStatus.SET_ASIDE for line in lines):
        raise LineStateError(lines[0].reason or NOT_IN_STATE)


def _carry_over(
    batch: FulfilmentBatch, lines: Sequence[FulfilmentBatchLine], reason: str, by: UUID, at: datetime
) -> None:
    """Each has a successor in the open batch, which is frozen with that."""
    for line in lines:
        line.status = LineStatus.CARRIED_OVER
    db.session.flush()
    target = batches.join_open(batch.company_id, at=at)
    copied = ("charge_id", "position", "subscription_id", "cycle_no", "client_id", "product_id", "label", "quantity")
    db.session.add_all(
        FulfilmentBatchLine(
            id=new_id(),
            batch_id=target.id,
            status=LineStatus.PENDING,
            charged_at=at,
            flag=line.flag,
            ships_anyway_at=line.ships_anyway_at,
            created_at=at,
            **{name: getattr(line, name) for name in copied},
        )
        for line in lines
    )


_DO: dict[LineAction, Act] = {
    LineAction.HOLD: _hold,
    LineAction.RELEASE: _release,
    LineAction.PREPARE: _prepare,
    LineAction.UNPREPARE: _unprepare,
    LineAction.SET_ASIDE: _set_aside,
    LineAction.TAKE_BACK: _take_back,
    LineAction.CARRY_OVER: _carry_over,
    LineAction.SHIP_ANYWAY: _ship_anyway,
    LineAction.WITHDRAW: _withdraw,
}


class Reference(NamedTuple):
    """What L000012-0347 names: a batch of a company, and a consignment of it."""

    batch_number: int
    consignment_no: int


def read_reference(written: str) -> Reference | None:
    """The reference that somebody typed or scanned; None for anything else."""
    match = _REFERENCE.fullmatch(clean_text(written[:64]).upper())
    return Reference(int(match[1]), int(match[2])) if match else None


def scan(batch_id: UUID, reference: str, *, by: User, at: datetime) -> str:
    """Mark what a scanned reference (L000012-0347) stands for as prepared; returns what is to be said.

    Raises NotFoundError; InvalidInputError (field « reference ») where the batch has no such consignment;
    LineStateError where it is prepared already, or may not be.
    """
    by_id = by.id
    named = read_reference(reference)
    with transaction():
        batch, lines = _lock_lines(batch_id, consignment_no=named.consignment_no if named else 0)
        if named is None or named.batch_number != batch.number or not lines:
            raise InvalidInputError("Référence inconnue dans ce lot.", field="reference")
        code = consignment_code(*named)
        ready = [line for line in lines if _allows(line, batch, LineAction.PREPARE)]
        if not ready:
            raise LineStateError(_why_not(code, lines))
        _prepare(batch, ready, "", by_id, at)
    left = sum(line.status in (LineStatus.SET_ASIDE, LineStatus.TO_PREPARE) for line in lines)
    return f"{code} est préparé{', en partie' if left else ''}."


def _why_not(code: str, lines: Sequence[FulfilmentBatchLine]) -> str:
    if any(line.status is LineStatus.PREPARED for line in lines):
        return f"Déjà préparé\u202f: {code}."
    if any(_is_undecided(line) for line in lines):
        return f"{code} est signalé\u202f: son prélèvement n’est plus payé. Décidez d’abord s’il part."
    return f"{code} n’est pas à préparer."
