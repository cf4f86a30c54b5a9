"""LOCK: at the cut-off, what was charged before it is frozen with its address and preferences, in one transaction.

Everything is done by sets. What was just written is joined through temporary tables that are analysed: without
statistics the planner takes a hundred thousand new rows for a handful, and joins them one by one.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import func, select, text

from webapp import french
from webapp.clock import PARIS
from webapp.errors import DomainError
from webapp.extensions import db
from webapp.models.fulfilment import BatchStatus, FulfilmentBatch, FulfilmentBatchLine, LineStatus
from webapp.models.identity import User
from webapp.services.fulfilment import batches, totals
from webapp.services.fulfilment.address_snapshots import ADDRESS, DESTINATIONS, FAULT
from webapp.services.preferences.values import OWN_COMBINATION, default_snapshot, own_values_sql
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


_LINES = f"""
CREATE TEMPORARY TABLE locked_lines ON COMMIT DROP AS
SELECT line.*, md5(concat(client_id, address))::uuid AS consignment
FROM (
  SELECT l.id, l.client_id, l.subscription_id, l.cycle_no, l.product_id, l.label, l.quantity, d.gift_message,
    {ADDRESS} AS address, {FAULT} AS fault
  FROM fulfilment_batch_lines l
  JOIN ({DESTINATIONS}) d ON d.organisation_id = l.organisation_id AND d.subscription_id = l.subscription_id
  WHERE l.organisation_id = :organisation_id AND l.batch_id = :batch_id AND CHOSEN
  OFFSET 0
) line
"""  # noqa: S608  expressions of ours
# OFFSET 0 keeps a subquery by itself: merged into what is around it, an address would be built at every mention.
_PAIRS = "(SELECT DISTINCT subscription_id, cycle_no FROM locked_lines WHERE fault IS NULL)"
_COMBINATIONS = f"""
CREATE TEMPORARY TABLE locked_combinations ON COMMIT DROP AS
{own_values_sql(_PAIRS, OWN_COMBINATION)}
"""
# What many subscriptions chose alike is written out once.
_EXAMPLES = "(SELECT DISTINCT ON (own) subscription_id, cycle_no FROM locked_combinations ORDER BY own)"
_SNAPSHOTS = f"""
CREATE TEMPORARY TABLE locked_snapshots ON COMMIT DROP AS
SELECT own AS combination, preferences, md5(preferences::text)::uuid AS choice
FROM (
  SELECT c.own, CAST(:defaults AS jsonb) || snapshot.own AS preferences
  FROM ({own_values_sql(_EXAMPLES)}) snapshot
  JOIN locked_combinations c ON c.subscription_id = snapshot.subscription_id AND c.cycle_no = snapshot.cycle_no
  OFFSET 0
) chosen
UNION ALL
SELECT '', CAST(:defaults AS jsonb), md5(CAST(:defaults AS jsonb)::text)::uuid
"""  # noqa: S608  expressions of ours
_VALUES = """
CREATE TEMPORARY TABLE locked_values ON COMMIT DROP AS
SELECT l.id, l.consignment, l.quantity, s.combination, md5(concat_ws('|', l.product_id, l.label, s.choice)) AS pick_key
FROM locked_lines l
LEFT JOIN locked_combinations c ON c.subscription_id = l.subscription_id AND c.cycle_no = l.cycle_no
JOIN locked_snapshots s ON s.combination = coalesce(c.own, '')
WHERE l.fault IS NULL
"""
# Consignments that hold the same are numbered one after the other, the most frequent first: so are labels printed.
_BOXES = f"""
CREATE TEMPORARY TABLE locked_boxes ON COMMIT DROP AS
SELECT consignment, box_key, coalesce(earlier.consignment_no,
  :numbered + row_number() OVER (ORDER BY number DESC, box_key, consignment)) AS consignment_no
FROM (
  SELECT consignment, box_key, count(*) OVER (PARTITION BY box_key) AS number
  FROM (SELECT consignment, {totals.BOX_KEY} AS box_key FROM locked_values GROUP BY consignment) held
) counted
LEFT JOIN (EARLIER) earlier USING (consignment)
"""  # noqa: S608  expressions of ours
_FREEZE = """
UPDATE fulfilment_batch_lines line SET
  status = 'to_prepare', consignment_no = b.consignment_no, address_snapshot = l.address,
  preference_snapshot = s.preferences, gift_message = l.gift_message, pick_key = v.pick_key, box_key = b.box_key,
  snapshot_at = :at, reason = NULL
FROM locked_lines l
JOIN locked_values v ON v.id = l.id
JOIN locked_boxes b ON b.consignment = v.consignment
JOIN locked_snapshots s ON s.combination = v.combination
WHERE line.organisation_id = :organisation_id AND line.batch_id = :batch_id AND line.id = l.id
"""
_NONE = "SELECT NULL::uuid AS consignment, 0 AS consignment_no WHERE false"
_EARLIER = """
SELECT md5(concat(client_id, address_snapshot))::uuid AS consignment, min(consignment_no) AS consignment_no
FROM fulfilment_batch_lines
WHERE organisation_id = :organisation_id AND batch_id = :batch_id AND snapshot_at IS NOT NULL
GROUP BY 1
"""
"""The consignments of a locked batch, which what comes later may join."""
_STEPS = (
    ("locked_lines", _LINES, "id, subscription_id, cycle_no, fault"),
    ("locked_combinations", _COMBINATIONS, "subscription_id, cycle_no, own"),
    ("locked_snapshots", _SNAPSHOTS, "combination"),
    ("locked_values", _VALUES, "id, consignment, combination"),
    ("locked_boxes", _BOXES, "consignment"),
)
"""The temporary tables in their order: what fills each, and the columns by which it is joined."""
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


def freeze_late(batch_id: UUID, line_ids: Sequence[UUID], *, at: datetime) -> None:
    """Freeze lines of a locked batch that were set aside by its lock, or say again what their address lacks.

    In the caller's transaction, which holds the batch and the lines.
    """
    last = select(func.coalesce(func.max(FulfilmentBatchLine.consignment_no), 0)).where(
        FulfilmentBatchLine.batch_id == batch_id
    )
    bound = {"line_ids": list(line_ids), "numbered": db.session.scalars(last).one()}
    _freeze_chosen(batch_id, "l.id = ANY(:line_ids)", bound, earlier=_EARLIER, at=at)


def _freeze_chosen(
    batch_id: UUID, chosen: str, bound: Mapping[str, object], *, at: datetime, earlier: str = _NONE
) -> int:
    """Freeze the chosen lines of a held batch, or set them aside; returns how many were chosen."""
    values = {"organisation_id": current_organisation_id(), "batch_id": batch_id, "at": at, **bound}
    values["defaults"] = orjson.dumps(default_snapshot()).decode()
    db.session.execute(text("SET LOCAL work_mem = '256MB'"))  # sorts and hashes of a whole batch stay in memory
    for table, statement, joined_by in _STEPS:
        # A second lock in one transaction, as only tests make it, finds the table of the first.
        db.session.execute(text(f"DROP TABLE IF EXISTS {table}"))
        db.session.execute(text(statement.replace("CHOSEN", chosen).replace("EARLIER", earlier)), values)
        db.session.execute(text(f"ANALYZE {table} ({joined_by})"))
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
