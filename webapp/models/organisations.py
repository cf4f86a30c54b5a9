"""Organisations (tenants) and their companies."""

from decimal import Decimal
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Numeric, String, text
from sqlalchemy.orm import Mapped, mapped_column, validates

from webapp import sepa
from webapp.errors import InvalidInputError
from webapp.models.base import Base, Identified, Timestamped, new_id
from webapp.tenancy import OrganisationScoped

DEFAULT_PATTERN = "MD-{numero}"
"""How a new company's references of mandates (RUM) are made."""


_WANTED = {
    "siren": "le SIREN",
    "legal_form": "la forme juridique",
    "address_line1": "l’adresse",
    "postcode": "le code postal",
    "city": "la ville",
}


class Organisation(Timestamped, Base):
    """A tenant. Nothing ever crosses from one to another.

    A prospect without any activity for ``prospects_kept_months`` is proposed for erasure.
    """

    __tablename__ = "organisations"
    __table_args__ = (CheckConstraint("prospects_kept_months BETWEEN 1 AND 120", name="prospects_kept_months"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    slug: Mapped[str] = mapped_column(String(63), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    prospects_kept_months: Mapped[int] = mapped_column(default=36, server_default="36")


class Company(OrganisationScoped, Identified, Timestamped, Base):
    """A legal entity (société) selling within an organisation. What the law wants on an invoice is kept here.

    References of mandates (RUM) that are given to it follow ``umr_pattern``; ``umr_count`` is the last number drawn.
    """

    __tablename__ = "companies"
    __table_args__ = (
        Index(
            "uq_companies_default",
            "organisation_id",
            unique=True,
            postgresql_where=text("is_default"),
        ),
    )

    name: Mapped[str] = mapped_column(String(200))
    siren: Mapped[str | None] = mapped_column(String(9))
    vat_number: Mapped[str | None] = mapped_column(String(20))
    legal_form: Mapped[str | None] = mapped_column(String(100))
    share_capital: Mapped[Decimal | None] = mapped_column(Numeric(16, 2))
    registry_city: Mapped[str | None] = mapped_column(String(100))
    address_line1: Mapped[str | None] = mapped_column(String(200))
    address_line2: Mapped[str | None] = mapped_column(String(200))
    postcode: Mapped[str | None] = mapped_column(String(20))
    city: Mapped[str | None] = mapped_column(String(100))
    country: Mapped[str] = mapped_column(String(2), default="FR", server_default="FR")
    email: Mapped[str | None] = mapped_column(String(320))
    phone: Mapped[str | None] = mapped_column(String(20))
    umr_pattern: Mapped[str] = mapped_column(String(35), default=DEFAULT_PATTERN, server_default=DEFAULT_PATTERN)
    umr_count: Mapped[int] = mapped_column(default=0, server_default="0")
    currency: Mapped[str] = mapped_column(String(3), default="EUR", server_default="EUR")
    is_default: Mapped[bool] = mapped_column(default=False, server_default=text("false"))

    @property
    def missing(self) -> list[str]:
        """What the law wants to read on its invoices and is not known, in French."""
        return [words for name, words in _WANTED.items() if not getattr(self, name)]

    @validates("umr_pattern")
    def _check_pattern(self, _key: str, pattern: str | None) -> str:
        """Raises InvalidInputError for one that makes no references."""
        if pattern is None or not sepa.is_pattern(pattern):
            raise InvalidInputError(sepa.WRONG_PATTERN, field="umr_pattern")
        return pattern
