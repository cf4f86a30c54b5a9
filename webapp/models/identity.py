"""Users: accounts at the identity provider, as the CRM knows them."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, Index, String, UniqueConstraint, case, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.models.base import Base, Identified, Timestamped
from webapp.models.organisations import Organisation
from webapp.tenancy import OrganisationScoped


class Role(StrEnum):
    """What the identity provider says a user may do; the names are those of its realm roles."""

    COMMERCIAL = "commercial"
    MANAGER = "manager"
    ADMIN = "admin"

    @property
    def label(self) -> str:
        """The word on the screen."""
        return {"commercial": "Commercial", "manager": "Manager", "admin": "Administrateur"}[self.value]


def full_name_in_sql() -> ColumnElement[str | None]:
    """In a statement that has User, by an outer join maybe: ``full_name``; NULL where there is none."""
    name = func.nullif(func.btrim(func.concat(User.first_name, " ", User.last_name)), "")
    return case((User.id.is_not(None), func.coalesce(name, func.nullif(User.email, ""), "Compte sans nom")))


class User(OrganisationScoped, Identified, Timestamped, Base):
    """An account, keyed by issuer and subject.

    ``issuer`` is empty on an account announced ahead (seed, invitation); the first sign-in with the same subject,
    or with the same verified e-mail, takes it over, once.
    """

    __tablename__ = "users"
    __table_args__ = (
        UniqueConstraint("issuer", "subject"),
        Index("ix_users_email", "organisation_id", text("lower(email)")),
    )

    issuer: Mapped[str | None] = mapped_column(String(300))
    subject: Mapped[str | None] = mapped_column(String(255))
    email: Mapped[str | None] = mapped_column(String(320))
    email_verified: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    first_name: Mapped[str] = mapped_column(String(100), default="")
    last_name: Mapped[str] = mapped_column(String(100), default="")
    roles: Mapped[list[str]] = mapped_column(ARRAY(String(32)), default=list, server_default="{}")
    last_seen_at: Mapped[datetime | None]

    organisation: Mapped[Organisation] = relationship(viewonly=True)

    @property
    def full_name(self) -> str:
        """First name and last name, or the e-mail of an account without a name."""
        return f"{self.first_name} {self.last_name}".strip() or self.email or "Compte sans nom"

    @property
    def initials(self) -> str:
        """One or two letters that stand for a portrait."""
        names = [name for name in (self.first_name, self.last_name) if name] or [self.full_name]
        return "".join(name[0] for name in names).upper()

    @property
    def role_label(self) -> str:
        """The word for the highest role held, or nothing."""
        return next((role.label for role in (Role.ADMIN, Role.MANAGER, Role.COMMERCIAL) if self.has_role(role)), "")

    def has_role(self, *roles: Role) -> bool:
        """Whether the user holds at least one of ``roles``."""
        return any(role.value in self.roles for role in roles)

    @property
    def handles_charges(self) -> bool:
        """Whether the user may start charges, look into them and decide on them."""
        return self.has_role(Role.MANAGER, Role.ADMIN)
