"""Changes of what a subscription sells: those that wait for the next cycle, and what those made at once come to."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Numeric, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp import clock
from webapp.models.base import Base, Identified, linked, stored_enum, tenant_key
from webapp.models.charges import Charge
from webapp.models.money import Totals
from webapp.models.subscriptions import Frequency, Rhythm
from webapp.tenancy import OrganisationScoped


class PlannedChange(OrganisationScoped, Base):
    """What changes with the next cycle of a subscription: its lines, its frequency, its anchor, or several of them.

    The claim of that cycle applies it and deletes the row. ``anchor_date`` is the first due date of the new rhythm; the
    days between the end of the paid period and it are a shorter cycle of their own.
    """

    __tablename__ = "planned_changes"
    __table_args__ = (
        tenant_key("subscription_id", "subscriptions"),
        tenant_key("user_id", "users", ondelete="SET NULL"),
    )

    subscription_id: Mapped[UUID] = mapped_column(primary_key=True)
    lines: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB(none_as_null=True))
    frequency: Mapped[Rhythm | None] = mapped_column(stored_enum(Frequency))
    anchor_date: Mapped[date | None]
    planned_at: Mapped[datetime] = mapped_column(default=clock.now)
    user_id: Mapped[UUID | None]


class Settlement(StrEnum):
    """How an adjustment is settled."""

    NEXT_CYCLE = "next_cycle"
    OWN_CHARGE = "own_charge"
    REFUND = "refund"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "next_cycle": "Avec les prochaines échéances",
            "own_charge": "Demandé à part",
            "refund": "Remboursé",
        }[self.value]


class SubscriptionAdjustment(OrganisationScoped, Identified, Base):
    """What a change made at once comes to, for the days of a charged cycle from ``starts_on`` to ``ends_on``.

    ``ends_on`` is excluded. ``lines`` are frozen as they will be printed, credits below zero; ``vat`` and ``amount``
    (with tax) are their totals. ``price`` (``[{rate, base}]``) is what that whole cycle would have cost as the
    subscription stood after the change: the next one in the same cycle (by ``position``) starts from it.

    ``left_over`` (``[{rate, base}]``) is what is still to be settled with cycles to come; empty once all of it is.
    """

    __tablename__ = "subscription_adjustments"
    __table_args__ = (
        CheckConstraint("starts_on <= ends_on", name="days_in_order"),
        CheckConstraint("settlement = 'next_cycle' OR left_over = '[]'", name="only_cycles_leave_something"),
        UniqueConstraint("organisation_id", "base_charge_id", "position"),
        Index(
            "ix_subscription_adjustments_open",
            "organisation_id",
            "subscription_id",
            "id",
            postgresql_where=text("left_over <> '[]'"),
        ),
        Index("ix_subscription_adjustments_subscription", "organisation_id", "subscription_id", "at"),
        tenant_key("subscription_id", "subscriptions", ondelete="RESTRICT"),
        tenant_key("base_charge_id", "charges", ondelete="RESTRICT"),
        tenant_key("charge_id", "charges", ondelete="RESTRICT"),
        tenant_key("user_id", "users", ondelete="SET NULL"),
    )

    subscription_id: Mapped[UUID]
    base_charge_id: Mapped[UUID]
    position: Mapped[int]
    at: Mapped[datetime] = mapped_column(default=clock.now)
    user_id: Mapped[UUID | None]
    starts_on: Mapped[date]
    ends_on: Mapped[date]
    lines: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    vat: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    amount: Mapped[Decimal] = mapped_column(Numeric(14, 2))
    price: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    settlement: Mapped[Settlement] = mapped_column(stored_enum(Settlement))
    left_over: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, default=list, server_default="[]")
    charge_id: Mapped[UUID | None]
    refund_id: Mapped[UUID | None]

    base_charge: Mapped[Charge] = relationship(
        primaryjoin=lambda: linked(Charge, SubscriptionAdjustment.base_charge_id),
        viewonly=True,
    )

    @property
    def totals(self) -> Totals:
        """What it comes to, below zero where the client is credited."""
        return Totals.from_json(self.vat)
