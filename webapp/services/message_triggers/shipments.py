"""Shipments that are on their way, told to whom they are sent."""

from collections.abc import Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload

from webapp import clock
from webapp.extensions import db
from webapp.models.fulfilment import FulfilmentBatchLine, ParcelStatus, Shipment
from webapp.models.messages import MessageKind
from webapp.models.outbox import OutboxEvent
from webapp.services.messages import writing
from webapp.services.messages.writing import Draft

SENT = "sent"


def tell_sent(event: OutboxEvent) -> None:
    """Tell the client that a shipment has left, with its tracking numbers, once."""
    statement = select(Shipment).where(Shipment.id == event.subject_id)
    shipment = db.session.scalar(
        statement.options(joinedload(Shipment.batch), joinedload(Shipment.account), selectinload(Shipment.parcels))
    )
    if shipment is None or shipment.status is ParcelStatus.CANCELED:
        return
    carrier = shipment.account.carrier if shipment.account else None
    numbers = [parcel.tracking_number for parcel in shipment.parcels if parcel.tracking_number]
    draft = Draft(
        kind=MessageKind.SHIPMENT_SENT,
        company_id=shipment.batch.company_id,
        client_id=shipment.client_id,
        subject_id=shipment.id,
        occasion=SENT,
        variables={
            "reference": shipment.consignment,
            "transporteur": carrier.label if carrier and carrier.is_called else None,
            "numero_suivi": ", ".join(numbers) or None,
            "contenu": _list_content(shipment),
        },
    )
    writing.write(draft, at=clock.now())


def _list_content(shipment: Shipment) -> Sequence[Mapping[str, object]]:
    lines = db.session.scalars(
        select(FulfilmentBatchLine)
        .where(FulfilmentBatchLine.shipment_id == shipment.id)
        .order_by(FulfilmentBatchLine.label, FulfilmentBatchLine.id)
    )
    return [{"libelle": line.label, "quantite": line.quantity} for line in lines]
