"""What payment providers told us."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Index, LargeBinary, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp import clock
from webapp.models.base import Base, Identified, linked, tenant_key
from webapp.models.providers import ProviderAccount
from webapp.tenancy import OrganisationScoped


class WebhookState(StrEnum):
    """How far a webhook has come. A failed one is tried again ever more seldom, until a person closes it."""

    WAITING = "waiting"
    FAILED = "failed"
    HANDLED = "handled"
    CLOSED = "closed"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {"waiting": "À traiter", "failed": "En échec", "handled": "Traitée", "closed": "Classée"}[self.value]


class WebhookEvent(OrganisationScoped, Identified, Base):
    """What a provider told us, verified, kept as it came (``body`` is sealed), handled later by a job.

    An event told twice is one row. ``handled_at`` is set once its effect is recorded; ``error`` says why not yet.
    """

    __tablename__ = "webhook_events"
    __table_args__ = (
        UniqueConstraint("organisation_id", "provider_account_id", "event_id"),
        Index("ix_webhook_events_open", "next_attempt_at", postgresql_where=text("handled_at IS NULL")),
        Index("ix_webhook_events_received", "organisation_id", "received_at", "id"),
        tenant_key("provider_account_id", "provider_accounts", ondelete="RESTRICT"),
    )

    provider_account_id: Mapped[UUID]
    event_id: Mapped[str] = mapped_column(String(255))
    kind: Mapped[str] = mapped_column(String(100), default="", server_default="")
    body: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    received_at: Mapped[datetime] = mapped_column(default=clock.now)
    next_attempt_at: Mapped[datetime] = mapped_column(default=clock.now)
    handled_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    error: Mapped[str | None] = mapped_column(Text)

    account: Mapped[ProviderAccount] = relationship(
        primaryjoin=lambda: linked(ProviderAccount, WebhookEvent.provider_account_id),
        viewonly=True,
    )

    @property
    def state(self) -> WebhookState:
        """How far it has come."""
        if self.handled_at is None:
            return WebhookState.FAILED if self.error else WebhookState.WAITING
        return WebhookState.CLOSED if self.error else WebhookState.HANDLED

    @staticmethod
    def place(organisation_id: UUID, event_id: UUID) -> str:
        """Where an encrypted body belongs (associated data); ``event_id`` is our row's id."""
        return f"{organisation_id}|webhook_events.body|{event_id}"
