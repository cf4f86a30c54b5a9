"""Locked batches whose lines are prepared, as they stand before they are dispatched."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import select

from tests import factories
from webapp import clock
from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.carriers import Carrier, CarrierAccount
from webapp.models.fulfilment import (
    BatchStatus,
    FulfilmentBatch,
    FulfilmentBatchLine,
    LineStatus,
    Parcel,
    Shipment,
)
from webapp.models.identity import User
from webapp.services.fulfilment import dispatching, totals

ADDRESS = {
    "recipient": "Élodie DUPONT",
    "line1": "12 bis rue des Lilas",
    "postcode": "59000",
    "city": "Lille",
    "country": "FR",
}


def make_batch(number: int = 1, status: BatchStatus = BatchStatus.LOCKED, **values: Any) -> FulfilmentBatch:
    """A batch of the default company."""
    batch = FulfilmentBatch(
        company_id=factories.default_company().id,
        number=number,
        status=status,
        locked_at=None if status is BatchStatus.OPEN else clock.now(),
        **values,
    )
    db.session.add(batch)
    db.session.flush()
    return batch


def add_line(
    batch: FulfilmentBatch,
    consignment_no: int,
    *,
    client_id: UUID | None = None,
    status: LineStatus = LineStatus.PREPARED,
    label: str = "Café",
    address: dict[str, str] | None = None,
    **values: Any,
) -> FulfilmentBatchLine:
    """A frozen line of a consignment, by default prepared and to a client of its own."""
    client_id = client_id or factories.ClientFactory().id
    subscription = factories.SubscriptionFactory(client_id=client_id)
    charge = factories.ChargeFactory(subscription_id=subscription.id, client_id=client_id)
    line = FulfilmentBatchLine(
        batch_id=batch.id,
        charge_id=charge.id,
        position=0,
        subscription_id=subscription.id,
        cycle_no=0,
        client_id=client_id,
        status=status,
        label=label,
        quantity=values.pop("quantity", Decimal(1)),
        charged_at=clock.now(),
        consignment_no=consignment_no,
        address_snapshot=address or ADDRESS,
        preference_snapshot={},
        pick_key=values.pop("pick_key", "a" * 32),
        box_key=values.pop("box_key", "b" * 32),
        snapshot_at=clock.now(),
        **values,
    )
    db.session.add(line)
    db.session.flush()
    return line


def pack(boxes: int = 1, *, number: int = 1) -> FulfilmentBatch:
    """A locked batch of so many prepared consignments, one line each."""
    batch = make_batch(number)
    for consignment_no in range(1, boxes + 1):
        add_line(batch, consignment_no)
    totals.write(batch.id)
    db.session.commit()
    return batch


def open_account(carrier: Carrier = Carrier.SANDBOX, **values: Any) -> CarrierAccount:
    """An account of the default company, which is its only one; the company has an address to send from."""
    company = factories.default_company()
    company.address_line1, company.postcode, company.city = "8 quai du Commerce", "59000", "Lille"
    account = CarrierAccount(
        company_id=company.id,
        carrier=carrier,
        service="standard" if carrier is Carrier.SANDBOX else "",
        calls_per_second=values.pop("calls_per_second", 1000),
        longest_delay_seconds=values.pop("longest_delay_seconds", 60),
        **values,
    )
    db.session.add(account)
    db.session.commit()
    return account


def dispatch(batch: FulfilmentBatch, by: User, **values: Any) -> list[Shipment]:
    """Ask for it, and do what the worker does."""
    dispatching.ask(batch.id, by=by, at=clock.now(), **values)
    dispatching.carry_out(batch.organisation_id, batch.id, at=clock.now())
    return shipments()


def shipments() -> list[Shipment]:
    """All of them as they stand, in the order of their consignments."""
    statement = select(Shipment).order_by(Shipment.batch_id, Shipment.consignment_no, Shipment.id)
    return list(db.session.scalars(statement.execution_options(populate_existing=True)))


def parcels() -> list[Parcel]:
    """All of them as they stand, in the same order."""
    statement = select(Parcel).join(Shipment, linked(Shipment, Parcel.shipment_id))
    statement = statement.order_by(Shipment.batch_id, Shipment.consignment_no, Parcel.number)
    return list(db.session.scalars(statement.execution_options(populate_existing=True)))


def lines() -> list[FulfilmentBatchLine]:
    """All lines as they stand."""
    statement = select(FulfilmentBatchLine).order_by(FulfilmentBatchLine.id)
    return list(db.session.scalars(statement.execution_options(populate_existing=True)))
