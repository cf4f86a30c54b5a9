"""Commercials (sales staff) and their teams."""

from uuid import UUID

from sqlalchemy import ColumnElement, Computed, Index, String, UniqueConstraint, case, func, text
from sqlalchemy.orm import Mapped, mapped_column

from webapp.models.base import Base, Identified, Timestamped, tenant_key
from webapp.tenancy import OrganisationScoped


class Team(OrganisationScoped, Identified, Timestamped, Base):
    """A team of commercials (équipe), led by one or more users."""

    __tablename__ = "teams"
    __table_args__ = (UniqueConstraint("organisation_id", "name"),)

    name: Mapped[str] = mapped_column(String(100))


class TeamLeader(OrganisationScoped, Base):
    """A user who leads a team, and so sees its figures."""

    __tablename__ = "team_leaders"
    __table_args__ = (tenant_key("team_id", "teams"), tenant_key("user_id", "users"))

    team_id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(primary_key=True)


def full_name(first_name: str, last_name: str, email: str | None, external_id: str | None) -> str:
    """How pages name a commercial: first name and last name, else the e-mail, else the foreign id."""
    return f"{first_name} {last_name}".strip() or email or external_id or "Commercial sans nom"


def full_name_in_sql() -> ColumnElement[str | None]:
    """In a statement that has Commercial, by an outer join maybe: ``full_name``; NULL where there is none."""
    name = func.nullif(func.btrim(func.concat(Commercial.first_name, " ", Commercial.last_name)), "")
    filled = func.nullif(Commercial.email, ""), func.nullif(Commercial.external_id, "")
    return case((Commercial.id.is_not(None), func.coalesce(name, *filled, "Commercial sans nom")))


class Commercial(OrganisationScoped, Identified, Timestamped, Base):
    """A sales rep (apporteur). May exist before the account does: the first sign-in joins the two.

    ``external_id`` is the Keycloak id that WinLeadPlus knows the rep by; ``email`` is kept in lower case.
    """

    __tablename__ = "commercials"
    __table_args__ = (
        UniqueConstraint("organisation_id", "external_id"),
        UniqueConstraint("organisation_id", "user_id"),
        Index("ix_commercials_email", "organisation_id", "email"),
        Index("ix_commercials_name", "organisation_id", "name_key", "id"),
        tenant_key("user_id", "users", ondelete="SET NULL"),
        tenant_key("team_id", "teams", ondelete="SET NULL"),
    )

    user_id: Mapped[UUID | None]
    team_id: Mapped[UUID | None]
    external_id: Mapped[str | None] = mapped_column(String(64))
    email: Mapped[str | None] = mapped_column(String(320))
    first_name: Mapped[str] = mapped_column(String(100), default="", server_default="")
    last_name: Mapped[str] = mapped_column(String(100), default="", server_default="")
    is_active: Mapped[bool] = mapped_column(default=True, server_default=text("true"))
    name_key: Mapped[str] = mapped_column(
        String(collation="C"), Computed("fold(last_name || ' ' || first_name)", persisted=True)
    )

    @property
    def full_name(self) -> str:
        """See the function of this name."""
        return full_name(self.first_name, self.last_name, self.email, self.external_id)
