"""Claims (sinistres) and their files (dossiers déclaratifs): what was declared, what was decided, and what it cost."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Numeric, SmallInteger, String, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp import clock
from webapp.models.base import Base, Identified, Timestamped, linked, stored_enum, tenant_key
from webapp.models.clients import Client
from webapp.models.covers import Cover, CoveredHome, Trade
from webapp.models.identity import User
from webapp.models.operators import CoverOperator
from webapp.tenancy import OrganisationScoped


class ClaimStatus(StrEnum):
    """Where a claim file stands; see TRANSITIONS."""

    DECLARED = "declared"
    TO_REVIEW = "to_review"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    IN_PROGRESS = "in_progress"
    CLOSED = "closed"
    CANCELED = "canceled"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "declared": "Déclaré",
            "to_review": "À revoir",
            "accepted": "Accepté",
            "refused": "Refusé",
            "in_progress": "En cours",
            "closed": "Clos",
            "canceled": "Annulé",
        }[self.value]

    @property
    def is_open(self) -> bool:
        """Whether somebody still has something to do."""
        return self in OPEN


TRANSITIONS: dict[ClaimStatus, frozenset[ClaimStatus]] = {
    ClaimStatus.DECLARED: frozenset(
        {ClaimStatus.ACCEPTED, ClaimStatus.REFUSED, ClaimStatus.TO_REVIEW, ClaimStatus.CANCELED}
    ),
    ClaimStatus.TO_REVIEW: frozenset({ClaimStatus.ACCEPTED, ClaimStatus.REFUSED, ClaimStatus.CANCELED}),
    ClaimStatus.ACCEPTED: frozenset({ClaimStatus.IN_PROGRESS, ClaimStatus.TO_REVIEW, ClaimStatus.CANCELED}),
    ClaimStatus.REFUSED: frozenset({ClaimStatus.TO_REVIEW}),
    ClaimStatus.IN_PROGRESS: frozenset({ClaimStatus.CLOSED, ClaimStatus.TO_REVIEW, ClaimStatus.CANCELED}),
    ClaimStatus.CLOSED: frozenset({ClaimStatus.IN_PROGRESS}),
    ClaimStatus.CANCELED: frozenset(),
}
"""REFUSED goes to a person when it is contested; CLOSED goes on when it is reopened, within 90 days."""
OPEN = frozenset({ClaimStatus.DECLARED, ClaimStatus.TO_REVIEW, ClaimStatus.ACCEPTED, ClaimStatus.IN_PROGRESS})


REOPENED_WITHIN = timedelta(days=90)
"""How long after its end a file can go on."""


class WaitsFor(StrEnum):
    """Whose turn it is. States tell of us and of the operator; what the client still owes us, they do not."""

    US = "us"
    OPERATOR = "operator"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {"us": "Nous", "operator": "L’opérateur"}[self.value]


WAITING: dict[WaitsFor, frozenset[ClaimStatus]] = {
    WaitsFor.US: frozenset({ClaimStatus.DECLARED, ClaimStatus.TO_REVIEW}),
    WaitsFor.OPERATOR: frozenset({ClaimStatus.ACCEPTED, ClaimStatus.IN_PROGRESS}),
}
"""What is doubtful waits for us besides, whatever its state."""


class ClaimChannel(StrEnum):
    """How a claim reached us."""

    PHONE = "phone"
    EMAIL = "email"
    LETTER = "letter"
    OPERATOR = "operator"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {"phone": "Téléphone", "email": "E-mail", "letter": "Courrier", "operator": "Opérateur"}[self.value]


class ReportedState(StrEnum):
    """How a claim stands at the operator, as it says: what it does, not what we decide. CANCELED is for good."""

    DECLARED = "declared"
    IN_PROGRESS = "in_progress"
    CLOSED = "closed"
    CANCELED = "canceled"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {"declared": "Déclaré", "in_progress": "En cours", "closed": "Clos", "canceled": "Annulé"}[self.value]


class EntryKind(StrEnum):
    """What an entry of the claims ledger is about."""

    RESERVE = "reserve"
    COVERED = "covered"
    PAID = "paid"
    RECOVERED = "recovered"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "reserve": "Provision",
            "covered": "Pris en charge",
            "paid": "Payé",
            "recovered": "Récupéré",
        }[self.value]


class Claim(OrganisationScoped, Identified, Timestamped, Base):
    """A claim file. ``reference`` is what people say: DEP-2026-000123, with the year of its declaration.

    ``event_on`` and ``declared_on`` are local dates in Paris; ``event_at`` where the hour is known. ``asked``,
    ``covered``, ``deductible`` and ``over`` are of the decision that holds, in euros with tax; ``asked`` is empty while
    nobody knows. ``doubt`` says why an earlier decision would be another one by what is known now. ``words`` are
    the client's words. ``reserve_seen_at``: when somebody looked at the reserve last. ``version`` moves with every
    change, so that two people cannot overwrite each other. ``token``
    is of the form by which it was declared: pressed twice, it declares once.

    ``operator_id`` is who repairs, ``external_id`` what it calls the file, ``revision`` the greatest one of which we
    have heard, ``reported_state`` how it stands there, as told at ``reported_at``.
    """

    __tablename__ = "claims"
    __table_args__ = (
        UniqueConstraint("organisation_id", "reference"),
        Index(
            "uq_claims_external_id",
            "organisation_id",
            "operator_id",
            "external_id",
            unique=True,
            postgresql_where=text("external_id IS NOT NULL"),
        ),
        CheckConstraint("external_id IS NULL OR operator_id IS NOT NULL", name="external_ids_are_of_operators"),
        UniqueConstraint("organisation_id", "token"),
        CheckConstraint("asked BETWEEN 0 AND 1000000", name="asked"),
        CheckConstraint("covered >= 0 AND deductible >= 0 AND over >= 0", name="amounts_are_positive"),
        Index("ix_claims_cover", "organisation_id", "cover_id", "event_on"),
        Index("ix_claims_client", "organisation_id", "client_id", "declared_on"),
        Index("ix_claims_declared", "organisation_id", "declared_on", "id"),
        Index("ix_claims_status", "organisation_id", "status", "declared_on", "id"),
        Index("ix_claims_trade", "organisation_id", "trade", "declared_on", "id"),
        Index("ix_claims_doubt", "organisation_id", "declared_on", "id", postgresql_where=text("doubt IS NOT NULL")),
        tenant_key("cover_id", "covers", ondelete="RESTRICT"),
        tenant_key("client_id", "clients", ondelete="RESTRICT"),
        tenant_key("home_id", "covered_homes", ondelete="RESTRICT"),
        tenant_key("operator_id", "cover_operators", ondelete="RESTRICT"),
        tenant_key("created_by_id", "users", ondelete="SET NULL"),
    )

    reference: Mapped[str] = mapped_column(String(20))
    cover_id: Mapped[UUID]
    client_id: Mapped[UUID]
    home_id: Mapped[UUID | None]
    trade: Mapped[Trade] = mapped_column(stored_enum(Trade))
    event_on: Mapped[date]
    event_at: Mapped[datetime | None]
    declared_on: Mapped[date]
    channel: Mapped[ClaimChannel] = mapped_column(stored_enum(ClaimChannel))
    words: Mapped[str] = mapped_column(Text, default="", server_default="")
    status: Mapped[ClaimStatus] = mapped_column(stored_enum(ClaimStatus), default=ClaimStatus.DECLARED)
    asked: Mapped[Decimal | None] = mapped_column(Numeric(14, 2))
    covered: Mapped[Decimal] = mapped_column(Numeric(14, 2), default=Decimal(0), server_default="0")
    deductible: Mapped[Decimal] = mapped_column(Numeric(14, 2), default=Decimal(0), server_default="0")
    over: Mapped[Decimal] = mapped_column(Numeric(14, 2), default=Decimal(0), server_default="0")
    doubt: Mapped[str | None] = mapped_column(Text)
    closed_at: Mapped[datetime | None]
    reserve_seen_at: Mapped[datetime | None]
    changed_at: Mapped[datetime] = mapped_column(default=clock.now)
    version: Mapped[int] = mapped_column(default=1, server_default="1")
    token: Mapped[UUID | None]
    created_by_id: Mapped[UUID | None]
    operator_id: Mapped[UUID | None]
    external_id: Mapped[str | None] = mapped_column(String(100))
    revision: Mapped[int | None]
    reported_state: Mapped[ReportedState | None] = mapped_column(stored_enum(ReportedState))
    reported_at: Mapped[datetime | None]

    operator: Mapped[CoverOperator | None] = relationship(
        primaryjoin=lambda: linked(CoverOperator, Claim.operator_id), viewonly=True
    )
    cover: Mapped[Cover] = relationship(primaryjoin=lambda: linked(Cover, Claim.cover_id), viewonly=True)
    client: Mapped[Client] = relationship(primaryjoin=lambda: linked(Client, Claim.client_id), viewonly=True)
    home: Mapped[CoveredHome | None] = relationship(
        primaryjoin=lambda: linked(CoveredHome, Claim.home_id), viewonly=True
    )
    decisions: Mapped[list["ClaimDecision"]] = relationship(
        primaryjoin=lambda: linked(Claim, ClaimDecision.claim_id),
        order_by="ClaimDecision.at, ClaimDecision.id",
        viewonly=True,
    )
    entries: Mapped[list["ClaimEntry"]] = relationship(
        primaryjoin=lambda: linked(Claim, ClaimEntry.claim_id), order_by="ClaimEntry.at, ClaimEntry.id", viewonly=True
    )
    changes: Mapped[list["ClaimChange"]] = relationship(
        primaryjoin=lambda: linked(Claim, ClaimChange.claim_id),
        order_by="ClaimChange.at, ClaimChange.id",
        viewonly=True,
    )
    interventions: Mapped[list["ClaimIntervention"]] = relationship(
        primaryjoin=lambda: linked(Claim, ClaimIntervention.claim_id),
        order_by="ClaimIntervention.scheduled_at, ClaimIntervention.external_id",
        viewonly=True,
    )
    satisfaction: Mapped["ClaimSatisfaction | None"] = relationship(
        primaryjoin=lambda: linked(Claim, ClaimSatisfaction.claim_id), viewonly=True, uselist=False
    )

    @property
    def waits_for(self) -> WaitsFor | None:
        """Whose turn it is; None where nothing is left to do."""
        if self.doubt:
            return WaitsFor.US
        return next((each for each, statuses in WAITING.items() if self.status in statuses), None)

    def can_become(self, status: ClaimStatus) -> bool:
        """Whether the table of transitions leads from the present state to ``status``."""
        return status in TRANSITIONS[self.status]


class ClaimDecision(OrganisationScoped, Identified, Base):
    """A decision, stored whole: inputs, terms, lines (see services/covers/decisions). Only ever added to.

    ``user_id`` and ``reason`` are of the person who decided otherwise than the rules (``is_override``).
    """

    __tablename__ = "claim_decisions"
    __table_args__ = (
        Index("ix_claim_decisions_claim", "organisation_id", "claim_id", "at", "id"),
        CheckConstraint("NOT is_override OR reason IS NOT NULL", name="overrides_say_why"),
        tenant_key("claim_id", "claims", ondelete="RESTRICT"),
        tenant_key("user_id", "users", ondelete="SET NULL"),
    )

    claim_id: Mapped[UUID]
    at: Mapped[datetime] = mapped_column(default=clock.now)
    status: Mapped[ClaimStatus] = mapped_column(stored_enum(ClaimStatus))
    covered: Mapped[Decimal] = mapped_column(Numeric(14, 2))
    content: Mapped[dict[str, Any]] = mapped_column(JSONB)
    is_override: Mapped[bool] = mapped_column(default=False, server_default="false")
    reason: Mapped[str | None] = mapped_column(Text)
    user_id: Mapped[UUID | None]

    user: Mapped[User | None] = relationship(primaryjoin=lambda: linked(User, ClaimDecision.user_id), viewonly=True)


class ClaimEntry(OrganisationScoped, Identified, Base):
    """One entry of the ledger of claims; a correction is a further one, with its sign. Only ever added to.

    COVERED and what follows from it are counted in the cover year of ``event_on``, the claim's. ``option_code`` is the
    option by which it is covered; ``draws_on_main`` where it is part of the plan's yearly cap, ``counts`` where it is
    one of the claims per year. A RESERVE is what the claim is still expected to cost: entries are its changes.
    """

    __tablename__ = "claim_entries"
    __table_args__ = (
        Index("ix_claim_entries_claim", "organisation_id", "claim_id", "at", "id"),
        Index("ix_claim_entries_cover", "organisation_id", "cover_id", "kind", "event_on"),
        tenant_key("claim_id", "claims", ondelete="RESTRICT"),
        tenant_key("cover_id", "covers", ondelete="RESTRICT"),
        tenant_key("decision_id", "claim_decisions", ondelete="RESTRICT"),
        tenant_key("user_id", "users", ondelete="SET NULL"),
    )

    claim_id: Mapped[UUID]
    cover_id: Mapped[UUID]
    decision_id: Mapped[UUID | None]
    kind: Mapped[EntryKind] = mapped_column(stored_enum(EntryKind))
    amount: Mapped[Decimal] = mapped_column(Numeric(14, 2))
    event_on: Mapped[date]
    option_code: Mapped[str | None] = mapped_column(String(30))
    draws_on_main: Mapped[bool] = mapped_column(default=True, server_default="true")
    counts: Mapped[bool] = mapped_column(default=True, server_default="true")
    holds_place: Mapped[bool] = mapped_column(default=False, server_default="false")
    note: Mapped[str | None] = mapped_column(String(300))
    at: Mapped[datetime] = mapped_column(default=clock.now)
    user_id: Mapped[UUID | None]

    user: Mapped[User | None] = relationship(primaryjoin=lambda: linked(User, ClaimEntry.user_id), viewonly=True)


class ClaimChange(OrganisationScoped, Identified, Base):
    """A change of a claim's state: old → new, when, who, why. Only ever added to; ``old_status`` is empty at first."""

    __tablename__ = "claim_changes"
    __table_args__ = (
        Index("ix_claim_changes_claim", "organisation_id", "claim_id", "at", "id"),
        tenant_key("claim_id", "claims", ondelete="RESTRICT"),
        tenant_key("user_id", "users", ondelete="SET NULL"),
    )

    claim_id: Mapped[UUID]
    old_status: Mapped[ClaimStatus | None] = mapped_column(stored_enum(ClaimStatus))
    new_status: Mapped[ClaimStatus] = mapped_column(stored_enum(ClaimStatus))
    reason: Mapped[str | None] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(default=clock.now)
    user_id: Mapped[UUID | None]

    user: Mapped[User | None] = relationship(primaryjoin=lambda: linked(User, ClaimChange.user_id), viewonly=True)


