"""What people decide about one shipment: its address, its label once more, its number, its end."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload

from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.gateways.carriers.registry import CAPABILITIES
from webapp.models.base import new_id
from webapp.models.fulfilment import (
    FulfilmentBatch,
    FulfilmentBatchLine,
    LineStatus,
    Parcel,
    ParcelStatus,
    Shipment,
)
from webapp.models.identity import User
from webapp.models.shipping import ShipmentEvent, ShipmentEventKind
from webapp.services.charges import decisions
from webapp.services.contact import clean_text, normalise_phone, normalise_postcode
from webapp.services.fulfilment import batches, labelling, standing, totals, tracking
from webapp.services.fulfilment.address_snapshots import FIELDS
from webapp.transactions import transaction

GONE = "Cette expédition n’existe pas ou plus."
NEEDED = ("recipient", "line1", "postcode", "city")
LONGEST = {"recipient": 200, "company": 200, "line1": 200, "line2": 200, "city": 100, "instructions": 200}
RELABELLED = frozenset({ParcelStatus.REFUSED, ParcelStatus.UNKNOWN})


class ShipmentStateError(DomainError):
    """The shipment's state does not allow this."""


class ShipmentAction(StrEnum):
    """What people do with a shipment, as addresses say it."""

    CORRECT = "adresse"
    RELABEL = "etiquette"
    WRITE_NUMBER = "numero"
    WRITE_STATUS = "etat"
    CANCEL = "annuler"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "adresse": "Corriger l’adresse",
            "etiquette": "Refaire l’étiquette",
            "numero": "Saisir le numéro de suivi",
            "etat": "Saisir l’état",
            "annuler": "Annuler l’expédition",
        }[self.value]


def find_shipment(shipment_id: UUID) -> Shipment:
    """A shipment with its client, batch, account and parcels. Raises NotFoundError."""
    statement = select(Shipment).where(Shipment.id == shipment_id)
    shipment = db.session.scalar(
        statement.options(
            joinedload(Shipment.client),
            joinedload(Shipment.batch).joinedload(FulfilmentBatch.company),
            joinedload(Shipment.account),
            selectinload(Shipment.parcels),
        ).execution_options(populate_existing=True)
    )
    if shipment is None:
        raise NotFoundError(GONE)
    return shipment


def actions_of(shipment: Shipment) -> list[ShipmentAction]:
    """What may be done with it as it stands."""
    return [action for action in ShipmentAction if _ALLOWED[action](shipment)]


def _states(shipment: Shipment) -> set[ParcelStatus]:
    return {parcel.status for parcel in shipment.parcels if parcel.status is not ParcelStatus.CANCELED}


def _is_called(shipment: Shipment) -> bool:
    return shipment.account is not None and shipment.account.carrier.is_called


def is_correctable(shipment: Shipment) -> bool:
    """Whether its address may change: until there may be a label, and without a carrier until it has left."""
    free = {ParcelStatus.TO_LABEL, ParcelStatus.REFUSED}
    if not _is_called(shipment):
        free.add(ParcelStatus.LABELLED)
    return bool(_states(shipment)) and _states(shipment) <= free


def _waits_for_person(shipment: Shipment) -> bool:
    return any(parcel.status in RELABELLED and parcel.next_attempt_at is None for parcel in shipment.parcels)


def _takes_number(shipment: Shipment) -> bool:
    return _waits_for_person(shipment) or (
        not _is_called(shipment)
        and bool(_states(shipment) & {ParcelStatus.LABELLED, ParcelStatus.HANDED_OVER, ParcelStatus.IN_TRANSIT})
    )


def _takes_status(shipment: Shipment) -> bool:
    return bool(_states(shipment) & {ParcelStatus.HANDED_OVER, ParcelStatus.IN_TRANSIT})


def _is_cancelable(shipment: Shipment) -> bool:
    states = _states(shipment)
    free = {ParcelStatus.TO_LABEL, ParcelStatus.REFUSED, ParcelStatus.UNKNOWN, ParcelStatus.LABELLED}
    return bool(states) and states <= free


