"""Fulfilment: weekly batches (lots), their lines, what is to be picked, and the parcels that leave."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, LargeBinary, Numeric, String, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp import clock
from webapp.models.base import Base, Identified, Numbered, Timestamped, linked, stored_enum, tenant_key
from webapp.models.carriers import CarrierAccount
from webapp.models.charges import Charge
from webapp.models.clients import Client
from webapp.models.identity import User
from webapp.models.organisations import Company
from webapp.tenancy import OrganisationScoped


class BatchStatus(StrEnum):
    """Where a batch stands; see BATCH_TRANSITIONS."""

    OPEN = "open"
    LOCKED = "locked"
    DISPATCHED = "dispatched"
    COMPLETED = "completed"

    @property
    def label(self) -> str:
        """The word on the screen."""
        return {"open": "Ouvert", "locked": "Verrouillé", "dispatched": "Expédié", "completed": "Terminé"}[self.value]


BATCH_TRANSITIONS: dict[BatchStatus, frozenset[BatchStatus]] = {
    BatchStatus.OPEN: frozenset({BatchStatus.LOCKED}),
    BatchStatus.LOCKED: frozenset({BatchStatus.DISPATCHED}),
    BatchStatus.DISPATCHED: frozenset({BatchStatus.COMPLETED}),
    BatchStatus.COMPLETED: frozenset(),
}


class BatchWork(StrEnum):
    """What a worker is asked to do with a batch."""

    LOCK = "lock"
    DISPATCH = "dispatch"


class LineStatus(StrEnum):
    """Where a line of a batch stands; see LINE_TRANSITIONS."""

    PENDING = "pending"
    TO_PREPARE = "to_prepare"
    PREPARED = "prepared"
    SHIPPED = "shipped"
    SET_ASIDE = "set_aside"
    CARRIED_OVER = "carried_over"
    WITHDRAWN = "withdrawn"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "pending": "En attente",
            "to_prepare": "À préparer",
            "prepared": "Préparée",
            "shipped": "Expédiée",
            "set_aside": "De côté",
            "carried_over": "Reportée",
            "withdrawn": "Retirée",
        }[self.value]

    @property
    def is_live(self) -> bool:
        """Whether it stands for what its charge ships: a charge has one such line for each thing that it ships."""
        return self not in (LineStatus.CARRIED_OVER, LineStatus.WITHDRAWN)


LINE_TRANSITIONS: dict[LineStatus, frozenset[LineStatus]] = {
    LineStatus.PENDING: frozenset({LineStatus.TO_PREPARE, LineStatus.SET_ASIDE, LineStatus.WITHDRAWN}),
    LineStatus.TO_PREPARE: frozenset({LineStatus.PREPARED, LineStatus.SET_ASIDE, LineStatus.WITHDRAWN}),
    LineStatus.PREPARED: frozenset(
        {LineStatus.TO_PREPARE, LineStatus.SHIPPED, LineStatus.SET_ASIDE, LineStatus.WITHDRAWN}
    ),
    LineStatus.SET_ASIDE: frozenset({LineStatus.TO_PREPARE, LineStatus.CARRIED_OVER, LineStatus.WITHDRAWN}),
    LineStatus.SHIPPED: frozenset(),
    LineStatus.CARRIED_OVER: frozenset(),
    LineStatus.WITHDRAWN: frozenset(),
}

LIVE_LINES = frozenset(status for status in LineStatus if status.is_live)
TO_SHIP = frozenset({LineStatus.TO_PREPARE, LineStatus.PREPARED})
"""States of lines that leave with their locked batch."""


class LineFlag(StrEnum):
    """What happened to the money of a line after its batch was locked."""

    REJECTED = "rejected"
    REFUNDED = "refunded"

    @property
    def label(self) -> str:
        """The word on the screen."""
        return {"rejected": "Rejeté", "refunded": "Remboursé"}[self.value]


class TotalKind(StrEnum):
    """What a row of ``batch_totals`` adds up."""

    PICKING = "picking"
    BOX = "box"


class ParcelStatus(StrEnum):
    """Where a parcel stands, and so its shipment; see PARCEL_TRANSITIONS. In the order of its way."""

    TO_LABEL = "to_label"
    SENDING = "sending"
    UNKNOWN = "unknown"
    REFUSED = "refused"
    LABELLED = "labelled"
    HANDED_OVER = "handed_over"
    IN_TRANSIT = "in_transit"
    LOST = "lost"
    RETURNED = "returned"
    DELIVERED = "delivered"
    CANCELED = "canceled"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "to_label": "À étiqueter",
            "sending": "Étiquette demandée",
            "unknown": "Résultat inconnu",
            "refused": "Étiquette refusée",
            "labelled": "Étiqueté",
            "handed_over": "Remis au transporteur",
            "in_transit": "En transit",
            "lost": "Perdu",
            "returned": "Retourné",
            "delivered": "Livré",
            "canceled": "Annulé",
        }[self.value]


PARCEL_TRANSITIONS: dict[ParcelStatus, frozenset[ParcelStatus]] = {
    ParcelStatus.TO_LABEL: frozenset({ParcelStatus.SENDING, ParcelStatus.CANCELED}),
    ParcelStatus.SENDING: frozenset(
        {ParcelStatus.LABELLED, ParcelStatus.REFUSED, ParcelStatus.UNKNOWN, ParcelStatus.CANCELED}
    ),
    ParcelStatus.UNKNOWN: frozenset({ParcelStatus.SENDING, ParcelStatus.LABELLED, ParcelStatus.CANCELED}),
    ParcelStatus.REFUSED: frozenset({ParcelStatus.TO_LABEL, ParcelStatus.CANCELED}),
    ParcelStatus.LABELLED: frozenset({ParcelStatus.HANDED_OVER, ParcelStatus.CANCELED}),
    ParcelStatus.HANDED_OVER: frozenset({ParcelStatus.IN_TRANSIT}),
    ParcelStatus.IN_TRANSIT: frozenset({ParcelStatus.DELIVERED, ParcelStatus.RETURNED, ParcelStatus.LOST}),
    ParcelStatus.DELIVERED: frozenset(),
    ParcelStatus.RETURNED: frozenset(),
    ParcelStatus.LOST: frozenset(),
    ParcelStatus.CANCELED: frozenset(),
}

WAY = tuple(ParcelStatus)
"""The states of parcels, the least advanced first."""


def consignment_code(batch_number: int, consignment_no: int) -> str:
    """How a consignment is called on paper and by scanners: L000012-0347."""
    return f"L{batch_number:06}-{consignment_no:04}"


class FulfilmentBatch(OrganisationScoped, Identified, Timestamped, Base):
    """What a company ships together. ``number`` counts 1, 2, 3 … in each company; at most one is OPEN.

    ``cutoff_at`` is when an open one locks itself; empty where a person alone locks it.

    ``work`` is what a worker is to do with it, since ``work_at`` for ``work_by_id`` (empty: the timetable), where it
    dispatches by ``work_account_id``, and ``work_error`` the French sentence on why the last one came to nothing.
    Whoever works holds ``lease_until`` and ``fence``; ``work_done`` and ``work_total`` are written by nobody.
    """

    __tablename__ = "fulfilment_batches"
    __table_args__ = (
        UniqueConstraint("organisation_id", "company_id", "number"),
        CheckConstraint("number > 0", name="number_from_one"),
        CheckConstraint("(locked_at IS NULL) = (status = 'open')", name="locked_unless_open"),
        CheckConstraint("(work IS NULL) = (work_at IS NULL)", name="work_since_when"),
        tenant_key("company_id", "companies", ondelete="RESTRICT"),
        tenant_key("locked_by_id", "users", ondelete="SET NULL"),
        tenant_key("dispatched_by_id", "users", ondelete="SET NULL"),
        tenant_key("completed_by_id", "users", ondelete="SET NULL"),
        tenant_key("work_by_id", "users", ondelete="SET NULL"),
        tenant_key("work_account_id", "carrier_accounts", ondelete="SET NULL"),
        Index(
            "uq_fulfilment_batches_open",
            "organisation_id",
            "company_id",
            unique=True,
            postgresql_where=text("status = 'open'"),
        ),
        Index("ix_fulfilment_batches_due", "cutoff_at", postgresql_where=text("status = 'open'")),
        Index("ix_fulfilment_batches_work", "work_at", postgresql_where=text("work IS NOT NULL")),
        Index("ix_fulfilment_batches_locked", "organisation_id", "locked_at", "id"),
    )

    company_id: Mapped[UUID]
    number: Mapped[int]
    status: Mapped[BatchStatus] = mapped_column(stored_enum(BatchStatus), default=BatchStatus.OPEN)
    cutoff_at: Mapped[datetime | None]
    locked_at: Mapped[datetime | None]
    locked_by_id: Mapped[UUID | None]
    dispatched_at: Mapped[datetime | None]
    dispatched_by_id: Mapped[UUID | None]
    completed_at: Mapped[datetime | None]
    completed_by_id: Mapped[UUID | None]
    work: Mapped[BatchWork | None] = mapped_column(stored_enum(BatchWork))
    work_at: Mapped[datetime | None]
    work_by_id: Mapped[UUID | None]
    work_account_id: Mapped[UUID | None]
    work_done: Mapped[int] = mapped_column(default=0, server_default="0")
    work_total: Mapped[int] = mapped_column(default=0, server_default="0")
    work_error: Mapped[str | None] = mapped_column(Text)
    lease_until: Mapped[datetime | None]
    fence: Mapped[int] = mapped_column(default=0, server_default="0")

    company: Mapped[Company] = relationship(
        primaryjoin=lambda: linked(Company, FulfilmentBatch.company_id),
        viewonly=True,
    )
    locked_by: Mapped[User | None] = relationship(
        primaryjoin=lambda: linked(User, FulfilmentBatch.locked_by_id),
        viewonly=True,
    )
    dispatched_by: Mapped[User | None] = relationship(
        primaryjoin=lambda: linked(User, FulfilmentBatch.dispatched_by_id),
        viewonly=True,
    )
    completed_by: Mapped[User | None] = relationship(
        primaryjoin=lambda: linked(User, FulfilmentBatch.completed_by_id),
        viewonly=True,
    )

    def can_become(self, status: BatchStatus) -> bool:
        """Whether the table of transitions leads from the present state to ``status``."""
        return status in BATCH_TRANSITIONS[self.status]


class FulfilmentBatchLine(OrganisationScoped, Identified, Timestamped, Base):
    """One thing that a charge ships: the frozen line at ``position`` of ``charge.lines``.

    ``charged_at`` is when the charge came to ship; with ``is_late`` that was before the lock of the batch before, and
    the line came too late for it. ``held_reason`` keeps a PENDING one out of locks. LOCK writes
    ``snapshot_at`` and with it the consignment's number, ``address_snapshot``, ``preference_snapshot`` (code → label
    and value) and ``gift_message``, which never change afterwards. Equal ``pick_key`` means: the same product with the
    same preferences; equal ``box_key``: consignments that hold the same.

    ``reason`` is a French sentence on why it is set aside, withdrawn or carried over; ``decided_at`` and
    ``decided_by_id`` tell who said so. ``flag`` is set once the charge ships no more; with ``ships_anyway_at``
    a person has decided that the line leaves all the same.
    """

    __tablename__ = "fulfilment_batch_lines"
    __table_args__ = (
        CheckConstraint("quantity > 0", name="quantity_is_positive"),
        CheckConstraint("position >= 0", name="position_from_zero"),
        CheckConstraint("held_reason IS NULL OR status IN ('pending', 'withdrawn')", name="only_pending_ones_are_held"),
        CheckConstraint(
            "snapshot_at IS NOT NULL OR status NOT IN ('to_prepare', 'prepared', 'shipped')",
            name="what_leaves_is_frozen",
        ),
        CheckConstraint(
            "snapshot_at IS NULL OR num_nulls(consignment_no, address_snapshot, preference_snapshot) = 0",
            name="frozen_whole",
        ),
        tenant_key("batch_id", "fulfilment_batches", ondelete="RESTRICT"),
        tenant_key("charge_id", "charges", ondelete="RESTRICT"),
        tenant_key("subscription_id", "subscriptions", ondelete="RESTRICT"),
        tenant_key("client_id", "clients", ondelete="RESTRICT"),
        tenant_key("product_id", "products", ondelete="SET NULL"),
        tenant_key("shipment_id", "shipments", ondelete="SET NULL"),
        tenant_key("prepared_by_id", "users", ondelete="SET NULL"),
        tenant_key("decided_by_id", "users", ondelete="SET NULL"),
        Index(
            "uq_fulfilment_batch_lines_live",
            "organisation_id",
            "charge_id",
            "position",
            unique=True,
            postgresql_where=text("status NOT IN ('withdrawn', 'carried_over')"),
        ),
        Index("ix_fulfilment_batch_lines_consignment", "organisation_id", "batch_id", "consignment_no", "id"),
        Index("ix_fulfilment_batch_lines_charge", "organisation_id", "charge_id"),
        Index("ix_fulfilment_batch_lines_subscription", "organisation_id", "subscription_id", "cycle_no"),
        Index(
            "ix_fulfilment_batch_lines_attention",
            "organisation_id",
            "batch_id",
            "id",
            postgresql_where=text("status = 'set_aside' OR flag IS NOT NULL"),
        ),
        Index(
            "ix_fulfilment_batch_lines_late",
            "organisation_id",
            "batch_id",
            postgresql_where=text("is_late"),
        ),
        Index(
            "ix_fulfilment_batch_lines_shipment",
            "organisation_id",
            "shipment_id",
            postgresql_where=text("shipment_id IS NOT NULL"),
        ),
    )

    batch_id: Mapped[UUID]
    charge_id: Mapped[UUID]
    position: Mapped[int]
    subscription_id: Mapped[UUID]
    cycle_no: Mapped[int]
    client_id: Mapped[UUID]
    product_id: Mapped[UUID | None]
    label: Mapped[str] = mapped_column(String(200))
    quantity: Mapped[Decimal] = mapped_column(Numeric(12, 3), default=Decimal(1), server_default="1")
    status: Mapped[LineStatus] = mapped_column(stored_enum(LineStatus), default=LineStatus.PENDING)
    charged_at: Mapped[datetime]
    is_late: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    held_reason: Mapped[str | None] = mapped_column(String(300))
    reason: Mapped[str | None] = mapped_column(String(300))
    decided_at: Mapped[datetime | None]
    decided_by_id: Mapped[UUID | None]
    flag: Mapped[LineFlag | None] = mapped_column(stored_enum(LineFlag))
    ships_anyway_at: Mapped[datetime | None]
    consignment_no: Mapped[int | None]
    address_snapshot: Mapped[dict[str, Any] | None]
    preference_snapshot: Mapped[dict[str, Any] | None]
    gift_message: Mapped[str | None] = mapped_column(String(300))
    pick_key: Mapped[str | None] = mapped_column(String(32))
    box_key: Mapped[str | None] = mapped_column(String(32))
    snapshot_at: Mapped[datetime | None]
    shipment_id: Mapped[UUID | None]
    prepared_at: Mapped[datetime | None]
    prepared_by_id: Mapped[UUID | None]

    batch: Mapped[FulfilmentBatch] = relationship(
        primaryjoin=lambda: linked(FulfilmentBatch, FulfilmentBatchLine.batch_id),
        viewonly=True,
    )
    charge: Mapped[Charge] = relationship(
        primaryjoin=lambda: linked(Charge, FulfilmentBatchLine.charge_id),
        viewonly=True,
    )
    client: Mapped[Client] = relationship(
        primaryjoin=lambda: linked(Client, FulfilmentBatchLine.client_id),
        viewonly=True,
    )

    def can_become(self, status: LineStatus) -> bool:
        """Whether the table of transitions leads from the present state to ``status``."""
        return status in LINE_TRANSITIONS[self.status]


class BatchTotal(OrganisationScoped, Base):
    """A sum of what a locked batch ships. ``key`` is the lines' ``pick_key`` or ``box_key``.

    PICKING: ``quantity`` of one product with one combination of preferences, in ``count`` lines. BOX: ``count``
    consignments that hold the same. ``content`` is ``[{label, quantity, preferences}]``, the preferences as in the
    snapshots; of PICKING it has one element, whose quantity does not matter.
    """

    __tablename__ = "batch_totals"
    __table_args__ = (
        tenant_key("batch_id", "fulfilment_batches"),
        CheckConstraint("count > 0", name="counts_something"),
    )

    batch_id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[TotalKind] = mapped_column(stored_enum(TotalKind), primary_key=True)
    key: Mapped[str] = mapped_column(String(32), primary_key=True)
    content: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    quantity: Mapped[Decimal] = mapped_column(Numeric(14, 3))
    count: Mapped[int]


class Shipment(OrganisationScoped, Identified, Timestamped, Numbered, Base):
    """What one recipient gets of a batch (expédition). It stands where its least advanced parcel does.

    ``address`` is a copy of the lines' snapshot, correctable until it is labelled. ``account_id`` is the account with
    the carrier; empty where parcels leave without one.
    """

    LETTER = "E"

    __tablename__ = "shipments"
    __table_args__ = (
        UniqueConstraint("organisation_id", "number"),
        tenant_key("batch_id", "fulfilment_batches", ondelete="RESTRICT"),
        tenant_key("client_id", "clients", ondelete="RESTRICT"),
        tenant_key("account_id", "carrier_accounts", ondelete="RESTRICT"),
        Index(
            "uq_shipments_consignment",
            "organisation_id",
            "batch_id",
            "consignment_no",
            unique=True,
            postgresql_where=text("status <> 'canceled'"),
        ),
        Index(
            "ix_shipments_batch",
            "organisation_id",
            "batch_id",
            "consignment_no",
            "id",
            postgresql_include=["status"],
        ),
        Index("ix_shipments_client", "organisation_id", "client_id", "id"),
        Index("ix_shipments_status", "organisation_id", "status", "number", "id"),
    )

    batch_id: Mapped[UUID]
    client_id: Mapped[UUID]
    consignment_no: Mapped[int]
    account_id: Mapped[UUID | None]
    status: Mapped[ParcelStatus] = mapped_column(stored_enum(ParcelStatus), default=ParcelStatus.TO_LABEL)
    address: Mapped[dict[str, Any]]
    handed_over_at: Mapped[datetime | None]

    batch: Mapped[FulfilmentBatch] = relationship(
        primaryjoin=lambda: linked(FulfilmentBatch, Shipment.batch_id),
        viewonly=True,
    )
    client: Mapped[Client] = relationship(
        primaryjoin=lambda: linked(Client, Shipment.client_id),
        viewonly=True,
    )
    account: Mapped[CarrierAccount | None] = relationship(
        primaryjoin=lambda: linked(CarrierAccount, Shipment.account_id),
        viewonly=True,
    )
    parcels: Mapped[list["Parcel"]] = relationship(
        primaryjoin=lambda: linked(Shipment, Parcel.shipment_id),
        order_by=lambda: Parcel.number,
        viewonly=True,
    )

    @property
    def consignment(self) -> str:
        """What stands on its papers: L000012-0347."""
        return consignment_code(self.batch.number, self.consignment_no)


class Parcel(OrganisationScoped, Identified, Timestamped, Base):
    """One box of a shipment (colis). ``key`` is what the carrier knows the asking for its label by.

    ``next_attempt_at`` is when it is to be looked at next, be it by whoever asks until ``lease_until`` under ``fence``,
    or by others once that has run out; empty where nothing is to be asked, or a person decides. ``account_id`` is that
    of the shipment: what is due is looked for by account. The ``sends`` are counted and dated, since carriers honour a
    key for a while only; ``tracked_at`` is when the carrier was last asked where it is. ``label_file`` is a PDF;
    ``error`` the carrier's words, or ours, in French.
    """

    __tablename__ = "parcels"
    __table_args__ = (
        UniqueConstraint("organisation_id", "shipment_id", "number"),
        UniqueConstraint("organisation_id", "key"),
        CheckConstraint("weight_g BETWEEN 1 AND 30000", name="weight_within_30_kg"),
        tenant_key("shipment_id", "shipments", ondelete="RESTRICT"),
        tenant_key("account_id", "carrier_accounts", ondelete="RESTRICT"),
        Index(
            "ix_parcels_due",
            "organisation_id",
            "account_id",
            "next_attempt_at",
            "id",
            postgresql_where=text("next_attempt_at IS NOT NULL"),
        ),
        Index(
            "ix_parcels_on_the_way",
            "organisation_id",
            "account_id",
            "tracked_at",
            "id",
            postgresql_where=text("status IN ('handed_over', 'in_transit')"),
        ),
        Index(
            "ix_parcels_tracking",
            "organisation_id",
            "tracking_number",
            postgresql_where=text("tracking_number IS NOT NULL"),
        ),
    )

    shipment_id: Mapped[UUID]
    account_id: Mapped[UUID | None]
    number: Mapped[int] = mapped_column(default=1, server_default="1")
    weight_g: Mapped[int]
    status: Mapped[ParcelStatus] = mapped_column(stored_enum(ParcelStatus), default=ParcelStatus.TO_LABEL)
    key: Mapped[str] = mapped_column(String(64))
    fence: Mapped[int] = mapped_column(default=0, server_default="0")
    lease_until: Mapped[datetime | None]
    next_attempt_at: Mapped[datetime | None]
    sends: Mapped[int] = mapped_column(default=0, server_default="0")
    first_sent_at: Mapped[datetime | None]
    last_sent_at: Mapped[datetime | None]
    tracked_at: Mapped[datetime | None]
    tracking_number: Mapped[str | None] = mapped_column(String(64))
    label_file: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    error: Mapped[str | None] = mapped_column(Text)

    def can_become(self, status: ParcelStatus) -> bool:
        """Whether the table of transitions leads from the present state to ``status``."""
        return status in PARCEL_TRANSITIONS[self.status]


class TrackingEvent(OrganisationScoped, Identified, Base):
    """What a carrier says of a parcel: once per instant and code, however often it is told."""

    __tablename__ = "tracking_events"
    __table_args__ = (
        UniqueConstraint("organisation_id", "parcel_id", "at", "code"),
        tenant_key("parcel_id", "parcels"),
    )

    parcel_id: Mapped[UUID]
    at: Mapped[datetime]
    code: Mapped[str] = mapped_column(String(40))
    words: Mapped[str] = mapped_column(String(300), default="", server_default="")
    status: Mapped[ParcelStatus | None] = mapped_column(stored_enum(ParcelStatus))
    heard_at: Mapped[datetime] = mapped_column(default=clock.now)
