"""The book of cover figures: what counts, in which month, for which cover; rows are only ever added.

Database functions write it from payments, claim files, invoices and their settlements, in the transaction of whoever
writes those (migration 0057); ``services/figures/in_force.py`` writes from when to when covers are in force. A month
that is closed takes no more entries: what concerns it is booked in the first open month.
"""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Identity, Index, Numeric, String, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp import clock
from webapp.models.base import Base, Identified, linked, stored_enum, tenant_key
from webapp.models.identity import User
from webapp.tenancy import OrganisationScoped


class FigureKind(StrEnum):
    """What an entry of the book counts.

    EARNED is premium before tax, by the month of its days. IN_FORCE is 1 from a day on, and -1 from the day on which
    that ends. ACCEPTED and REFUSED count claims: 1, and -1 where that is taken back. The others are euros.
    """

    EARNED = "earned"
    IN_FORCE = "in_force"
    PAID = "paid"
    RESERVE = "reserve"
    RECOVERED = "recovered"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    INVOICED = "invoiced"
    SETTLED = "settled"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "earned": "Prime acquise",
            "in_force": "En vigueur",
            "paid": "Payé",
            "reserve": "Variation de provision",
            "recovered": "Récupéré",
            "accepted": "Accepté",
            "refused": "Refusé",
            "invoiced": "Facturé",
            "settled": "Réglé",
        }[self.value]


class FigureEntry(OrganisationScoped, Identified, Base):
    """One entry of the book. ``day`` is when it happened, ``month`` (a first day) where it counts: later than the day's
    own where that was closed by then.

    ``source_id`` is the row that it comes from: payment, entry or change of a claim file, invoice, allocation; empty
    for IN_FORCE, which is reckoned. ``trades`` are those that the cover promised that day; of a claim, its own. It
    counts for the commercial for whom its cover does.
    """

    __tablename__ = "figure_entries"
    __table_args__ = (
        Index(
            "uq_figure_entries_source",
            "organisation_id",
            "source_id",
            "kind",
            "day",
            unique=True,
            postgresql_where=text("source_id IS NOT NULL"),
        ),
        Index("ix_figure_entries_kind", "organisation_id", "kind", "day", "id"),
        Index("ix_figure_entries_cover", "organisation_id", "cover_id", "kind", "day"),
        Index("ix_figure_entries_month", "organisation_id", "month", "id"),
        Index(
            "ix_figure_entries_invoice",
            "organisation_id",
            "invoice_id",
            postgresql_include=["month", "amount", "kind"],
            postgresql_where=text("invoice_id IS NOT NULL"),
        ),
        tenant_key("cover_id", "covers", ondelete="RESTRICT"),
    )

    month: Mapped[date]
    day: Mapped[date]
    kind: Mapped[FigureKind] = mapped_column(stored_enum(FigureKind))
    amount: Mapped[Decimal] = mapped_column(Numeric(14, 2))
    cover_id: Mapped[UUID]
    claim_id: Mapped[UUID | None]
    charge_id: Mapped[UUID | None]
    invoice_id: Mapped[UUID | None]
    source_id: Mapped[UUID | None]
    plan_id: Mapped[UUID]
    trades: Mapped[list[str]] = mapped_column(ARRAY(String(32)))
    commercial_id: Mapped[UUID | None]
    reason: Mapped[str | None] = mapped_column(String(32))