_ALLOWED = {
    ShipmentAction.CORRECT: is_correctable,
    ShipmentAction.RELABEL: _waits_for_person,
    ShipmentAction.WRITE_NUMBER: _takes_number,
    ShipmentAction.WRITE_STATUS: _takes_status,
    ShipmentAction.CANCEL: _is_cancelable,
}
REFUSED = {
    ShipmentAction.CORRECT: "L’adresse ne change plus\u202f: une étiquette existe peut-être déjà.",
    ShipmentAction.RELABEL: "Aucune étiquette de cette expédition n’attend d’être refaite.",
    ShipmentAction.WRITE_NUMBER: "Le transporteur donne lui-même le numéro de suivi de cette expédition.",
    ShipmentAction.WRITE_STATUS: "Cette expédition n’est pas en chemin.",
    ShipmentAction.CANCEL: "Cette expédition ne peut plus être annulée.",
}


def _lock(shipment_id: UUID, action: ShipmentAction) -> Shipment:
    """The shipment first, as everybody locks it first, with its parcels. Raises NotFoundError, ShipmentStateError."""
    statement = select(Shipment.id).where(Shipment.id == shipment_id).with_for_update()
    if db.session.scalar(statement) is None:
        raise NotFoundError(GONE)
    db.session.scalars(select(Parcel.id).where(Parcel.shipment_id == shipment_id).with_for_update()).all()
    shipment = find_shipment(shipment_id)
    if action not in actions_of(shipment):
        raise ShipmentStateError(REFUSED[action])
    return shipment


def _tell(shipment: Shipment, kind: ShipmentEventKind, changes: Mapping[str, Any], *, by: User, at: datetime) -> None:
    event = ShipmentEvent(id=new_id(), shipment_id=shipment.id, kind=kind, at=at, user_id=by.id, changes=dict(changes))
    db.session.add(event)


# ---------------------------------------------------------------------------------------------- address


def correct_address(shipment_id: UUID, written: Mapping[str, str], *, by: User, at: datetime) -> Shipment:
    """Correct where a shipment goes; a label that was refused is asked for again.

    ``written`` holds FIELDS. Raises NotFoundError, ShipmentStateError; InvalidInputError naming the field.
    """
    address = checked_address(written)
    with transaction():
        shipment = _lock(shipment_id, ShipmentAction.CORRECT)
        before = shipment.address
        changes = {
            name: [before.get(name), address.get(name)] for name in FIELDS if before.get(name) != address.get(name)
        }
        if not changes:
            raise InvalidInputError("Rien n’a changé dans l’adresse.", field="line1")
        shipment.address = address
        _tell(shipment, ShipmentEventKind.ADDRESS_CORRECTED, changes, by=by, at=at)
        for parcel in shipment.parcels:
            if parcel.status in (ParcelStatus.REFUSED, ParcelStatus.TO_LABEL):
                _renew(parcel, at=at)
        _ask(shipment)
    return shipment


def checked_address(written: Mapping[str, str]) -> dict[str, str]:
    """The address as it is kept: without what is empty. Raises InvalidInputError naming the field."""
    address = {name: text for name in FIELDS if (text := clean_text(written.get(name, "")))}
    for name in NEEDED:
        if name not in address:
            raise InvalidInputError("Ce champ est nécessaire.", field=name)
    for name, most in LONGEST.items():
        if len(address.get(name, "")) > most:
            raise InvalidInputError(f"{most} caractères au plus.", field=name)
    country = address.setdefault("country", "FR").upper()
    if len(country) != 2 or not (country.isascii() and country.isalpha()):
        raise InvalidInputError("Deux lettres\u202f: FR, BE, LU…", field="country")
    address["country"] = country
    address["postcode"] = _at("postcode", normalise_postcode, address["postcode"], country)
    if "phone" in address:
        address["phone"] = _at("phone", normalise_phone, address["phone"], country)
    return address


