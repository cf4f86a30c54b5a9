"""Lists of shipments: all of them, the latest first, or those of a batch in the order of its consignments."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import joinedload, selectinload

from webapp import tenancy
from webapp.extensions import db
from webapp.models.base import linked, read_code
from webapp.models.carriers import CarrierAccount
from webapp.models.clients import Client
from webapp.models.fulfilment import FulfilmentBatch, Parcel, ParcelStatus, Shipment
from webapp.services import keyset
from webapp.services.clients.search import found_by
from webapp.services.keyset import Position

PAGE_SIZE = 50
OF_CLIENT = 6
_LISTED = select(Shipment).options(
    joinedload(Shipment.client),
    joinedload(Shipment.batch),
    joinedload(Shipment.account),
    selectinload(Shipment.parcels),
)
_CONSIGNMENT = re.compile(r"[Ll]?0*([1-9][0-9]{0,8})\s*-\s*0*([1-9][0-9]{0,8})(?:-[0-9]+)?")
BY_NUMBER, BY_CONSIGNMENT = "-number", "consignment_no"


@dataclass(frozen=True, kw_only=True)
class ShipmentsView:
    """Which shipments are shown: ``search`` is for a reference (L000012-0347, E-12), a tracking number, or a client.

    ``cursor`` is where the page starts.
    """

    search: str = ""
    status: ParcelStatus | None = None
    batch_id: UUID | None = None
    client_id: UUID | None = None
    account_id: UUID | None = None
    cursor: str | None = None

    @property
    def is_narrowed(self) -> bool:
        """Whether a search or a filter leaves something out, beside the batch."""
        return replace(self, cursor=None, batch_id=None) != ShipmentsView()


def list_shipments(view: ShipmentsView, *, size: int = PAGE_SIZE) -> keyset.Page[Shipment]:
    """The shipments of the view, each with its client, batch, account and parcels."""
    statement = _LISTED.where(*_conditions(view))
    if view.status is not None:
        statement = statement.where(Shipment.status == view.status)
    if view.batch_id is not None:
        return _by_consignment(statement, view.cursor, size)

    order = [Shipment.number, Shipment.id]

    def read(start: Position | None) -> Sequence[Shipment]:
        return db.session.scalars(keyset.cut(statement, order, start, is_descending=True, size=size)).all()

    start = keyset.decode(view.cursor, sort=BY_NUMBER, kind=int)
    return keyset.page(read, start, place=lambda each: (each.number, each.id), sort=BY_NUMBER, size=size)


def select_all(view: ShipmentsView) -> Select[*tuple[Any, ...]]:
    """Every shipment of a view in its order, joined with clients, batches and accounts: an export adds the columns."""
    statement = (
        select(Shipment.id)
        .join(Client, linked(Client, Shipment.client_id))
        .join(FulfilmentBatch, linked(FulfilmentBatch, Shipment.batch_id))
        .outerjoin(CarrierAccount, linked(CarrierAccount, Shipment.account_id))
        .where(*_conditions(view))
    )
    if view.status is not None:
        statement = statement.where(Shipment.status == view.status)
    if view.batch_id is not None:
        return statement.order_by(Shipment.consignment_no, Shipment.id)
    return statement.order_by(Shipment.number.desc(), Shipment.id.desc())


def _by_consignment(statement: Select[Shipment], cursor: str | None, size: int) -> keyset.Page[Shipment]:
    order = [Shipment.consignment_no, Shipment.id]

    def read(start: Position | None) -> Sequence[Shipment]:
        return db.session.scalars(keyset.cut(statement, order, start, is_descending=False, size=size)).all()

    start = keyset.decode(cursor, sort=BY_CONSIGNMENT, kind=int)
    return keyset.page(read, start, place=lambda each: (each.consignment_no, each.id), sort=BY_CONSIGNMENT, size=size)


def _conditions(view: ShipmentsView) -> list[ColumnElement[bool]]:
    """What a shipment of the view must meet, whatever its state."""
    conditions = _matches(view.search)
    if view.batch_id is not None:
        conditions.append(Shipment.batch_id == view.batch_id)
    if view.client_id is not None:
        conditions.append(Shipment.client_id == view.client_id)
    if view.account_id is not None:
        conditions.append(Shipment.account_id == view.account_id)
    return conditions


def _matches(search: str) -> list[ColumnElement[bool]]:
    """What a shipment must meet to be what was searched for."""
    ours = tenancy.current_organisation_id()
    if consignment := _CONSIGNMENT.fullmatch(search.strip()):
        batches = select(FulfilmentBatch.id).where(
            FulfilmentBatch.organisation_id == ours, FulfilmentBatch.number == int(consignment[1])
        )
        return [Shipment.batch_id.in_(batches), Shipment.consignment_no == int(consignment[2])]
    code = read_code(search)
    if code and code.letter == Shipment.LETTER:
        return [Shipment.number == code.number]
    if not (matches := found_by(search)):
        return []
    number = re.sub(r"[^A-Z0-9]", "", search.upper())[:64]
    tracked = select(Parcel.shipment_id).where(Parcel.organisation_id == ours, Parcel.tracking_number == number)
    clients = select(Client.id).where(Client.organisation_id == ours, *matches)
    return [or_(Shipment.id.in_(tracked), Shipment.client_id.in_(clients))]


def count_by_status(view: ShipmentsView) -> dict[ParcelStatus, int]:
    """How many shipments of the view stand where, whichever state it shows."""
    statement = (
        select(Shipment.status, func.count())
        .where(Shipment.organisation_id == tenancy.current_organisation_id(), *_conditions(view))
        .group_by(Shipment.status)
    )
    return {row[0]: row[1] for row in db.session.execute(statement)}


def list_latest_of_client(client_id: UUID, *, size: int = OF_CLIENT) -> Sequence[Shipment]:
    """The client's latest shipments, each with its batch, its account and its parcels."""
    statement = (
        select(Shipment)
        .where(Shipment.client_id == client_id)
        .options(joinedload(Shipment.batch), joinedload(Shipment.account), selectinload(Shipment.parcels))
        .order_by(Shipment.number.desc())
        .limit(size)
    )
    return db.session.scalars(statement).all()


def list_resting(batch_id: UUID) -> Sequence[CarrierAccount]:
    """The accounts of the batch's shipments that wait, since their carrier is left alone or they are switched off."""
    theirs = select(Shipment.account_id).where(
        Shipment.organisation_id == tenancy.current_organisation_id(),
        Shipment.batch_id == batch_id,
        Shipment.status.in_((ParcelStatus.TO_LABEL, ParcelStatus.UNKNOWN)),
    )
    statement = select(CarrierAccount).where(
        or_(CarrierAccount.pauses > 0, CarrierAccount.is_active.is_(False)), CarrierAccount.id.in_(theirs)
    )
    return db.session.scalars(statement.order_by(CarrierAccount.id)).all()
