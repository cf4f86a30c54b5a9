"""Contracts and their lines: what was sold."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Computed, Identity, Index, Numeric, String, Text, UniqueConstraint, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp import clock
from webapp.models.base import Base, Identified, Timestamped, linked, stored_enum, tenant_key
from webapp.models.clients import Client, Source
from webapp.models.commercials import Commercial
from webapp.models.identity import User
from webapp.models.organisations import Company
from webapp.tenancy import OrganisationScoped

# What the sort keys hold where there is no date: such contracts come last, newest or soonest first.
NEVER_SIGNED = date(1, 1, 1)
NEVER_ENDING = date(9999, 12, 31)

# The list of contracts sorts by these; behind each filter, by signature. What days are counted by stands in the index.
SORT_COLUMNS = {
    "signed_key": ["commercial_id", "company_id", "status", "currency", "amount", "product_ids"],
    "ends_key": ["commercial_id", "status", "currency", "amount"],
    "amount_key": [],
}
FILTER_COLUMNS = ("commercial_id", "company_id", "status", "source")


class ContractStatus(StrEnum):
    """Where a contract stands."""

    DRAFT = "draft"
    PENDING = "pending"
    ACTIVE = "active"
    CANCELED = "canceled"
    TERMINATED = "terminated"

    @property
    def label(self) -> str:
        """The word on the screen."""
        return {
            "draft": "Brouillon",
            "pending": "En attente",
            "active": "Actif",
            "canceled": "Annulé",
            "terminated": "Résilié",
        }[self.value]


class PaymentMethod(StrEnum):
    """How the client pays."""

    SEPA = "sepa"
    CARD = "card"
    TRANSFER = "transfer"
    CHEQUE = "cheque"

    @property
    def label(self) -> str:
        """The word on the screen."""
        return {"sepa": "Prélèvement SEPA", "card": "Carte", "transfer": "Virement", "cheque": "Chèque"}[self.value]


class Contract(OrganisationScoped, Identified, Timestamped, Base):
    """A contract. ``reference`` is unique in the organisation.

    ``commercial_id`` is the commercial **at signature**: set once, never moved by a later change of the client's.
    ``status_raw`` keeps an upstream status that we have no word for; the page shows it as it is.
    ``amount`` is in ``currency``, as WinLeadPlus gives it. ``signed_on`` is the date of signature in Paris.
    ``missing_since`` flags a contract that vanished upstream.

    Triggers keep ``product_ids`` (what its lines sell) and ``has_mandate`` (its client holds an active one); whoever
    writes the right products at once spares the trigger a write. Figures count contracts through
    ``models/tallies.py``, which triggers keep too.
    """

    __tablename__ = "contracts"
    __table_args__ = (
        UniqueConstraint("organisation_id", "reference"),
        Index("ix_contracts_client", "organisation_id", "client_id"),
        *(
            Index(f"ix_contracts_{sort}", "organisation_id", sort, "id", postgresql_include=included)
            for sort, included in SORT_COLUMNS.items()
        ),
        *(
            Index(f"ix_contracts_{filtered}_signed_key", "organisation_id", filtered, "signed_key", "id")
            for filtered in FILTER_COLUMNS
        ),
        Index(
            "ix_contracts_reference_key_search",
            "reference_key",
            postgresql_using="gin",
            postgresql_ops={"reference_key": "gin_trgm_ops"},
        ),
        Index("ix_contracts_product_ids", "product_ids", postgresql_using="gin"),
        Index(
            "ix_contracts_documents",
            "organisation_id",
            "commercial_id",
            "signed_key",
            "id",
            postgresql_where=text("document_url IS NOT NULL OR audit_trail_url IS NOT NULL"),
        ),
        Index(
            "ix_contracts_lacks_mandate",
            "organisation_id",
            "signed_key",
            "id",
            postgresql_where=text("lacks_mandate"),
        ),
        Index(
            "ix_contracts_missing",
            "organisation_id",
            "signed_key",
            "id",
            postgresql_where=text("missing_since IS NOT NULL"),
        ),
        Index(
            "ix_contracts_awaiting_commercial",
            "organisation_id",
            "commercial_external_id",
            postgresql_where=text("commercial_id IS NULL AND commercial_external_id IS NOT NULL"),
        ),
        tenant_key("client_id", "clients"),
        tenant_key("company_id", "companies"),
        tenant_key("commercial_id", "commercials", ondelete="SET NULL"),
    )

    client_id: Mapped[UUID]
    company_id: Mapped[UUID]
    commercial_id: Mapped[UUID | None]
    commercial_external_id: Mapped[str | None] = mapped_column(String(64))
    reference: Mapped[str] = mapped_column(String(100))
    status: Mapped[ContractStatus] = mapped_column(stored_enum(ContractStatus), default=ContractStatus.DRAFT)
    status_raw: Mapped[str | None] = mapped_column(String(100))
    description: Mapped[str | None] = mapped_column(Text)
    contract_type: Mapped[str | None] = mapped_column(String(100))
    supplier: Mapped[str | None] = mapped_column(String(200))
    amount: Mapped[Decimal | None] = mapped_column(Numeric(14, 2))
    currency: Mapped[str] = mapped_column(String(3), default="EUR", server_default="EUR")
    signed_at: Mapped[datetime | None]
    validated_at: Mapped[datetime | None]
    starts_on: Mapped[date | None]
    ends_on: Mapped[date | None]
    payment_method: Mapped[PaymentMethod | None] = mapped_column(stored_enum(PaymentMethod))
    withdrawal_day: Mapped[int | None]
    document_url: Mapped[str | None] = mapped_column(Text)
    audit_trail_url: Mapped[str | None] = mapped_column(Text)
    source: Mapped[Source | None] = mapped_column(stored_enum(Source))
    missing_since: Mapped[datetime | None]
    changed_at: Mapped[datetime] = mapped_column(default=clock.now)
    signed_on: Mapped[date | None] = mapped_column(
        Computed("(timezone('Europe/Paris', signed_at))::date", persisted=True)
    )
    product_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()), default=list, server_default="{}")
    has_mandate: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    lacks_mandate: Mapped[bool] = mapped_column(
        Computed(
            "coalesce(payment_method = 'sepa', false) AND status IN ('pending', 'active') AND NOT has_mandate",
            persisted=True,
        )
    )
    reference_key: Mapped[str] = mapped_column(
        String(collation="C"), Computed("fold(reference)", persisted=True), deferred=True
    )
    signed_key: Mapped[date] = mapped_column(
        Computed("coalesce((timezone('Europe/Paris', signed_at))::date, '0001-01-01'::date)", persisted=True)
    )
    ends_key: Mapped[date] = mapped_column(Computed("coalesce(ends_on, '9999-12-31'::date)", persisted=True))
    amount_key: Mapped[Decimal] = mapped_column(
        Numeric(14, 2), Computed("coalesce(amount, 0::numeric)", persisted=True)
    )

    client: Mapped[Client] = relationship(
        primaryjoin=lambda: linked(Client, Contract.client_id),
        viewonly=True,
    )
    company: Mapped[Company] = relationship(
        primaryjoin=lambda: linked(Company, Contract.company_id),
        viewonly=True,
    )
    lines: Mapped[list["ContractLine"]] = relationship(
        primaryjoin=lambda: linked(Contract, ContractLine.contract_id),
        order_by="ContractLine.position",
        viewonly=True,
    )
    commercial: Mapped[Commercial | None] = relationship(
        primaryjoin=lambda: linked(Commercial, Contract.commercial_id),
        viewonly=True,
    )

    @property
    def validated_on(self) -> date | None:
        """The day of validation in Paris."""
        return self.validated_at.astimezone(clock.PARIS).date() if self.validated_at else None

    @property
    def status_label(self) -> str:
        """The upstream word where we have none of our own, else ours."""
        return self.status_raw or self.status.label


class ContractStatusChange(OrganisationScoped, Identified, Base):
    """A contract went from one status to another: kept by a trigger on contracts, whatever writes them.

    ``user_id`` is who did it by hand; empty where a synchronisation did.
    """

    __tablename__ = "contract_status_changes"
    __table_args__ = (
        Index("ix_contract_status_changes_contract", "organisation_id", "contract_id", "at", "id"),
        tenant_key("contract_id", "contracts"),
        tenant_key("user_id", "users", ondelete="SET NULL"),
    )

    contract_id: Mapped[UUID]
    at: Mapped[datetime]
    old_status: Mapped[ContractStatus] = mapped_column(stored_enum(ContractStatus))
    old_status_raw: Mapped[str | None] = mapped_column(String(100))
    new_status: Mapped[ContractStatus] = mapped_column(stored_enum(ContractStatus))
    new_status_raw: Mapped[str | None] = mapped_column(String(100))
    user_id: Mapped[UUID | None]

    user: Mapped[User | None] = relationship(
        primaryjoin=lambda: linked(User, ContractStatusChange.user_id),
        viewonly=True,
    )


class ContractChange(OrganisationScoped, Base):
    """What an update of a contract found and left: written by a trigger on contracts alone, whatever updates them.

    ``changes`` maps a field of ContractFields (without lines) to ``[before, after]`` as JSON: an id, a day, an amount
    as a text; of ``status`` the pair of it and upstream's word. Without any it says that earlier changes are not known.
    ``user_id``, ``run_id`` and ``operation_id`` are what the writer told (``transactions.writing_as``); they carry no
    foreign keys, so that what somebody wrote never becomes nobody's. Of one contract, ``id`` grows with each change.
    """

    __tablename__ = "contract_changes"
    __table_args__ = (
        Index("ix_contract_changes_contract", "organisation_id", "contract_id", "id"),
        tenant_key("contract_id", "contracts"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    contract_id: Mapped[UUID]
    at: Mapped[datetime]
    user_id: Mapped[UUID | None]
    run_id: Mapped[UUID | None]
    operation_id: Mapped[UUID | None]
    changes: Mapped[dict[str, Any]]


class ContractLine(OrganisationScoped, Identified, Base):
    """One product on a contract. ``unit_price`` is in the contract's currency, before tax as upstream gives it."""

    __tablename__ = "contract_lines"
    __table_args__ = (
        UniqueConstraint("organisation_id", "contract_id", "position"),
        tenant_key("contract_id", "contracts"),
        tenant_key("product_id", "products", ondelete="SET NULL"),
    )

    contract_id: Mapped[UUID]
    position: Mapped[int]
    product_id: Mapped[UUID | None]
    label: Mapped[str] = mapped_column(String(200))
    quantity: Mapped[Decimal] = mapped_column(Numeric(12, 3), default=Decimal(1), server_default="1")
    unit_price: Mapped[Decimal | None] = mapped_column(Numeric(14, 4))
    details: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