def _at(name: str, normalise: Any, *written: str) -> str:
    try:
        text: str = normalise(*written)
    except InvalidInputError as error:
        raise InvalidInputError(error.message, field=name) from error
    return text


# ---------------------------------------------------------------------------------------------- label


def relabel(shipment_id: UUID, *, by: User, at: datetime) -> Shipment:
    """Ask for labels anew that were refused, or of which nobody knows: under a new key, since that is what was decided.

    Raises NotFoundError, ShipmentStateError.
    """
    with transaction():
        shipment = _lock(shipment_id, ShipmentAction.RELABEL)
        for parcel in shipment.parcels:
            if parcel.status in RELABELLED and parcel.next_attempt_at is None:
                _renew(parcel, at=at)
        _tell(shipment, ShipmentEventKind.LABEL_ASKED_AGAIN, {}, by=by, at=at)
        _ask(shipment)
    return shipment


def _renew(parcel: Parcel, *, at: datetime) -> None:
    """Ask anew. What nobody knows stays so until it is sent: that it was never sent under this key makes it so."""
    if parcel.status is ParcelStatus.REFUSED:
        parcel.status = ParcelStatus.TO_LABEL
    parcel.key, parcel.sends = str(new_id()), 0
    parcel.first_sent_at = parcel.last_sent_at = parcel.lease_until = parcel.error = parcel.tracking_number = None
    parcel.fence += 1
    parcel.next_attempt_at = at


def _ask(shipment: Shipment) -> None:
    standing.restate([shipment.id])
    if shipment.account_id is not None and _is_called(shipment):
        labelling.ring(shipment.account_id)


# ---------------------------------------------------------------------------------------------- number, state


def write_number(
    shipment_id: UUID, number: str, *, by: User, at: datetime, parcel_number: int = 1, carrier: str = ""
) -> Shipment:
    """Write the tracking number that a carrier gave by other ways; a label of which nobody knew is found with it.

    ``carrier`` is the name of whoever brings a parcel that leaves without one of ours.
    Raises NotFoundError, ShipmentStateError; InvalidInputError where it is no number, or another parcel's.
    """
    number = tracking.checked_number(number)
    with transaction():
        shipment = _lock(shipment_id, ShipmentAction.WRITE_NUMBER)
        parcel = next((each for each in shipment.parcels if each.number == parcel_number), None)
        if parcel is None:
            raise InvalidInputError("Cette expédition n’a pas ce colis.", field="number")
        tracking.refuse_taken(number, except_parcel=parcel.id)
        before = parcel.tracking_number
        if parcel.status in RELABELLED:
            parcel.status, parcel.error = ParcelStatus.LABELLED, None
        parcel.tracking_number = number
        changes = {"tracking_number": [before, number]} | ({"carrier": [None, carrier]} if carrier else {})
        _tell(shipment, ShipmentEventKind.TRACKING_WRITTEN, changes, by=by, at=at)
        standing.restate([shipment.id])
    return shipment


def write_status(shipment_id: UUID, status: ParcelStatus, *, by: User, at: datetime) -> Shipment:
    """Say where a shipment is that no carrier tells of. Raises NotFoundError, ShipmentStateError, InvalidInputError."""
    with transaction():
        shipment = _lock(shipment_id, ShipmentAction.WRITE_STATUS)
        if status not in tracking.BY_HAND:
            raise InvalidInputError("Choisissez un état de la liste.", field="status")
        before = shipment.status
        moved = [tracking.advance(parcel, status) for parcel in shipment.parcels]
        if not any(moved):
            raise ShipmentStateError(f"L’expédition est déjà «\u00a0{before.label}\u00a0».")
        changes = {"status": [before.value, status.value]}
        _tell(shipment, ShipmentEventKind.STATUS_WRITTEN, changes, by=by, at=at)
        standing.restate([shipment.id])
    return shipment


# ---------------------------------------------------------------------------------------------- end


