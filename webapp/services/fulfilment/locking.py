"""LOCK: at the cut-off, what was charged before it is frozen with its address and preferences, in one transaction.

Everything is done by sets. What was just written is joined through temporary tables that are analysed: without
statistics the planner takes a hundred thousand new rows for a handful, and joins them one by one.
"""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, func, select, text
from sqlalchemy.dialects.postgresql import JSONB

from webapp import french
from webapp.clock import PARIS
from webapp.errors import DomainError
from webapp.extensions import db
from webapp.models.fulfilment import BatchStatus, FulfilmentBatch, FulfilmentBatchLine, LineStatus
from webapp.models.identity import User
from webapp.services.fulfilment import batches, totals
from webapp.services.fulfilment.address_snapshots import ADDRESS, DESTINATIONS, FAULT
from webapp.services.preferences.values import default_snapshot, own_values_sql
from webapp.tenancy import current_organisation_id
from webapp.transactions import transaction

NOTHING_TO_LOCK = "Ce lot est vide\u202f: il n’y a rien à verrouiller."


class AlreadyLockedError(batches.BatchStateError):
    """Somebody, or the timetable, was first."""


class EmptyBatchError(DomainError):
    """No line of the batch can be locked."""


class Locked(NamedTuple):
    """What a lock did: how many lines are to be prepared, set aside, and moved to the next batch."""

    to_prepare: int
    set_aside: int
    moved: int


_TABLES = ("locked_lines", "locked_values", "locked_boxes")
_LINES = f"""
CREATE TEMPORARY TABLE locked_lines ON COMMIT DROP AS
SELECT id, client_id, subscription_id, cycle_no, product_id, label, quantity, gift_message, address,
  md5(address::text) AS address_key, {FAULT} AS fault
FROM (
  SELECT l.id, l.client_id, l.subscription_id, l.cycle_no, l.product_id, l.label, l.quantity, d.gift_message,
    {ADDRESS} AS address
  FROM fulfilment_batch_lines l
  JOIN ({DESTINATIONS}) d ON d.organisation_id = l.organisation_id AND d.subscription_id = l.subscription_id
  WHERE l.organisation_id = :organisation_id AND l.batch_id = :batch_id AND CHOSEN
) line
"""  # noqa: S608  expressions of ours
_PAIRS = "(SELECT DISTINCT subscription_id, cycle_no FROM locked_lines WHERE fault IS NULL)"
_VALUES = f"""
CREATE TEMPORARY TABLE locked_values ON COMMIT DROP AS
SELECT id, client_id, address_key, quantity, preferences, {totals.PICK_KEY} AS pick_key
FROM (
  SELECT l.id, l.client_id, l.address_key, l.product_id, l.label, l.quantity,
    CAST(:defaults AS jsonb) || coalesce(v.own, '{{}}') AS preferences
  FROM locked_lines l
  LEFT JOIN ({own_values_sql(_PAIRS)}) v ON v.subscription_id = l.subscription_id AND v.cycle_no = l.cycle_no
  WHERE l.fault IS NULL
) line
"""  # noqa: S608  expressions of ours
# Consignments that hold the same are numbered one after the other, the most frequent first: so are labels printed.
_BOXES = f"""
CREATE TEMPORARY TABLE locked_boxes ON COMMIT DROP AS
SELECT client_id, address_key, box_key,
  :numbered + row_number() OVER (ORDER BY number DESC, box_key, client_id, address_key) AS consignment_no
FROM (
  SELECT client_id, address_key, box_key, count(*) OVER (PARTITION BY box_key) AS number
  FROM (
    SELECT client_id, address_key, {totals.BOX_KEY} AS box_key
    FROM locked_values
    GROUP BY client_id, address_key
  ) consignment
) counted
"""  # noqa: S608  expressions of ours
_FREEZE = """
UPDATE fulfilment_batch_lines line SET
  status = 'to_prepare', consignment_no = b.consignment_no, address_snapshot = l.address,
  preference_snapshot = v.preferences, gift_message = l.gift_message, pick_key = v.pick_key, box_key = b.box_key,
  snapshot_at = :at, reason = NULL
FROM locked_lines l
JOIN locked_values v ON v.id = l.id
JOIN locked_boxes b ON b.client_id = v.client_id AND b.address_key = v.address_key
WHERE line.organisation_id = :organisation_id AND line.id = l.id
"""
_SET_ASIDE = """
UPDATE fulfilment_batch_lines line SET status = 'set_aside', reason = l.fault, decided_at = :at
FROM locked_lines l
WHERE line.organisation_id = :organisation_id AND line.id = l.id AND l.fault IS NOT NULL
"""
_MOVE = """
UPDATE fulfilment_batch_lines SET batch_id = :next_id
WHERE organisation_id = :organisation_id AND batch_id = :batch_id AND status = 'pending'
"""
IN_TIME = "l.status = 'pending' AND l.held_reason IS NULL AND l.charged_at < :before"
"""An expression of SQL over ``l``: the line goes with a lock of what was charged before."""


