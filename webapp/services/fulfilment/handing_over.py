"""Parcels go to the carrier: « Remettre au transporteur », all that are ready or a selection. Set-based."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from webapp import french
from webapp.extensions import db
from webapp.models.fulfilment import BatchStatus
from webapp.models.identity import User
from webapp.models.outbox import OutboxKind
from webapp.services import outbox
from webapp.services.fulfilment import batches
from webapp.services.fulfilment.dispatching import NEW_ID, NotReadyError
from webapp.tenancy import current_organisation_id
from webapp.transactions import transaction

_READY = text(
    """
    CREATE TEMPORARY TABLE handed_over ON COMMIT DROP AS
    SELECT id, client_id, account_id, consignment_no FROM shipments
    WHERE organisation_id = :organisation_id AND batch_id = :batch_id AND status = 'labelled'
      AND (:is_all OR id = ANY(:ids))
    ORDER BY id FOR UPDATE
    """
).bindparams(bindparam("ids", type_=ARRAY(Uuid())))
_PARCELS = text(
    """
    UPDATE parcels p SET status = 'handed_over' FROM handed_over h
    WHERE p.organisation_id = :organisation_id AND p.shipment_id = h.id AND p.status = 'labelled'
    """
)
_SHIPMENTS = text(
    """
    UPDATE shipments s SET status = 'handed_over', handed_over_at = :at FROM handed_over h
    WHERE s.organisation_id = :organisation_id AND s.id = h.id
    """
)
_LINES = text(
    """
    UPDATE fulfilment_batch_lines l SET status = 'shipped' FROM handed_over h
    WHERE l.organisation_id = :organisation_id AND l.shipment_id = h.id AND l.status = 'prepared'
    """
)
_HISTORY = text(
    f"""
    INSERT INTO shipment_events (organisation_id, id, shipment_id, kind, at, user_id)
    SELECT :organisation_id, {NEW_ID}, id, 'handed_over', :at, :by_id FROM handed_over ORDER BY id
    """  # noqa: S608  an expression of ours
)
_CONSIGNMENT = """
'L' || lpad(b.number::text, greatest(6, length(b.number::text)), '0')
  || '-' || lpad(h.consignment_no::text, greatest(4, length(h.consignment_no::text)), '0')
"""
"""An expression of SQL: what ``consignment_code`` makes of them."""
_TIMELINE = text(
    f"""
    INSERT INTO timeline_events (organisation_id, id, client_id, kind, at, user_id, changes)
    SELECT :organisation_id, {NEW_ID}, h.client_id, 'shipment_handed_over', :at, :by_id,
      jsonb_strip_nulls(jsonb_build_object(
        'shipment', jsonb_build_array(NULL, {_CONSIGNMENT}),
        'tracking_number', (
          SELECT jsonb_build_array(NULL, string_agg(p.tracking_number, ', ' ORDER BY p.number)) FROM parcels p
          WHERE p.organisation_id = :organisation_id AND p.shipment_id = h.id AND p.tracking_number IS NOT NULL
          HAVING count(*) > 0)))
    FROM handed_over h
    JOIN fulfilment_batches b ON b.organisation_id = :organisation_id AND b.id = :batch_id
    ORDER BY h.id
    """  # noqa: S608  an expression of ours
)


def hand_over(batch_id: UUID, *, shipment_ids: Collection[UUID] | None = None, by: User, at: datetime) -> int:
    """Say that the carrier has got the batch's labelled shipments, or those that are named; returns how many.

    Their lines are shipped, and their clients' timelines tell so. Raises NotFoundError; BatchStateError unless the
    batch is dispatched; NotReadyError where none is ready, or one that is named is not.
    """
    with transaction():
        batch = batches.share_batches([batch_id]).get(batch_id) or batches.find_batch(batch_id)
        if batch.status is not BatchStatus.DISPATCHED:
            raise batches.BatchStateError(f"Un lot «\u00a0{batch.status.label}\u00a0» n’a rien à remettre.")
        values = {
            "organisation_id": current_organisation_id(),
            "batch_id": batch_id,
            "is_all": shipment_ids is None,
            "ids": sorted(shipment_ids or ()),
            "at": at,
            "by_id": by.id,
        }
        db.session.execute(text("DROP TABLE IF EXISTS handed_over"))
        db.session.execute(_READY, values)
        db.session.execute(text("ANALYZE handed_over"))
        number = db.session.execute(text("SELECT count(*) FROM handed_over")).scalar_one()
        _check_ready(number, shipment_ids)
        for statement in (_PARCELS, _SHIPMENTS, _LINES, _HISTORY, _TIMELINE):
            db.session.execute(statement, values)
        kind = OutboxKind.SHIPMENT_HANDED_OVER
        outbox.emit_in_set(kind, "SELECT id FROM handed_over ORDER BY id", new_id=NEW_ID, at=at)
        db.session.expire_all()
    return int(number)


def _check_ready(number: int, wanted: Collection[UUID] | None) -> None:
    missing = len(set(wanted)) - number if wanted else 0
    if missing:
        left = french.counted(missing, "expédition choisie n’est pas prête", "expéditions choisies ne sont pas prêtes")
        raise NotReadyError(f"{left}\u202f: rien n’a été remis.")
    if not number:
        raise NotReadyError("Aucune expédition n’est prête à être remise au transporteur.")
