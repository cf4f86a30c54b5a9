"""Dunning (relances): sequences of steps, the cases they are carried out on, and what each case holds."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Numeric, String, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp import clock
from webapp.models.base import Base, Identified, Numbered, Timestamped, linked, stored_enum, tenant_key
from webapp.models.charges import Charge
from webapp.models.clients import Client
from webapp.models.identity import User
from webapp.models.organisations import Company
from webapp.tenancy import OrganisationScoped


class CaseStatus(StrEnum):
    """Where a case stands; see TRANSITIONS."""

    OPEN = "open"
    PAUSED = "paused"
    PAID = "paid"
    WRITTEN_OFF = "written_off"
    HANDED_OVER = "handed_over"
    TERMINATED = "terminated"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "open": "En relance",
            "paused": "En pause",
            "paid": "Soldé",
            "written_off": "Passé en perte",
            "handed_over": "Au contentieux",
            "terminated": "Résilié, somme due",
        }[self.value]

    @property
    def is_living(self) -> bool:
        """Whether steps are still carried out on it, now or after a pause."""
        return self in LIVING


LIVING = frozenset({CaseStatus.OPEN, CaseStatus.PAUSED})
OWED = frozenset({CaseStatus.OPEN, CaseStatus.PAUSED, CaseStatus.HANDED_OVER, CaseStatus.TERMINATED})
"""States in which the client still owes what the case holds."""
_ENDS = frozenset({CaseStatus.PAID, CaseStatus.WRITTEN_OFF, CaseStatus.HANDED_OVER, CaseStatus.TERMINATED})
# That the client has paid is a fact, whatever we had given up; a paid case stays so, and what fails later is another's.
TRANSITIONS: dict[CaseStatus, frozenset[CaseStatus]] = {
    CaseStatus.OPEN: _ENDS | {CaseStatus.PAUSED},
    CaseStatus.PAUSED: _ENDS | {CaseStatus.OPEN},
    CaseStatus.TERMINATED: frozenset({CaseStatus.PAID, CaseStatus.WRITTEN_OFF, CaseStatus.HANDED_OVER}),
    CaseStatus.HANDED_OVER: frozenset({CaseStatus.PAID, CaseStatus.WRITTEN_OFF}),
    CaseStatus.WRITTEN_OFF: frozenset({CaseStatus.PAID}),
    CaseStatus.PAID: frozenset(),
}


class PauseReason(StrEnum):
    """Why no step is carried out on a case for now."""

    PROMISE = "promise"
    PLAN = "plan"
    DISPUTE = "dispute"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {"promise": "Promesse de paiement", "plan": "Échéancier", "dispute": "Contestation"}[self.value]


class StepAction(StrEnum):
    """What a step does. RESUME stands in no sequence: it follows from the payment, and is noted as a step."""

    EMAIL = "email"
    SMS = "sms"
    LETTER = "letter"
    TASK = "task"
    SUSPEND = "suspend"
    RESUME = "resume"
    TERMINATE = "terminate"
    HANDOVER = "handover"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "email": "E-mail",
            "sms": "SMS",
            "letter": "Lettre",
            "task": "Tâche",
            "suspend": "Suspension",
            "resume": "Reprise",
            "terminate": "Résiliation",
            "handover": "Remise au contentieux",
        }[self.value]

    @property
    def is_message(self) -> bool:
        """Whether all it does is to write to the client."""
        return self in MESSAGES


MESSAGES = frozenset({StepAction.EMAIL, StepAction.SMS, StepAction.LETTER})


class StepOutcome(StrEnum):
    """What became of a step."""

    DONE = "done"
    PASSED_OVER = "passed_over"
    SKIPPED = "skipped"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {"done": "Faite", "passed_over": "Sans objet", "skipped": "Passée"}[self.value]


class ClaimOutcome(StrEnum):
    """How a claim left its case."""

    PAID = "paid"
    CREDITED = "credited"
    REPLACED = "replaced"
    WRITTEN_OFF = "written_off"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "paid": "Payée",
            "credited": "Créditée ou abandonnée",
            "replaced": "Remplacée par un échéancier",
            "written_off": "Passée en perte",
        }[self.value]


class DunningSequence(OrganisationScoped, Identified, Timestamped, Base):
    """One version of a sequence of steps. A version never changes: another takes its place, at ``replaced_at``.

    It is for the cases of ``company_id`` and of ``product_category``, the product family; empty: of all.
    ``is_insurance`` where article L113-3 of the insurance code rules its days.
    """

    __tablename__ = "dunning_sequences"
    __table_args__ = (
        UniqueConstraint(
            "organisation_id",
            "company_id",
            "product_category",
            "version",
            name="uq_dunning_sequences_version",
            postgresql_nulls_not_distinct=True,
        ),
        Index(
            "uq_dunning_sequences_current",
            "organisation_id",
            "company_id",
            "product_category",
            unique=True,
            postgresql_where=text("replaced_at IS NULL"),
            postgresql_nulls_not_distinct=True,
        ),
        CheckConstraint("version > 0", name="versions_begin_at_one"),
        tenant_key("company_id", "companies", ondelete="RESTRICT"),
        tenant_key("created_by_id", "users", ondelete="SET NULL"),
    )

    company_id: Mapped[UUID | None]
    product_category: Mapped[str | None] = mapped_column(String(100))
    name: Mapped[str] = mapped_column(String(100))
    is_insurance: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    version: Mapped[int] = mapped_column(default=1, server_default="1")
    replaced_at: Mapped[datetime | None]
    created_by_id: Mapped[UUID | None]

    steps: Mapped[list["DunningSequenceStep"]] = relationship(
        primaryjoin=lambda: linked(DunningSequence, DunningSequenceStep.sequence_id),
        order_by="DunningSequenceStep.position",
        viewonly=True,
    )
    company: Mapped[Company | None] = relationship(
        primaryjoin=lambda: linked(Company, DunningSequence.company_id), viewonly=True
    )


class DunningSequenceStep(OrganisationScoped, Identified, Base):
    """One step of a version: ``day`` days after the first refusal or the due date, calendar or working ones.

    It is carried out only where at least ``minimum_amount`` (with tax) is owed. ``title`` is what a task says. A
    message that ``asks_means`` brings the link by which the client pays what is longest unpaid, or gives another means.
    """

    __tablename__ = "dunning_sequence_steps"
    __table_args__ = (
        UniqueConstraint("organisation_id", "sequence_id", "position"),
        CheckConstraint("day BETWEEN 0 AND 1000", name="day_within_years"),
        CheckConstraint("minimum_amount >= 0", name="minimum_is_positive"),
        CheckConstraint("action <> 'resume'", name="resume_follows_from_payment"),
        tenant_key("sequence_id", "dunning_sequences"),
    )

    sequence_id: Mapped[UUID]
    position: Mapped[int]
    day: Mapped[int]
    in_working_days: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    action: Mapped[StepAction] = mapped_column(stored_enum(StepAction))
    message_kind: Mapped[str | None] = mapped_column(String(32))
    minimum_amount: Mapped[Decimal] = mapped_column(Numeric(14, 2), default=Decimal(0), server_default="0")
    title: Mapped[str] = mapped_column(String(200), default="", server_default="")
    asks_means: Mapped[bool] = mapped_column(default=False, server_default=text("false"))


class DunningCase(OrganisationScoped, Identified, Timestamped, Numbered, Base):
    """What one client owes one company, and how far the steps have come: at most one that is open or paused.

    Steps count from ``since``, the day of the oldest first refusal or due date of its ``round``, and wait
    ``paused_days`` longer. A round ends when all that its messages claimed is settled; what is left begins another,
    from its own day. ``amount`` is what is owed, with tax. ``next_on`` is the day on which ``next_step_id`` is looked
    at; empty where nothing comes by itself. Paused for ``pause_reason`` since ``paused_on``, a promise until
    ``pause_until``.
    """

    LETTER = "I"

    __tablename__ = "dunning_cases"
    __table_args__ = (
        UniqueConstraint("organisation_id", "number"),
        Index(
            "uq_dunning_cases_living",
            "organisation_id",
            "client_id",
            "company_id",
            unique=True,
            postgresql_where=text("status IN ('open', 'paused')"),
        ),
        CheckConstraint("(status = 'paused') = (pause_reason IS NOT NULL)", name="paused_for_a_reason"),
        CheckConstraint("(closed_at IS NULL) = (status IN ('open', 'paused'))", name="closed_once"),
        CheckConstraint("next_on IS NULL OR status = 'open'", name="only_open_ones_go_on"),
        CheckConstraint("amount >= 0 AND paused_days >= 0 AND round > 0", name="numbers_are_positive"),
        # What was carried out leaves the index's front: finding the day's steps costs the same however many cases wait.
        Index(
            "ix_dunning_cases_due",
            "organisation_id",
            "next_on",
            "id",
            postgresql_where=text("next_on IS NOT NULL"),
        ),
        Index("ix_dunning_cases_status", "organisation_id", "status", "since", "id"),
        Index("ix_dunning_cases_client", "organisation_id", "client_id", "id"),
        Index("ix_dunning_cases_pause", "pause_until", postgresql_where=text("pause_until IS NOT NULL")),
        tenant_key("client_id", "clients", ondelete="RESTRICT"),
        tenant_key("company_id", "companies", ondelete="RESTRICT"),
        tenant_key("sequence_id", "dunning_sequences", ondelete="RESTRICT"),
        tenant_key("next_step_id", "dunning_sequence_steps", ondelete="RESTRICT"),
    )

    client_id: Mapped[UUID]
    company_id: Mapped[UUID]
    sequence_id: Mapped[UUID]
    status: Mapped[CaseStatus] = mapped_column(stored_enum(CaseStatus), default=CaseStatus.OPEN)
    round: Mapped[int] = mapped_column(default=1, server_default="1")
    since: Mapped[date]
    paused_days: Mapped[int] = mapped_column(default=0, server_default="0")
    pause_reason: Mapped[PauseReason | None] = mapped_column(stored_enum(PauseReason))
    paused_on: Mapped[date | None]
    pause_until: Mapped[date | None]
    pause_note: Mapped[str | None] = mapped_column(Text)
    amount: Mapped[Decimal] = mapped_column(Numeric(14, 2), default=Decimal(0), server_default="0")
    currency: Mapped[str] = mapped_column(String(3), default="EUR", server_default="EUR")
    next_on: Mapped[date | None]
    next_step_id: Mapped[UUID | None]
    closed_at: Mapped[datetime | None]

    client: Mapped[Client] = relationship(primaryjoin=lambda: linked(Client, DunningCase.client_id), viewonly=True)
    company: Mapped[Company] = relationship(primaryjoin=lambda: linked(Company, DunningCase.company_id), viewonly=True)
    next_step: Mapped[DunningSequenceStep | None] = relationship(
        primaryjoin=lambda: linked(DunningSequenceStep, DunningCase.next_step_id), viewonly=True
    )

    def can_become(self, status: CaseStatus) -> bool:
        """Whether the table of transitions leads from the present state to ``status``."""
        return status in TRANSITIONS[self.status]


class DunningClaim(OrganisationScoped, Identified, Base):
    """A charge that a case holds, from ``joined_at`` to ``left_at``; held by one case at a time.

    It is unpaid since the day ``since``. ``round`` is the first round whose steps claimed it, empty before. ``amount``
    is what was owed of it last; ``after_step_id`` is the last step that was carried out before it was settled.
    """

    __tablename__ = "dunning_claims"
    __table_args__ = (
        Index(
            "uq_dunning_claims_held",
            "organisation_id",
            "charge_id",
            unique=True,
            postgresql_where=text("left_at IS NULL"),
        ),
        CheckConstraint("(left_at IS NULL) = (outcome IS NULL)", name="leaves_with_an_outcome"),
        Index("ix_dunning_claims_case", "organisation_id", "case_id", "id"),
        Index(
            "ix_dunning_claims_held_since",
            "organisation_id",
            "since",
            "id",
            postgresql_where=text("left_at IS NULL"),
        ),
        Index(
            "ix_dunning_claims_left",
            "organisation_id",
            "left_at",
            "id",
            postgresql_where=text("left_at IS NOT NULL"),
        ),
        tenant_key("case_id", "dunning_cases", ondelete="RESTRICT"),
        tenant_key("charge_id", "charges", ondelete="RESTRICT"),
        tenant_key("after_step_id", "dunning_steps", ondelete="RESTRICT"),
    )

    case_id: Mapped[UUID]
    charge_id: Mapped[UUID]
    since: Mapped[date]
    amount: Mapped[Decimal] = mapped_column(Numeric(14, 2))
    round: Mapped[int | None]
    is_noticed: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    joined_at: Mapped[datetime] = mapped_column(default=clock.now)
    left_at: Mapped[datetime | None]
    outcome: Mapped[ClaimOutcome | None] = mapped_column(stored_enum(ClaimOutcome))
    after_step_id: Mapped[UUID | None]

    charge: Mapped[Charge] = relationship(primaryjoin=lambda: linked(Charge, DunningClaim.charge_id), viewonly=True)
    case: Mapped[DunningCase] = relationship(
        primaryjoin=lambda: linked(DunningCase, DunningClaim.case_id), viewonly=True
    )


class DunningStep(OrganisationScoped, Identified, Base):
    """What became of one step of a case in one of its rounds: once, whoever looks how often.

    ``step_id`` is the step of the sequence, empty for what stands in none (RESUME). ``amount`` is what was claimed.
    """

    __tablename__ = "dunning_steps"
    __table_args__ = (
        UniqueConstraint("organisation_id", "case_id", "round", "step_id", name="uq_dunning_steps_once_a_round"),
        Index("ix_dunning_steps_case", "organisation_id", "case_id", "at"),
        tenant_key("case_id", "dunning_cases", ondelete="RESTRICT"),
        tenant_key("step_id", "dunning_sequence_steps", ondelete="RESTRICT"),
        tenant_key("message_id", "messages", ondelete="RESTRICT"),
        tenant_key("user_id", "users", ondelete="SET NULL"),
    )

    case_id: Mapped[UUID]
    round: Mapped[int]
    step_id: Mapped[UUID | None]
    action: Mapped[StepAction] = mapped_column(stored_enum(StepAction))
    outcome: Mapped[StepOutcome] = mapped_column(stored_enum(StepOutcome))
    planned_on: Mapped[date]
    at: Mapped[datetime]
    amount: Mapped[Decimal] = mapped_column(Numeric(14, 2), default=Decimal(0), server_default="0")
    reason: Mapped[str | None] = mapped_column(Text)
    message_id: Mapped[UUID | None]
    user_id: Mapped[UUID | None]

    user: Mapped[User | None] = relationship(primaryjoin=lambda: linked(User, DunningStep.user_id), viewonly=True)
    step: Mapped[DunningSequenceStep | None] = relationship(
        primaryjoin=lambda: linked(DunningSequenceStep, DunningStep.step_id), viewonly=True
    )


class DunningInstalment(OrganisationScoped, Identified, Timestamped, Base):
    """One instalment of a plan: asked for as a charge of its own (``charge_id``) on ``due_on``, and not before.

    ``plan`` counts the plans of the case. ``vat`` (``[{rate, base, tax}]``) is its part of what the plan replaced,
    which was for the days from ``period_start`` to ``period_end`` (excluded).
    """

    __tablename__ = "dunning_instalments"
    __table_args__ = (
        UniqueConstraint("organisation_id", "case_id", "plan", "position", "subscription_id"),
        CheckConstraint("amount > 0", name="amount_is_positive"),
        CheckConstraint("charge_id IS NULL OR canceled_at IS NULL", name="asked_or_canceled"),
        Index(
            "ix_dunning_instalments_due",
            "organisation_id",
            "due_on",
            "id",
            postgresql_where=text("charge_id IS NULL AND canceled_at IS NULL"),
        ),
        tenant_key("case_id", "dunning_cases", ondelete="RESTRICT"),
        tenant_key("subscription_id", "subscriptions", ondelete="RESTRICT"),
        tenant_key("charge_id", "charges", ondelete="RESTRICT"),
    )

    case_id: Mapped[UUID]
    plan: Mapped[int]
    position: Mapped[int]
    subscription_id: Mapped[UUID]
    due_on: Mapped[date]
    period_start: Mapped[date]
    period_end: Mapped[date]
    amount: Mapped[Decimal] = mapped_column(Numeric(14, 2))
    vat: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    charge_id: Mapped[UUID | None]
    canceled_at: Mapped[datetime | None]


class DunningSuspension(OrganisationScoped, Identified, Base):
    """A subscription that dunning has paused for a case, from ``suspended_at`` to ``ended_at``: nothing is covered
    between.

    It is resumed at ``resume_at``, once that is known; it also ends where a person resumes or ends the subscription.
    """

    __tablename__ = "dunning_suspensions"
    __table_args__ = (
        Index(
            "uq_dunning_suspensions_standing",
            "organisation_id",
            "subscription_id",
            unique=True,
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index("ix_dunning_suspensions_case", "organisation_id", "case_id"),
        Index(
            "ix_dunning_suspensions_resume",
            "resume_at",
            postgresql_where=text("resume_at IS NOT NULL AND ended_at IS NULL"),
        ),
        tenant_key("case_id", "dunning_cases", ondelete="RESTRICT"),
        tenant_key("subscription_id", "subscriptions", ondelete="RESTRICT"),
    )

    case_id: Mapped[UUID]
    round: Mapped[int]
    subscription_id: Mapped[UUID]
    suspended_at: Mapped[datetime]
    resume_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
