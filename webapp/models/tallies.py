"""Tallies: how many contracts and clients there are, summed up by what figures ask for.

A ledger that is only ever added to: each statement that changes contracts or clients adds what it changed, by triggers
(migration 0004), in the same transaction. The sum of its rows is exact at every moment, and writers never wait for
each other over it. ``services/figures/tallies.py`` folds rows of one kind together from time to time.
Ids carry no foreign keys: the rows that they name are the contracts' and clients' own concern.
"""

from datetime import date
from decimal import Decimal
from uuid import UUID

from sqlalchemy import BigInteger, Identity, Index, Numeric, String
from sqlalchemy.orm import Mapped, mapped_column

from webapp.models.base import Base, stored_enum
from webapp.models.contracts import ContractStatus
from webapp.tenancy import OrganisationScoped


class ContractTally(OrganisationScoped, Base):
    """Contracts gained or lost (negative). ``month`` is the first day of that of signature, None without a date.

    Each contract stands in the rows without ``by_product`` once, and in those with it once for each product that it
    sells, or with no ``product_id`` where it sells none; these tell neither companies nor missing mandates apart.
    ``amount`` is in ``currency``.
    """

    __tablename__ = "contract_tallies"
    __table_args__ = (
        Index(
            "ix_contract_tallies_month",
            "organisation_id",
            "by_product",
            "month",
            postgresql_include=[
                "product_id",
                "commercial_id",
                "company_id",
                "status",
                "lacks_mandate",
                "currency",
                "contracts",
                "amount",
            ],
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    by_product: Mapped[bool]
    product_id: Mapped[UUID | None]
    month: Mapped[date | None]
    commercial_id: Mapped[UUID | None]
    company_id: Mapped[UUID | None]
    status: Mapped[ContractStatus] = mapped_column(stored_enum(ContractStatus))
    lacks_mandate: Mapped[bool]
    currency: Mapped[str] = mapped_column(String(3))
    contracts: Mapped[int] = mapped_column(BigInteger)
    amount: Mapped[Decimal] = mapped_column(Numeric(18, 2))


class ClientTally(OrganisationScoped, Base):
    """Clients gained or lost (negative), by their present commercial; ``lacks_contact``: no e-mail, no telephone."""

    __tablename__ = "client_tallies"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    commercial_id: Mapped[UUID | None]
    lacks_contact: Mapped[bool]
    clients: Mapped[int] = mapped_column(BigInteger)
