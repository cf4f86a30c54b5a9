"""Saved views: how a list was narrowed, ordered and laid out, under a name."""

from enum import StrEnum
from uuid import UUID

from sqlalchemy import Index, String, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from webapp.models.base import Base, Identified, Timestamped, stored_enum, tenant_key
from webapp.tenancy import OrganisationScoped

NAME_LENGTH = 60
SLUG_LENGTH = 70


class SavedList(StrEnum):
    """The lists that have views."""

    CLIENTS = "clients"
    CONTRACTS = "contrats"
    SUBSCRIPTIONS = "abonnements"
    CHARGES = "prelevements"
    INVOICES = "factures"

    @property
    def label(self) -> str:
        """The word on the screen."""
        return {"prelevements": "Prélèvements"}.get(self.value, self.value.capitalize())


class Density(StrEnum):
    """How close the rows of a list stand, as the address says it."""

    NORMAL = "normale"
    COMPACT = "compacte"

    @property
    def label(self) -> str:
        """The word on the screen."""
        return self.value.capitalize()


class SavedView(OrganisationScoped, Identified, Timestamped, Base):
    """A view of a list, of ``user_id`` (empty where that account is no more), for others too where it ``is_shared``.

    ``slug`` names it in addresses, once in the organisation and list, and stays when ``name`` changes. ``query`` is
    the query string of its filters and order; ``columns`` are keys of what the list offers, none for its usual ones.
    """

    __tablename__ = "saved_views"
    __table_args__ = (
        UniqueConstraint("organisation_id", "of_list", "slug"),
        tenant_key("user_id", "users", ondelete="SET NULL"),
    )

    of_list: Mapped[SavedList] = mapped_column(stored_enum(SavedList))
    user_id: Mapped[UUID | None]
    name: Mapped[str] = mapped_column(String(NAME_LENGTH))
    slug: Mapped[str] = mapped_column(String(SLUG_LENGTH))
    query: Mapped[str] = mapped_column(Text, default="", server_default="")
    columns: Mapped[list[str]] = mapped_column(ARRAY(String(40)), default=list, server_default="{}")
    density: Mapped[Density] = mapped_column(stored_enum(Density), default=Density.NORMAL)
    is_shared: Mapped[bool] = mapped_column(default=False, server_default=text("false"))


class SavedViewMark(OrganisationScoped, Base):
    """What a user made of a view that they see: a tab over the list (``is_pinned``), what the list opens with.

    ``of_list`` is that of the view: a user has one default for each.
    """

    __tablename__ = "saved_view_marks"
    __table_args__ = (
        Index(
            "uq_saved_view_marks_default",
            "organisation_id",
            "user_id",
            "of_list",
            unique=True,
            postgresql_where=text("is_default"),
        ),
        Index("ix_saved_view_marks_view", "organisation_id", "view_id"),
        tenant_key("user_id", "users"),
        tenant_key("view_id", "saved_views"),
    )

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    view_id: Mapped[UUID] = mapped_column(primary_key=True)
    of_list: Mapped[SavedList] = mapped_column(stored_enum(SavedList))
    is_pinned: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    is_default: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
