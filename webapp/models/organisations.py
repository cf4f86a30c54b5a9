"""Organisations (tenants) and their companies."""

from uuid import UUID

from sqlalchemy import Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from webapp.models.base import Base, Identified, Timestamped, new_id
from webapp.tenancy import OrganisationScoped


class Organisation(Timestamped, Base):
    """A tenant. Nothing ever crosses from one to another."""

    __tablename__ = "organisations"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    slug: Mapped[str] = mapped_column(String(63), unique=True)
    name: Mapped[str] = mapped_column(String(200))


class Company(OrganisationScoped, Identified, Timestamped, Base):
    """A legal entity (société) selling within an organisation."""

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
    currency: Mapped[str] = mapped_column(String(3), default="EUR", server_default="EUR")
    is_default: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
