"""What a carrier is asked for: the request for the label of each parcel.

Nothing in it changes between two sendings under one key: carriers may compare them. So the day of deposit is that of
the first one, and an address can be corrected only where a new key comes with it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import select

from webapp.clock import PARIS
from webapp.extensions import db
from webapp.gateways.carriers.protocol import LabelRequest, Party
from webapp.models.base import linked
from webapp.models.carriers import LabelFormat
from webapp.models.clients import Client
from webapp.models.fulfilment import FulfilmentBatch, Parcel, Shipment, consignment_code
from webapp.models.organisations import Company
from webapp.services.carriers import settings


class _Sender(NamedTuple):
    """How a company ships."""

    party: Party
    label_format: LabelFormat


def build(parcels: Sequence[Parcel]) -> dict[UUID, LabelRequest]:
    """The requests of claimed parcels, by parcel; three statements and those of each company."""
    if not parcels:
        return {}
    rows = db.session.execute(
        select(
            Shipment.id,
            Shipment.address,
            Shipment.consignment_no,
            FulfilmentBatch.number,
            FulfilmentBatch.company_id,
            Client.email,
        )
        .join(FulfilmentBatch, linked(FulfilmentBatch, Shipment.batch_id))
        .join(Client, linked(Client, Shipment.client_id))
        .where(Shipment.id.in_({parcel.shipment_id for parcel in parcels}))
    ).all()
    shipments = {row.id: row for row in rows}
    senders = {company_id: _sender(company_id) for company_id in {row.company_id for row in rows}}
    return {parcel.id: _request(parcel, shipments[parcel.shipment_id], senders) for parcel in parcels}


def _sender(company_id: UUID) -> _Sender:
    company = db.session.scalars(select(Company).where(Company.id == company_id)).one()
    usual = settings.settings_of(company_id)
    return _Sender(settings.sender_of(company, usual), usual.label_format)


def _request(parcel: Parcel, shipment: Any, senders: Mapping[UUID, _Sender]) -> LabelRequest:
    if parcel.first_sent_at is None:
        raise ValueError("a parcel that is claimed has been sent, or is about to be")
    sender = senders[shipment.company_id]
    suffix = f"-{parcel.number}" if parcel.number > 1 else ""
    return LabelRequest(
        reference=consignment_code(shipment.number, shipment.consignment_no) + suffix,
        sender=sender.party,
        recipient=recipient_of(shipment.address, email=shipment.email),
        weight_g=parcel.weight_g,
        deposit_on=parcel.first_sent_at.astimezone(PARIS).date(),
        label_format=sender.label_format,
        instructions=shipment.address.get("instructions", ""),
    )


def recipient_of(address: Mapping[str, str], *, email: str | None) -> Party:
    """Who gets it, from the address of a shipment; see ``fulfilment.addresses``."""
    return Party(
        name=address.get("recipient", ""),
        company=address.get("company", ""),
        lines=tuple(line for line in (address.get("line1"), address.get("line2")) if line),
        postcode=address.get("postcode", ""),
        town=address.get("city", ""),
        country=address.get("country", "FR"),
        phone=address.get("phone", ""),
        email=email or "",
    )
