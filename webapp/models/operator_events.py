"""What operators tell us of claims, the files that they add to them, and what we tell them."""

from typing import Any
from uuid import UUID

from sqlalchemy import Index, LargeBinary, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp import crypto
from webapp.models.base import Base, linked, tenant_key
from webapp.models.claims import Claim
from webapp.models.events import Event, ReceivedEvent, event_arguments, received_arguments
from webapp.models.operators import CoverOperator
from webapp.models.sealing import Sealing


class OperatorEvent(ReceivedEvent, Base):
    """An event that an operator told and signed (événement). ``message_id`` is its ``webhook-id``: told twice, it is
    one row. ``external_id`` and ``revision`` are of the claim in it, ``claim_id`` is the file that it came to.
    """

    __tablename__ = "operator_events"
    __table_args__ = (
        UniqueConstraint("organisation_id", "operator_id", "message_id"),
        *received_arguments("operator_events", "operator_id"),
        Index("ix_operator_events_claim", "organisation_id", "operator_id", "external_id", "received_at"),
        Index(
            "ix_operator_events_file",
            "organisation_id",
            "claim_id",
            postgresql_where=text("claim_id IS NOT NULL"),
        ),
        tenant_key("operator_id", "cover_operators", ondelete="RESTRICT"),
        tenant_key("claim_id", "claims", ondelete="RESTRICT"),
    )

    operator_id: Mapped[UUID]
    message_id: Mapped[str] = mapped_column(String(200))
    type: Mapped[str] = mapped_column(String(40))
    external_id: Mapped[str] = mapped_column(String(100))
    revision: Mapped[int]
    claim_id: Mapped[UUID | None]

    operator: Mapped[CoverOperator] = relationship(
        primaryjoin=lambda: linked(CoverOperator, OperatorEvent.operator_id), viewonly=True
    )
    claim: Mapped[Claim | None] = relationship(primaryjoin=lambda: linked(Claim, OperatorEvent.claim_id), viewonly=True)


class OperatorDocument(Sealing, Event, Base):
    """A file that an operator added to a claim, fetched from its ``url`` (sealed) by a job; then ``document_id``."""

    __tablename__ = "operator_documents"
    __table_args__ = (
        UniqueConstraint("organisation_id", "claim_id", "external_id"),
        *event_arguments("operator_documents"),
        tenant_key("operator_id", "cover_operators", ondelete="RESTRICT"),
        tenant_key("claim_id", "claims", ondelete="RESTRICT"),
        tenant_key("document_id", "documents", ondelete="SET NULL"),
    )

    operator_id: Mapped[UUID]
    claim_id: Mapped[UUID]
    external_id: Mapped[str] = mapped_column(String(100))
    name: Mapped[str] = mapped_column(String(200))
    url: Mapped[bytes | None] = mapped_column(LargeBinary)
    document_id: Mapped[UUID | None]

    def keep_url(self, url: str) -> None:
        """Seal the address, which may carry a secret of the operator's."""
        self.url = crypto.seal(url, place=self.place_of("url"))

    def url_in_clear(self) -> str | None:
        """Where the file lies; None once it is forgotten."""
        return None if self.url is None else crypto.unseal(self.url, place=self.place_of("url"))


class OperatorDelivery(Event, Base):
    """X

    ``revision`` is the file's version when something happened; ``told`` what is compared, so that an operator is told
    of news only: state, amounts, what was decided. Nothing personal.
    """

    __tablename__ = "operator_deliveries"
    __table_args__ = (
        *event_arguments("operator_deliveries"),
        Index("ix_operator_deliveries_claim", "organisation_id", "claim_id", "received_at", "id"),
        Index("ix_operator_deliveries_received", "organisation_id", "received_at", "id"),
        tenant_key("operator_id", "cover_operators", ondelete="RESTRICT"),
        tenant_key("claim_id", "claims", ondelete="RESTRICT"),
    )

    operator_id: Mapped[UUID]
    claim_id: Mapped[UUID]
    type: Mapped[str] = mapped_column(String(40))
    revision: Mapped[int]
    told: Mapped[dict[str, Any]]

    operator: Mapped[CoverOperator] = relationship(
        primaryjoin=lambda: linked(CoverOperator, OperatorDelivery.operator_id), viewonly=True
    )
    claim: Mapped[Claim] = relationship(primaryjoin=lambda: linked(Claim, OperatorDelivery.claim_id), viewonly=True)
