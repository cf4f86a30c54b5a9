"""What a locked batch ships, added up: what is to be picked, and boxes that hold the same.

LOCK writes all sums; a line that leaves afterwards, or comes back, has those that it touches written anew.
"""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import Integer, String, bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY

from webapp.extensions import db
from webapp.models.fulfilment import BatchTotal, FulfilmentBatchLine, TotalKind
from webapp.tenancy import current_organisation_id

SHIPPING = "('to_prepare', 'prepared', 'shipped')"
BOX_KEY = "md5(string_agg(pick_key || quantity, ',' ORDER BY pick_key, quantity))"
"""An aggregate of SQL over the lines of a consignment: what it holds."""

_WRITE_PICKING = f"""
INSERT INTO batch_totals (organisation_id, batch_id, kind, key, content, quantity, count)
SELECT organisation_id, batch_id, 'picking', pick_key,
  jsonb_build_array(jsonb_build_object('label', label, 'quantity', 1, 'preferences', preference_snapshot)),
  sum(quantity), count(*)
FROM fulfilment_batch_lines
WHERE organisation_id = :organisation_id AND batch_id = :batch_id AND status IN {SHIPPING}
  AND (:is_whole OR pick_key = ANY(:keys))
GROUP BY organisation_id, batch_id, pick_key, label, preference_snapshot
"""  # noqa: S608  names of states
_WRITE_BOXES = f"""
INSERT INTO batch_totals (organisation_id, batch_id, kind, key, content, quantity, count)
SELECT :organisation_id, :batch_id, 'box', box.box_key, example.content, example.quantity * box.number, box.number
FROM (
  SELECT box_key, count(DISTINCT consignment_no) AS number, min(consignment_no) AS consignment_no
  FROM fulfilment_batch_lines
  WHERE organisation_id = :organisation_id AND batch_id = :batch_id AND status IN {SHIPPING}
    AND (:is_whole OR box_key = ANY(:keys))
  GROUP BY box_key
) box
CROSS JOIN LATERAL (
  SELECT sum(quantity) AS quantity, jsonb_agg(
    jsonb_build_object('label', label, 'quantity', quantity, 'preferences', preference_snapshot)
    ORDER BY label, pick_key) AS content
  FROM fulfilment_batch_lines line
  WHERE line.organisation_id = :organisation_id AND line.batch_id = :batch_id AND line.status IN {SHIPPING}
    AND line.consignment_no = box.consignment_no
) example
"""  # noqa: S608  names of states
_WRITE = [text(each).bindparams(bindparam("keys", type_=ARRAY(String()))) for each in (_WRITE_PICKING, _WRITE_BOXES)]
_CLEAR = text(
    "DELETE FROM batch_totals WHERE organisation_id = :organisation_id AND batch_id = :batch_id AND key = ANY(:keys)"
).bindparams(bindparam("keys", type_=ARRAY(String())))
# A consignment holds what still ships of it: its key follows the lines that left, and those that came back.
_RESTATE_BOXES = text(
    f"""
    UPDATE fulfilment_batch_lines line SET box_key = box.box_key
    FROM (
      SELECT consignment_no, {BOX_KEY} AS box_key FROM fulfilment_batch_lines
      WHERE organisation_id = :organisation_id AND batch_id = :batch_id AND status IN {SHIPPING}
        AND consignment_no = ANY(:consignments)
      GROUP BY consignment_no
    ) box
    WHERE line.organisation_id = :organisation_id AND line.batch_id = :batch_id
      AND line.consignment_no = box.consignment_no
    """  # noqa: S608  names of states
).bindparams(bindparam("consignments", type_=ARRAY(Integer())))


def write(batch_id: UUID) -> None:
    """All sums of a batch that has none yet, in the caller's transaction."""
    for statement in _WRITE:
        db.session.execute(statement, {**_of(batch_id), "is_whole": True, "keys": []})


def restate(batch_id: UUID, consignments: Iterable[int]) -> None:
    """The sums that the lines of these consignments are in, or were, in the caller's transaction."""
    db.session.flush()
    numbers = sorted(set(consignments))
    keys = _list_keys(batch_id, numbers)
    db.session.execute(_RESTATE_BOXES, {**_of(batch_id), "consignments": numbers})
    bound = {**_of(batch_id), "keys": sorted(keys | _list_keys(batch_id, numbers))}
    db.session.execute(_CLEAR, bound)
    for statement in _WRITE:
        db.session.execute(statement, {**bound, "is_whole": False})


def _of(batch_id: UUID) -> dict[str, UUID]:
    return {"organisation_id": current_organisation_id(), "batch_id": batch_id}


def _list_keys(batch_id: UUID, consignments: list[int]) -> set[str]:
    rows = db.session.execute(
        select(FulfilmentBatchLine.pick_key, FulfilmentBatchLine.box_key).where(
            FulfilmentBatchLine.batch_id == batch_id, FulfilmentBatchLine.consignment_no.in_(consignments)
        )
    )
    return {key for row in rows for key in row if key is not None}


def list_totals(batch_id: UUID, kind: TotalKind, *, limit: int) -> list[BatchTotal]:
    """The largest sums of a kind."""
    statement = select(BatchTotal).where(BatchTotal.batch_id == batch_id, BatchTotal.kind == kind)
    ordered = statement.order_by(BatchTotal.count.desc(), BatchTotal.key).limit(limit)
    return list(db.session.scalars(ordered.execution_options(populate_existing=True)))
