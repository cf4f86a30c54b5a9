"""Tracking: what carriers, or people, say of parcels that are on their way."""

import re
from uuid import UUID

from sqlalchemy import select

from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.fulfilment import WAY, Parcel, ParcelStatus, TrackingEvent

BY_HAND = (ParcelStatus.IN_TRANSIT, ParcelStatus.DELIVERED, ParcelStatus.RETURNED, ParcelStatus.LOST)
"""What can be said of a parcel that has left."""
_NUMBER = re.compile(r"[A-Z0-9]{5,35}")


def checked_number(written: str) -> str:
    """A tracking number as it is kept: capitals and digits. Raises InvalidInputError."""
    number = re.sub(r"[\s.\-]", "", written).upper()
    if not (number.isascii() and _NUMBER.fullmatch(number)):
        raise InvalidInputError("Un numéro de suivi a de 5 à 35 lettres et chiffres.", field="number")
    return number


def refuse_taken(number: str, *, except_parcel: UUID) -> None:
    """Raise InvalidInputError where another parcel has the number already."""
    statement = select(Parcel.id).where(Parcel.tracking_number == number, Parcel.id != except_parcel).limit(1)
    if db.session.scalar(statement) is not None:
        raise InvalidInputError("Un autre colis porte déjà ce numéro.", field="number")


def advance(parcel: Parcel, status: ParcelStatus) -> bool:
    """Bring a locked parcel that has left to ``status``, along the table; whether it moved. Nothing goes back."""
    if parcel.status not in (ParcelStatus.HANDED_OVER, ParcelStatus.IN_TRANSIT):
        return False
    if WAY.index(status) <= WAY.index(parcel.status):
        return False
    parcel.status = status
    return True


def list_events(shipment_id: UUID) -> list[TrackingEvent]:
    """What was told of the shipment's parcels, the latest first."""
    statement = select(TrackingEvent).join(Parcel, linked(Parcel, TrackingEvent.parcel_id))
    ordered = statement.where(Parcel.shipment_id == shipment_id).order_by(
        TrackingEvent.at.desc(), TrackingEvent.id.desc()
    )
    return list(db.session.scalars(ordered))
