"""Clients (customers)."""

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import ColumnElement, Computed, Index, LargeBinary, String, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp import clock
from webapp.models.base import Base, Identified, Timestamped, linked, stored_enum, tenant_key
from webapp.models.commercials import Commercial
from webapp.tenancy import OrganisationScoped

# The clients page sorts by these, on their own and behind each filter. A filter may go hand in hand with a sort (all
# that a synchronisation touched were changed last; no prospect has contracts): without an index for the pair, a page
# would walk past every client that the filter leaves out.
SORT_COLUMNS = ("name_key", "city_key", "changed_at", "contracts_count", "created_at")
FILTER_COLUMNS = ("source", "status", "commercial_id")


class Source(StrEnum):
    """Where a client or contract came from; a client made in the CRM has none."""

    WINLEADPLUS = "WinLeadPlus"
    WOOCOMMERCE = "WooCommerce"


class ClientStatus(StrEnum):
    """How far a client has come."""

    PROSPECT = "prospect"
    ACTIVE = "active"
    INACTIVE = "inactive"

    @property
    def label(self) -> str:
        """The word on the screen."""
        return {"prospect": "Prospect", "active": "Actif", "inactive": "Inactif"}[self.value]


class Civility(StrEnum):
    """How to address someone (civilité)."""

    MR = "M."
    MRS = "Mme"


def full_name(last_name: str, first_name: str) -> str:
    """How lists show a client: last name first, never empty."""
    return f"{last_name} {first_name}".strip() or "Sans nom"


def full_name_in_sql() -> ColumnElement[str]:
    """In a statement that has Client: ``full_name``."""
    name = func.btrim(func.concat(Client.last_name, " ", Client.first_name))
    return func.coalesce(func.nullif(name, ""), "Sans nom")


