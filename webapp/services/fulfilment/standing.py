"""Where a shipment stands: where its least advanced parcel does."""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import String, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from webapp.extensions import db
from webapp.models.fulfilment import WAY
from webapp.tenancy import current_organisation_id

_RESTATE = text(
    """
    UPDATE shipments s SET status = least.status
    FROM (
      SELECT DISTINCT ON (shipment_id) shipment_id, status FROM parcels
      WHERE organisation_id = :organisation_id AND shipment_id = ANY(:ids)
      ORDER BY shipment_id, array_position(:way, status)
    ) least
    WHERE s.organisation_id = :organisation_id AND s.id = least.shipment_id AND s.status <> least.status
    """
).bindparams(
    bindparam("ids", type_=ARRAY(Uuid())), bindparam("way", [each.value for each in WAY], type_=ARRAY(String()))
)


def restate(shipment_ids: Iterable[UUID]) -> None:
    """Have locked shipments follow their parcels, in the caller's transaction."""
    ids = sorted(set(shipment_ids))
    if ids:
        db.session.flush()
        db.session.execute(_RESTATE, {"organisation_id": current_organisation_id(), "ids": ids})
