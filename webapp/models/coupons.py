"""Coupons: recurring discounts that an organisation defines as data."""

from datetime import date
from decimal import Decimal
from uuid import UUID

from sqlalchemy import CheckConstraint, Numeric, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from webapp.models.base import Base, Identified, Timestamped, tenant_key
from webapp.tenancy import OrganisationScoped


class Coupon(OrganisationScoped, Identified, Timestamped, Base):
    """A discount before tax on each cycle: ``percent`` of what the lines cost, or an ``amount``, one of the two.

    ``cycles`` is for how many charged cycles it holds, empty for ever. It can be given to subscriptions from
    ``valid_from`` to ``valid_until`` (both included), ``max_uses`` times at most; ``uses`` counts how often it was.
    What it is never changes: subscriptions that have it keep what they were promised.
    """

    __tablename__ = "coupons"
    __table_args__ = (
        UniqueConstraint("organisation_id", "code"),
        CheckConstraint("(percent IS NULL) <> (amount IS NULL)", name="percent_or_amount"),
        CheckConstraint("percent > 0 AND percent <= 100", name="percent"),
        CheckConstraint("amount > 0", name="amount_is_positive"),
        CheckConstraint("cycles > 0", name="cycles"),
        CheckConstraint("uses >= 0 AND uses <= max_uses", name="uses"),
        tenant_key("created_by_id", "users", ondelete="SET NULL"),
    )

    code: Mapped[str] = mapped_column(String(30))
    label: Mapped[str] = mapped_column(String(100))
    percent: Mapped[Decimal | None] = mapped_column(Numeric(5, 2))
    amount: Mapped[Decimal | None] = mapped_column(Numeric(14, 2))
    cycles: Mapped[int | None]
    valid_from: Mapped[date | None]
    valid_until: Mapped[date | None]
    max_uses: Mapped[int | None]
    uses: Mapped[int] = mapped_column(default=0, server_default="0")
    is_active: Mapped[bool] = mapped_column(default=True, server_default=text("true"))
    created_by_id: Mapped[UUID | None]