class Client(OrganisationScoped, Identified, Timestamped, Base):
    """A customer, always a person or firm sold to.

    ``name_key``, ``city_key`` and ``search_text`` are made by PostgreSQL from the other columns (see the SQL
    functions ``fold`` and ``client_search_text``), so that no write path can forget them. ``contracts_count`` and
    ``contract_references`` are kept by a trigger on contracts. ``phone`` is E.164, ``email`` lower case, ``country``
    ISO 3166 alpha-2. The delivery address is empty where it is the main one; ``delivery_name`` where the client is the
    recipient.
    ``changed_at`` moves with what a person would call a change; ``version`` with every
    edit, so that two people cannot overwrite each other.
    An archived client (``archived_at``) stands in no list, search or choice unless asked for; one that was merged into
    another names it in ``merged_into_id``. Of one that was erased (``erased_at``) nothing is known any more but what
    ``models/personal_data.py`` keeps; triggers see to it that it is not filled again.
    """

    __tablename__ = "clients"
    __table_args__ = (
        tenant_key("commercial_id", "commercials", ondelete="SET NULL"),
        tenant_key("merged_into_id", "clients"),
        *(
            Index(f"ix_clients_{sort}", "organisation_id", sort, "id", postgresql_where=text("archived_at IS NULL"))
            for sort in SORT_COLUMNS
        ),
        *(
            Index(
                f"ix_clients_{filtered}_{sort}",
                *("organisation_id", filtered, sort, "id"),
                # Several filters together are counted in the index of one of them.
                postgresql_include=[other for other in FILTER_COLUMNS if other != filtered]
                if sort == SORT_COLUMNS[0]
                else [],
                postgresql_where=text("archived_at IS NULL"),
            )
            for filtered in FILTER_COLUMNS
            for sort in SORT_COLUMNS
        ),
        Index("ix_clients_email", "organisation_id", "email"),
        Index("ix_clients_phone", "organisation_id", "phone"),
        Index(
            "ix_clients_postcode",
            "organisation_id",
            "postcode",
            postgresql_ops={"postcode": "varchar_pattern_ops"},
            postgresql_where=text("archived_at IS NULL"),
        ),
        Index(
            "ix_clients_awaiting_commercial",
            "organisation_id",
            "commercial_external_id",
            postgresql_where=text("commercial_id IS NULL AND commercial_external_id IS NOT NULL"),
        ),
        Index(
            "ix_clients_lacks_contact",
            "organisation_id",
            "name_key",
            "id",
            postgresql_where=text("email IS NULL AND phone IS NULL AND archived_at IS NULL"),
        ),
        Index(
            "ix_clients_archived",
            "organisation_id",
            "name_key",
            "id",
            postgresql_where=text("archived_at IS NOT NULL"),
        ),
        Index(
            "ix_clients_merged_into",
            "organisation_id",
            "merged_into_id",
            postgresql_where=text("merged_into_id IS NOT NULL"),
        ),
        Index("ix_clients_erased", "organisation_id", "id", postgresql_where=text("erased_at IS NOT NULL")),
        Index(
            "ix_clients_retention",
            "organisation_id",
            "changed_at",
            "id",
            postgresql_where=text("status = 'prospect' AND erased_at IS NULL AND merged_into_id IS NULL"),
        ),
        Index(
            "ix_clients_city_key_search",
            "city_key",
            postgresql_using="gin",
            postgresql_ops={"city_key": "gin_trgm_ops"},
        ),
        Index(
            "ix_clients_search",
            "search_text",
            postgresql_using="gin",
            postgresql_ops={"search_text": "gin_trgm_ops"},
        ),
    )

    source: Mapped[Source | None] = mapped_column(stored_enum(Source))
    status: Mapped[ClientStatus] = mapped_column(stored_enum(ClientStatus), default=ClientStatus.PROSPECT)
    commercial_id: Mapped[UUID | None]
    commercial_external_id: Mapped[str | None] = mapped_column(String(64))
    civility: Mapped[Civility | None] = mapped_column(stored_enum(Civility))
    last_name: Mapped[str] = mapped_column(String(200), default="", server_default="")
    first_name: Mapped[str] = mapped_column(String(200), default="", server_default="")
    birth_date: Mapped[date | None]
    email: Mapped[str | None] = mapped_column(String(320))
    phone: Mapped[str | None] = mapped_column(String(20))
    address_line1: Mapped[str | None] = mapped_column(String(200))
    address_line2: Mapped[str | None] = mapped_column(String(200))
    postcode: Mapped[str | None] = mapped_column(String(20))
    city: Mapped[str | None] = mapped_column(String(100))
    country: Mapped[str] = mapped_column(String(2), default="FR", server_default="FR")
    delivery_name: Mapped[str | None] = mapped_column(String(200))
    delivery_line1: Mapped[str | None] = mapped_column(String(200))
    delivery_line2: Mapped[str | None] = mapped_column(String(200))
    delivery_postcode: Mapped[str | None] = mapped_column(String(20))
    delivery_city: Mapped[str | None] = mapped_column(String(100))
    delivery_country: Mapped[str] = mapped_column(String(2), default="FR", server_default="FR")
    delivery_instructions: Mapped[str | None] = mapped_column(String(200))
    identity_card: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    contracts_count: Mapped[int] = mapped_column(default=0, server_default="0")
    contract_references: Mapped[str] = mapped_column(Text, default="", server_default="", deferred=True)
    changed_at: Mapped[datetime] = mapped_column(default=clock.now)
    archived_at: Mapped[datetime | None]
    merged_into_id: Mapped[UUID | None]
    erased_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1, server_default="1")
    name_key: Mapped[str] = mapped_column(
        String(collation="C"), Computed("fold(last_name || ' ' || first_name)", persisted=True), deferred=True
    )
    city_key: Mapped[str] = mapped_column(
        String(collation="C"), Computed("fold(coalesce(city, ''))", persisted=True), deferred=True
    )
    search_text: Mapped[str] = mapped_column(
        Text(collation="C"),
        Computed(
            "client_search_text(last_name, first_name, email, phone, contract_references)",
            persisted=True,
        ),
        deferred=True,
    )

    commercial: Mapped[Commercial | None] = relationship(
        primaryjoin=lambda: linked(Commercial, Client.commercial_id),
        viewonly=True,
    )

    @property
    def full_name(self) -> str:
        """Last name first, as lists are read; never empty."""
        return full_name(self.last_name, self.first_name)

    def place(self, column: str) -> str:
        """Where an encrypted value of this client belongs (associated data)."""
        return f"{self.organisation_id}|clients.{column}|{self.id}"
