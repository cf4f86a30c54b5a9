"""Around shipments: what people did with them, and the papers of a batch."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Integer, LargeBinary, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp import clock
from webapp.models.base import Base, Identified, Timestamped, linked, stored_enum, tenant_key
from webapp.models.identity import User
from webapp.tenancy import OrganisationScoped


class ShipmentEventKind(StrEnum):
    """What was done with a shipment."""

    DISPATCHED = "dispatched"
    ADDRESS_CORRECTED = "address_corrected"
    LABEL_ASKED_AGAIN = "label_asked_again"
    TRACKING_WRITTEN = "tracking_written"
    STATUS_WRITTEN = "status_written"
    HANDED_OVER = "handed_over"
    CANCELED = "canceled"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "dispatched": "Expédition créée",
            "address_corrected": "Adresse corrigée",
            "label_asked_again": "Étiquette redemandée",
            "tracking_written": "Numéro de suivi saisi",
            "status_written": "État saisi",
            "handed_over": "Remise au transporteur",
            "canceled": "Expédition annulée",
        }[self.value]


class ShipmentEvent(OrganisationScoped, Identified, Base):
    """Something that was done with a shipment. ``changes`` maps a field to ``[old, new]``."""

    __tablename__ = "shipment_events"
    __table_args__ = (
        tenant_key("shipment_id", "shipments"),
        tenant_key("user_id", "users", ondelete="SET NULL"),
        Index("ix_shipment_events_shipment", "organisation_id", "shipment_id", "at", "id"),
    )

    shipment_id: Mapped[UUID]
    kind: Mapped[ShipmentEventKind] = mapped_column(stored_enum(ShipmentEventKind))
    at: Mapped[datetime] = mapped_column(default=clock.now)
    user_id: Mapped[UUID | None]
    changes: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")

    user: Mapped[User | None] = relationship(primaryjoin=lambda: linked(User, ShipmentEvent.user_id), viewonly=True)


class DocumentKind(StrEnum):
    """The papers of a batch that are printed for all its boxes."""

    LABELS = "labels"
    DELIVERY_NOTES = "delivery_notes"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {"labels": "Étiquettes", "delivery_notes": "Bons de livraison"}[self.value]


class BatchDocument(OrganisationScoped, Identified, Timestamped, Base):
    """One part of the papers of a batch, for at most a hundred consignments in the order of identical boxes.

    ``consignments`` are their numbers in that order. ``file`` is a PDF, empty until a worker has made it, at
    ``made_at``; ``error`` is a French sentence on why it could not. ``pages`` counts the consignments that are in it.
    ``asked_at`` is that of all parts of one asking. Whoever makes it holds ``lease_until`` and ``fence``.
    """

    __tablename__ = "batch_documents"
    __table_args__ = (
        UniqueConstraint("organisation_id", "batch_id", "kind", "part"),
        CheckConstraint("part > 0", name="part_from_one"),
        tenant_key("batch_id", "fulfilment_batches", ondelete="RESTRICT"),
        tenant_key("asked_by_id", "users", ondelete="SET NULL"),
        Index(
            "ix_batch_documents_waiting",
            "asked_at",
            postgresql_where=text("made_at IS NULL AND error IS NULL"),
        ),
    )

    batch_id: Mapped[UUID]
    kind: Mapped[DocumentKind] = mapped_column(stored_enum(DocumentKind))
    part: Mapped[int]
    consignments: Mapped[list[int]] = mapped_column(ARRAY(Integer))
    asked_at: Mapped[datetime]
    asked_by_id: Mapped[UUID | None]
    fence: Mapped[int] = mapped_column(default=0, server_default="0")
    lease_until: Mapped[datetime | None]
    made_at: Mapped[datetime | None]
    pages: Mapped[int] = mapped_column(default=0, server_default="0")
    file: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    error: Mapped[str | None] = mapped_column(Text)