class FigureTally(OrganisationScoped, Base):
    """Sums of the book, added by a trigger with each statement that adds entries, and folded from time to time.

    ``days`` of IN_FORCE is what the entries come to until the end of ``month``, in days. ``is_late``: of a month that
    had been closed.
    """

    __tablename__ = "figure_tallies"
    __table_args__ = (
        Index(
            "ix_figure_tallies_month",
            "organisation_id",
            "kind",
            "month",
            postgresql_include=["plan_id", "trades", "commercial_id", "reason", "is_late", "amount", "days"],
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    month: Mapped[date]
    kind: Mapped[FigureKind] = mapped_column(stored_enum(FigureKind))
    plan_id: Mapped[UUID]
    trades: Mapped[list[str]] = mapped_column(ARRAY(String(32)))
    commercial_id: Mapped[UUID | None]
    reason: Mapped[str | None] = mapped_column(String(32))
    is_late: Mapped[bool]
    amount: Mapped[Decimal] = mapped_column(Numeric(18, 2))
    days: Mapped[Decimal] = mapped_column(Numeric(18, 2))


_TOLD = ["previous_month", "next_month", "yearly_before", "yearly_after", "came_before", "has_moved", "is_alone"]
_PROMISED = ["plan_id", "trades"]


class CoverRevenueMonth(OrganisationScoped, Base):
    """What a cover brings in a year before and after a month of Paris in which it moved, or its promise did, in euros.

    In each such month there is a row for each cover of the client, also where only another moved: the first row of a
    period tells its start, and the last one its end, whichever covers are asked for. ``previous_month`` and
    ``next_month`` are those of the rows around it, ``date.min`` and ``date.max`` at the ends. ``came_before`` tells
    whether there was any revenue before the month, ``has_moved`` whether the revenue changed in it, ``is_alone``
    whether the client has no other cover: whose only row in a period it is, nothing is to be added to it. ``plan_id``
    and ``trades`` are what the cover promised at the end of the month, until the next one; empty before its first day.

    The timetable books a client's rows anew from the history whenever something changed (``FigureWork``); until then
    the function ``cover_revenue_rows`` tells what they will be (migration 0066).
    """

    __tablename__ = "cover_revenue_months"
    __table_args__ = (
        Index(
            "uq_cover_revenue_months_client",
            "organisation_id",
            "client_id",
            "month",
            "cover_id",
            unique=True,
            postgresql_include=["commercial_id", *_TOLD],
        ),
        Index(
            "ix_cover_revenue_months_month",
            "organisation_id",
            "month",
            "client_id",
            postgresql_include=["cover_id", "commercial_id", *_TOLD, *_PROMISED],
        ),
        Index(
            "ix_cover_revenue_months_previous",
            "organisation_id",
            "previous_month",
            "month",
            "client_id",
            postgresql_where=text("previous_month > '0001-01-01'"),
        ),
        Index(
            "ix_cover_revenue_months_shared",
            "organisation_id",
            "next_month",
            "client_id",
            postgresql_where=text("NOT is_alone"),
        ),
        tenant_key("client_id", "clients"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    client_id: Mapped[UUID]
    cover_id: Mapped[UUID]
    commercial_id: Mapped[UUID | None]
    month: Mapped[date]
    previous_month: Mapped[date]
    next_month: Mapped[date]
    yearly_before: Mapped[Decimal] = mapped_column(Numeric(18, 2))
    yearly_after: Mapped[Decimal] = mapped_column(Numeric(18, 2))
    came_before: Mapped[bool]
    has_moved: Mapped[bool]
    is_alone: Mapped[bool]
    plan_id: Mapped[UUID | None]
    trades: Mapped[list[str] | None] = mapped_column(ARRAY(String(32)))


class CoverMovementTally(OrganisationScoped, Base):
    """What rows of ``CoverRevenueMonth`` come to, of clients with one cover, by month, commercial and promise.

    ``active`` and ``level`` are by how much the clients who bring something, and what a year brings, changed: summed
    over all months before a day, they are those of that day. The others are what moved the revenue of clients whom the
    month is the only one to move: who moved in several months of a period is looked at by itself. Triggers add rows
    with each statement that books; they are folded from time to time.
    """

    __tablename__ = "cover_movement_tallies"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    month: Mapped[date]
    commercial_id: Mapped[UUID | None]
    plan_id: Mapped[UUID | None]
    trades: Mapped[list[str] | None] = mapped_column(ARRAY(String(32)))
    active: Mapped[int] = mapped_column(BigInteger)
    level: Mapped[Decimal] = mapped_column(Numeric(18, 2))
    new: Mapped[Decimal] = mapped_column(Numeric(18, 2))
    expansion: Mapped[Decimal] = mapped_column(Numeric(18, 2))
    contraction: Mapped[Decimal] = mapped_column(Numeric(18, 2))
    churn: Mapped[Decimal] = mapped_column(Numeric(18, 2))
    reactivation: Mapped[Decimal] = mapped_column(Numeric(18, 2))


class FigureWork(OrganisationScoped, Base):
    """A cover of which something changed: what is booked of it is to be looked at. Triggers write it."""

    __tablename__ = "figure_work"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    cover_id: Mapped[UUID]


class FigureClosing(OrganisationScoped, Base):
    """A month that is closed: its entries are what they are for good. ``figures`` are what they came to.

    ``entries`` is how many there are, ``fingerprint`` a hash of them in the order of their ids, by which anybody can
    see that none was added, changed or taken away since.
    """

    __tablename__ = "figure_closings"
    __table_args__ = (tenant_key("closed_by_id", "users", ondelete="SET NULL"),)

    month: Mapped[date] = mapped_column(primary_key=True)
    closed_at: Mapped[datetime] = mapped_column(default=clock.now)
    closed_by_id: Mapped[UUID | None]
    entries: Mapped[int]
    fingerprint: Mapped[str] = mapped_column(String(64))
    figures: Mapped[dict[str, Any]]

    closed_by: Mapped[User | None] = relationship(
        primaryjoin=lambda: linked(User, FigureClosing.closed_by_id), viewonly=True
    )

    def amount(self, name: str) -> Decimal:
        """One of the kept figures that are euros."""
        return Decimal(self.figures[name])