def lock(batch_id: UUID, *, by: User | None, at: datetime) -> Locked:
    """Lock an open batch: what was charged before its cut-off, or before ``at`` where that comes first.

    What is held, and what was charged later, moves to the next batch. Raises NotFoundError, AlreadyLockedError,
    EmptyBatchError where nothing is to be locked: the batch stays open.
    """
    by_id = by.id if by else None
    with transaction():
        batch = batches.lock_batch(batch_id)
        check_open(batch)
        before = in_time_before(batch, at=at)
        if not _freeze_chosen(batch_id, IN_TIME, {"before": before, "numbered": 0}, at=at):
            raise EmptyBatchError(NOTHING_TO_LOCK)
        batches.move(batch, BatchStatus.LOCKED)
        batch.locked_at, batch.locked_by_id = at, by_id
        batch.work = batch.work_at = batch.work_by_id = batch.work_error = batch.lease_until = None
        db.session.flush()
        totals.write(batch_id)
        moved = _move_rest(batch, at=at)
        counts = count_lines(batch_id)
    return Locked(counts.get(LineStatus.TO_PREPARE, 0), counts.get(LineStatus.SET_ASIDE, 0), moved)


def check_open(batch: FulfilmentBatch) -> None:
    """Raise AlreadyLockedError, which says who was first, and when."""
    if batch.status is BatchStatus.OPEN or batch.locked_at is None:
        return
    who = f"par {batch.locked_by.full_name}" if batch.locked_by else "automatiquement"
    when = batch.locked_at.astimezone(PARIS)
    raise AlreadyLockedError(f"Déjà verrouillé {who} le {french.day(when.date())} à {when:%H:%M}.")


def check_not_empty(batch: FulfilmentBatch, *, at: datetime) -> None:
    """Raise EmptyBatchError where a lock at ``at`` would find nothing: it may find what is not heard of yet."""
    chosen = select(FulfilmentBatchLine.id).where(
        FulfilmentBatchLine.batch_id == batch.id,
        FulfilmentBatchLine.status == LineStatus.PENDING,
        FulfilmentBatchLine.held_reason.is_(None),
    )
    if db.session.scalar(chosen.limit(1)) is None:
        raise EmptyBatchError(NOTHING_TO_LOCK)


def in_time_before(batch: FulfilmentBatch, *, at: datetime) -> datetime:
    """Until when something was charged, to go with a lock at ``at``."""
    return batch.cutoff_at if batch.cutoff_at is not None and batch.cutoff_at < at else at


def _freeze_chosen(batch_id: UUID, chosen: str, bound: dict[str, object], *, at: datetime) -> int:
    """Freeze the chosen lines of a held batch, or set them aside; returns how many were chosen."""
    values = {"organisation_id": current_organisation_id(), "batch_id": batch_id, "at": at, **bound}
    for table in _TABLES:  # a second lock in one transaction, as only tests make it, finds those of the first
        db.session.execute(text(f"DROP TABLE IF EXISTS {table}"))
    db.session.execute(text(_LINES.replace("CHOSEN", chosen)), values)
    db.session.execute(text("ANALYZE locked_lines"))
    defaults = bindparam("defaults", default_snapshot(), type_=JSONB)
    db.session.execute(text(_VALUES).bindparams(defaults), values)
    db.session.execute(text("ANALYZE locked_values"))
    db.session.execute(text(_BOXES), values)
    db.session.execute(text("ANALYZE locked_boxes"))
    return sum(db.session.execute(text(each), values).rowcount for each in (_FREEZE, _SET_ASIDE))  # type: ignore[attr-defined]


def _move_rest(batch: FulfilmentBatch, *, at: datetime) -> int:
    """What is pending still, held or charged later, waits in the next batch."""
    pending = select(FulfilmentBatchLine.id).where(
        FulfilmentBatchLine.batch_id == batch.id, FulfilmentBatchLine.status == LineStatus.PENDING
    )
    if db.session.scalar(pending.limit(1)) is None:
        return 0
    values = {
        "organisation_id": current_organisation_id(),
        "batch_id": batch.id,
        "next_id": batches.join_open(batch.company_id, at=at).id,
    }
    moved: int = db.session.execute(text(_MOVE), values).rowcount  # type: ignore[attr-defined]
    return moved


def count_lines(batch_id: UUID) -> dict[LineStatus, int]:
    """How many lines of a batch stand where."""
    rows = db.session.execute(
        select(FulfilmentBatchLine.status, func.count())
        .where(
            FulfilmentBatchLine.organisation_id == current_organisation_id(), FulfilmentBatchLine.batch_id == batch_id
        )
        .group_by(FulfilmentBatchLine.status)
    )
    return {row[0]: row[1] for row in rows}
