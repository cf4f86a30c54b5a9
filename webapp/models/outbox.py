"""The outbox: what happened, written with the change itself, and its delivery to each subscriber in the application."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp import clock
from webapp.models.base import Base, Identified, linked, stored_enum, tenant_key
from webapp.tenancy import OrganisationScoped


class OutboxKind(StrEnum):
    """What happened."""

    SUBSCRIPTION_CREATED = "subscription.created"
    SUBSCRIPTION_ACTIVATED = "subscription.activated"
    SUBSCRIPTION_PAUSED = "subscription.paused"
    SUBSCRIPTION_RESUMED = "subscription.resumed"
    SUBSCRIPTION_PAST_DUE = "subscription.past_due"
    SUBSCRIPTION_RECOVERED = "subscription.recovered"
    SUBSCRIPTION_CANCELED = "subscription.canceled"
    SUBSCRIPTION_EXPIRED = "subscription.expired"
    SUBSCRIPTION_CHANGED = "subscription.changed"
    SUBSCRIPTION_DELETED = "subscription.deleted"
    SUBSCRIPTION_CHARGED = "subscription.charged"
    SUBSCRIPTION_CHARGE_FAILED = "subscription.charge_failed"
    CHARGE_REVERSED = "charge.reversed"
    CHARGE_REFUNDED = "charge.refunded"
    CHARGE_SETTLED = "charge.settled"
    SEPA_PRENOTIFICATION = "sepa.prenotification"
    INVOICE_ISSUED = "invoice.issued"
    CREDIT_NOTE_ISSUED = "credit_note.issued"
    MANDATE_REVOKED = "mandate.revoked"
    SHIPMENT_HANDED_OVER = "shipment.handed_over"
    CLAIM_CHANGED = "claim.changed"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "subscription.created": "Abonnement créé",
            "subscription.activated": "Abonnement activé",
            "subscription.paused": "Abonnement suspendu",
            "subscription.resumed": "Abonnement repris",
            "subscription.past_due": "Abonnement impayé",
            "subscription.recovered": "Abonnement régularisé",
            "subscription.canceled": "Abonnement résilié",
            "subscription.expired": "Abonnement échu",
            "subscription.changed": "Abonnement modifié",
            "subscription.deleted": "Abonnement en attente supprimé",
            "subscription.charged": "Abonnement prélevé",
            "subscription.charge_failed": "Prélèvement refusé",
            "charge.reversed": "Prélèvement rejeté après paiement",
            "charge.refunded": "Prélèvement remboursé ou crédité",
            "charge.settled": "Impayé soldé ou abandonné",
            "sepa.prenotification": "Préavis de prélèvement SEPA",
            "invoice.issued": "Facture émise",
            "credit_note.issued": "Avoir émis",
            "mandate.revoked": "Mandat révoqué",
            "shipment.handed_over": "Expédition remise au transporteur",
            "claim.changed": "Dossier de sinistre déclaré ou modifié",
        }[self.value]


class OutboxEvent(OrganisationScoped, Identified, Base):
    """One thing that happened to ``subject_id``. ``payload`` holds ids and plain values, never personal data."""

    __tablename__ = "outbox_events"
    __table_args__ = (
        Index("ix_outbox_events_occurred", "organisation_id", "occurred_at", "id"),
        Index("ix_outbox_events_subject", "organisation_id", "subject_id", "id"),
    )

    kind: Mapped[OutboxKind] = mapped_column(stored_enum(OutboxKind))
    subject_id: Mapped[UUID]
    payload: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    occurred_at: Mapped[datetime] = mapped_column(default=clock.now)

    deliveries: Mapped[list["OutboxDelivery"]] = relationship(
        primaryjoin=lambda: linked(OutboxEvent, OutboxDelivery.event_id),
        order_by="OutboxDelivery.subscriber",
        passive_deletes="all",
    )


class OutboxDelivery(OrganisationScoped, Base):
    """One event for one subscriber (a dotted name): delivered at least once, tried again at ``next_attempt_at``."""

    __tablename__ = "outbox_deliveries"
    __table_args__ = (
        Index(
            "ix_outbox_deliveries_open",
            "organisation_id",
            "next_attempt_at",
            "event_id",
            postgresql_where=text("delivered_at IS NULL"),
        ),
        tenant_key("event_id", "outbox_events"),
    )

    event_id: Mapped[UUID] = mapped_column(primary_key=True)
    subscriber: Mapped[str] = mapped_column(String(100), primary_key=True)
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    next_attempt_at: Mapped[datetime] = mapped_column(default=clock.now)
    delivered_at: Mapped[datetime | None]
    error: Mapped[str | None] = mapped_column(Text)