def cancel(shipment_id: UUID, *, reason: str, by: User, at: datetime) -> Shipment:
    """Call a shipment off before the carrier has got it: its lines are set aside, its labels are called off.

    Raises NotFoundError, ShipmentStateError; InvalidInputError without a reason.
    """
    reason = decisions.checked_reason(reason)
    with transaction():
        batch_id = find_shipment(shipment_id).batch_id
        batches.share_batches([batch_id])
        shipment = _lock(shipment_id, ShipmentAction.CANCEL)
        for parcel in shipment.parcels:
            _cancel_parcel(shipment, parcel, at=at)
        shipment.status = ParcelStatus.CANCELED
        _set_lines_aside(shipment, reason, by=by, at=at)
        _tell(shipment, ShipmentEventKind.CANCELED, {"reason": [None, reason]}, by=by, at=at)
        if shipment.account_id is not None and any(parcel.next_attempt_at for parcel in shipment.parcels):
            labelling.ring(shipment.account_id)
    return shipment


def _cancel_parcel(shipment: Shipment, parcel: Parcel, *, at: datetime) -> None:
    may_exist = parcel.tracking_number is not None or parcel.status is ParcelStatus.UNKNOWN
    parcel.status = ParcelStatus.CANCELED
    parcel.fence += 1
    parcel.lease_until = parcel.next_attempt_at = parcel.error = None
    if not may_exist or shipment.account is None or not _is_called(shipment):
        return
    if CAPABILITIES[shipment.account.carrier].cancels:
        parcel.next_attempt_at = at
    else:
        parcel.error = labelling.NOT_CALLED_OFF.format(reason="ce transporteur n’en propose pas le moyen.")


def _set_lines_aside(shipment: Shipment, reason: str, *, by: User, at: datetime) -> None:
    statement = select(FulfilmentBatchLine).where(
        FulfilmentBatchLine.shipment_id == shipment.id, FulfilmentBatchLine.status == LineStatus.PREPARED
    )
    for line in db.session.scalars(statement.order_by(FulfilmentBatchLine.id).with_for_update()):
        line.status, line.reason, line.shipment_id = LineStatus.SET_ASIDE, reason, None
        line.decided_at, line.decided_by_id = at, by.id
    totals.restate(shipment.batch_id, [shipment.consignment_no])


def list_events(shipment_id: UUID) -> list[ShipmentEvent]:
    """What was done with it, the latest first, each with who did it."""
    statement = select(ShipmentEvent).where(ShipmentEvent.shipment_id == shipment_id)
    ordered = statement.order_by(ShipmentEvent.at.desc(), ShipmentEvent.id.desc())
    return list(db.session.scalars(ordered.options(joinedload(ShipmentEvent.user))))


def list_lines(shipment_id: UUID) -> list[FulfilmentBatchLine]:
    """What is in it."""
    statement = select(FulfilmentBatchLine).where(FulfilmentBatchLine.shipment_id == shipment_id)
    return list(db.session.scalars(statement.order_by(FulfilmentBatchLine.label, FulfilmentBatchLine.id)))


def list_labelled(shipment_id: UUID) -> set[UUID]:
    """The parcels of a shipment whose labels are kept."""
    kept = select(Parcel.id).where(Parcel.shipment_id == shipment_id, Parcel.label_file.is_not(None))
    return set(db.session.scalars(kept))


def find_label(parcel_id: UUID) -> tuple[str, bytes]:
    """The name and the PDF of a parcel's label. Raises NotFoundError where there is none, or none any more."""
    statement = select(Parcel.label_file, Parcel.tracking_number).where(
        Parcel.id == parcel_id, Parcel.label_file.is_not(None)
    )
    row = db.session.execute(statement).one_or_none()
    if row is None or row.label_file is None:
        raise NotFoundError("Il n’y a pas d’étiquette, ou elle n’est plus conservée.")
    return f"Étiquette {row.tracking_number}.pdf", row.label_file
