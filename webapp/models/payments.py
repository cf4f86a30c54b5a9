"""The ledger of money: payments, and what undoes them."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Numeric, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from webapp import clock
from webapp.models.base import Base, Identified, stored_enum, tenant_key
from webapp.models.contracts import PaymentMethod
from webapp.models.providers import Provider
from webapp.tenancy import OrganisationScoped


class PaymentKind(StrEnum):
    """What a row of the ledger records."""

    CAPTURE = "capture"
    REVERSAL = "reversal"
    REFUND = "refund"
    REFUND_FAILURE = "refund_failure"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "capture": "Encaissement",
            "reversal": "Rejet après encaissement",
            "refund": "Remboursement",
            "refund_failure": "Échec d’un remboursement",
        }[self.value]


class Payment(OrganisationScoped, Identified, Base):
    """One movement of money, in the ledger that is only ever added to (a trigger refuses anything else).

    ``amount`` is signed: a capture is positive, a reversal or refund negative. At most one capture and one reversal per
    attempt; refunds are told apart by ``external_id``, the provider's own id of the movement. One that the provider
    could not deliver is answered by a positive row, which names it in ``undoes_id``: at most one. A payment taken by
    hand (transfer, cheque) has no attempt. ``happened_at`` is when the provider says it happened.

    What a shop (``shop_id``) says of money is told apart by kind and ``external_id``, whichever charge it belongs to,
    if any.
    """

    __tablename__ = "payments"
    __table_args__ = (
        Index(
            "uq_payments_attempt_kind",
            "organisation_id",
            "attempt_id",
            "kind",
            unique=True,
            postgresql_where=text("kind IN ('capture', 'reversal')"),
        ),
        Index(
            "uq_payments_refund",
            "organisation_id",
            "attempt_id",
            "external_id",
            unique=True,
            postgresql_where=text("kind = 'refund'"),
        ),
        Index(
            "uq_payments_undoes",
            "organisation_id",
            "undoes_id",
            unique=True,
            postgresql_where=text("undoes_id IS NOT NULL"),
        ),
        Index(
            "uq_payments_shop",
            "organisation_id",
            "shop_id",
            "kind",
            "external_id",
            unique=True,
            postgresql_where=text("shop_id IS NOT NULL"),
        ),
        Index("ix_payments_charge", "organisation_id", "charge_id"),
        Index("ix_payments_client", "organisation_id", "client_id", "happened_at", "id"),
        Index("ix_payments_happened", "organisation_id", "happened_at", "id"),
        CheckConstraint(
            "(kind IN ('capture', 'refund_failure') AND amount >= 0) OR "
            "(kind NOT IN ('capture', 'refund_failure') AND amount <= 0)",
            name="sign",
        ),
        CheckConstraint("(kind = 'refund_failure') = (undoes_id IS NOT NULL)", name="failures_undo"),
        CheckConstraint("(shop_id IS NULL) = (provider IS DISTINCT FROM 'woocommerce')", name="of_a_shop"),
        CheckConstraint("shop_id IS NULL OR attempt_id IS NULL", name="shops_attempt_nothing"),
        tenant_key("company_id", "companies", ondelete="RESTRICT"),
        tenant_key("client_id", "clients", ondelete="RESTRICT"),
        tenant_key("charge_id", "charges", ondelete="RESTRICT"),
        tenant_key("attempt_id", "charge_attempts", ondelete="RESTRICT"),
        tenant_key("undoes_id", "payments", ondelete="RESTRICT"),
        tenant_key("shop_id", "woocommerce_shops", ondelete="RESTRICT"),
    )

    company_id: Mapped[UUID]
    client_id: Mapped[UUID]
    charge_id: Mapped[UUID | None]
    attempt_id: Mapped[UUID | None]
    undoes_id: Mapped[UUID | None]
    shop_id: Mapped[UUID | None]
    kind: Mapped[PaymentKind] = mapped_column(stored_enum(PaymentKind))
    amount: Mapped[Decimal] = mapped_column(Numeric(14, 2))
    currency: Mapped[str] = mapped_column(String(3), default="EUR", server_default="EUR")
    method: Mapped[PaymentMethod | None] = mapped_column(stored_enum(PaymentMethod))
    provider: Mapped[Provider | None] = mapped_column(stored_enum(Provider))
    external_id: Mapped[str] = mapped_column(String(255), default="", server_default="")
    reason: Mapped[str | None] = mapped_column(Text)
    happened_at: Mapped[datetime] = mapped_column(default=clock.now)
    recorded_at: Mapped[datetime] = mapped_column(default=clock.now)