class ClaimIntervention(OrganisationScoped, Identified, Base):
    """A visit of a craftsman, as the operator says: ``done_at`` is empty until it took place; ``note`` is its words."""

    __tablename__ = "claim_interventions"
    __table_args__ = (
        UniqueConstraint("organisation_id", "claim_id", "external_id"),
        tenant_key("claim_id", "claims", ondelete="RESTRICT"),
    )

    claim_id: Mapped[UUID]
    external_id: Mapped[str] = mapped_column(String(100))
    scheduled_at: Mapped[datetime | None]
    done_at: Mapped[datetime | None]
    craftsman: Mapped[str] = mapped_column(String(200), default="", server_default="")
    note: Mapped[str] = mapped_column(Text, default="", server_default="")


class ClaimSatisfaction(OrganisationScoped, Identified, Base):
    """What a client answered when the operator asked how it was: ``score`` from 0 to 10, and perhaps a comment.

    One for each claim: the latest answer.
    """

    __tablename__ = "claim_satisfactions"
    __table_args__ = (
        UniqueConstraint("organisation_id", "claim_id"),
        CheckConstraint("score BETWEEN 0 AND 10", name="score"),
        Index("ix_claim_satisfactions_answered", "organisation_id", "answered_at"),
        Index("ix_claim_satisfactions_client", "organisation_id", "client_id", "answered_at"),
        tenant_key("claim_id", "claims", ondelete="RESTRICT"),
        tenant_key("client_id", "clients", ondelete="RESTRICT"),
    )

    claim_id: Mapped[UUID]
    client_id: Mapped[UUID]
    score: Mapped[int] = mapped_column(SmallInteger)
    comment: Mapped[str] = mapped_column(Text, default="", server_default="")
    answered_at: Mapped[datetime]


class ClaimSettings(OrganisationScoped, Base):
    """How an organisation keeps reserves: what a claim of a trade usually costs (trade → euros, as text), and after how
    many days a reserve is looked at again. Without a row, or a trade in it, what is usual is in the code.
    """

    __tablename__ = "claim_settings"
    __table_args__ = (
        CheckConstraint("review_days BETWEEN 1 AND 365", name="review_days"),
        tenant_key("changed_by_id", "users", ondelete="SET NULL"),
    )

    review_days: Mapped[int]
    usual_costs: Mapped[dict[str, str]] = mapped_column(JSONB, default=dict, server_default="{}")
    changed_at: Mapped[datetime] = mapped_column(default=clock.now)
    changed_by_id: Mapped[UUID | None]


class ClaimCounter(OrganisationScoped, Base):
    """The last number given to a claim of a year: references are unique; a canceled one may leave a gap."""

    __tablename__ = "claim_counters"

    year: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    last: Mapped[int]
