"""Reading cases: the list, one with all that belongs to it, what a client is told to owe."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, aliased, joinedload, undefer

from webapp import tenancy
from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.models.base import linked, read_code
from webapp.models.charges import Charge
from webapp.models.clients import Client
from webapp.models.dunning import (
    LIVING,
    OWED,
    CaseStatus,
    ClaimOutcome,
    DunningCase,
    DunningClaim,
    DunningSequenceStep,
    DunningStep,
    PauseReason,
    StepAction,
)
from webapp.models.messages import AWAITS_PERSON, HAS_LEFT, Channel, Message, MessageKind, MessageStatus
from webapp.models.organisations import Company
from webapp.services import keyset
from webapp.services.clients.search import found_by
from webapp.services.keyset import Order, Position

PAGE_SIZE = 50
NOTHING = Decimal("0.00")
CASE_OF_CLAIM = aliased(DunningCase)
"""The case of a claim: conditions on claims look cases up themselves."""


class CaseGroup(StrEnum):
    """The cases that are shown together, as the address says them."""

    TO_DO = "a-traiter"
    OPEN = "en-relance"
    PAUSED = "en-pause"
    HANDED_OVER = "contentieux"
    TERMINATED = "resilies"
    PAID = "soldes"
    WRITTEN_OFF = "en-perte"
    ALL = "tous"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "a-traiter": "À traiter aujourd’hui",
            "en-relance": "En relance",
            "en-pause": "En pause",
            "contentieux": "Au contentieux",
            "resilies": "Résiliés",
            "soldes": "Soldés",
            "en-perte": "Passés en perte",
            "tous": "Tous",
        }[self.value]


_STATUS_OF = {
    CaseGroup.OPEN: CaseStatus.OPEN,
    CaseGroup.PAUSED: CaseStatus.PAUSED,
    CaseGroup.HANDED_OVER: CaseStatus.HANDED_OVER,
    CaseGroup.TERMINATED: CaseStatus.TERMINATED,
    CaseGroup.PAID: CaseStatus.PAID,
    CaseGroup.WRITTEN_OFF: CaseStatus.WRITTEN_OFF,
}


class CaseOrder(Order):
    """The orders of the list of cases."""

    AGE = "depuis"
    LATEST = "-depuis"
    AMOUNT = "montant"
    LARGEST = "-montant"


class Age(StrEnum):
    """How many days something is unpaid, as the address says it."""

    MONTH = "0-30"
    TWO_MONTHS = "31-60"
    THREE_MONTHS = "61-90"
    OLDER = "91"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "0-30": "0 à 30 jours",
            "31-60": "31 à 60 jours",
            "61-90": "61 à 90 jours",
            "91": "Plus de 90 jours",
        }[self.value]

    @property
    def days(self) -> tuple[int, int | None]:
        """From how many days, to how many."""
        first, _, last = self.value.partition("-")
        return int(first), int(last) if last else None


@dataclass(frozen=True, kw_only=True)
class CasesView:
    """Which cases are shown. ``commercial_ids`` narrows them to the clients of these commercials; None: of all.

    ``search`` is for the number of a case, or for words over clients. ``step`` is the action of the step that is next.
    """

    group: CaseGroup = CaseGroup.TO_DO
    search: str = ""
    step: StepAction | None = None
    company_id: UUID | None = None
    client_id: UUID | None = None
    commercial_ids: frozenset[UUID] | None = None
    order: CaseOrder = CaseOrder.AGE
    cursor: str | None = None

    @property
    def is_narrowed(self) -> bool:
        """Whether a search or a filter leaves something out, besides the group."""
        return bool(self.search or self.step or self.company_id or self.client_id)


def list_cases(view: CasesView, *, today: date, size: int = PAGE_SIZE) -> keyset.Page[DunningCase]:
    """The cases of the view, each with its client, company and next step."""
    statement = (
        select(DunningCase)
        .where(*_conditions(view), _of_group(view.group, today))
        .options(joinedload(DunningCase.client), joinedload(DunningCase.company), joinedload(DunningCase.next_step))
    )
    is_by_age = view.order.ascending is CaseOrder.AGE
    key = DunningCase.since if is_by_age else DunningCase.amount
    kind: type[date] | type[Decimal] = date if is_by_age else Decimal

    def read(start: Position | None) -> Sequence[DunningCase]:
        page = keyset.cut(statement, [key, DunningCase.id], start, is_descending=view.order.is_descending, size=size)
        return db.session.scalars(page).all()

    def place(case: DunningCase) -> tuple[date | Decimal, UUID]:
        return (case.since if is_by_age else case.amount), case.id

    start = keyset.decode(view.cursor, sort=view.order.value, kind=kind)
    return keyset.page(read, start, place=place, sort=view.order.value, size=size)


def select_all(view: CasesView, *, today: date) -> Select[*tuple[Any, ...]]:
    """Every case of a view in its order, joined with clients, companies and next steps: an export adds the columns."""
    key = DunningCase.since if view.order.ascending is CaseOrder.AGE else DunningCase.amount
    statement = (
        select(DunningCase.id)
        .join(Client, linked(Client, DunningCase.client_id))
        .join(Company, linked(Company, DunningCase.company_id))
        .outerjoin(DunningSequenceStep, linked(DunningSequenceStep, DunningCase.next_step_id))
        .where(*_conditions(view), _of_group(view.group, today))
    )
    order: tuple[InstrumentedAttribute[Any], ...] = (key, DunningCase.id)
    return statement.order_by(*(each.desc() if view.order.is_descending else each for each in order))


def count_groups(view: CasesView, *, today: date) -> dict[CaseGroup, tuple[int, Decimal]]:
    """How many cases of the view each group has, and what they owe."""
    number, amount = func.count(), func.coalesce(func.sum(DunningCase.amount), 0)
    ours = DunningCase.organisation_id == tenancy.current_organisation_id()
    by_status = dict.fromkeys(CaseStatus, (0, Decimal(0)))
    statement = select(DunningCase.status, number.label("number"), amount.label("amount"))
    for row in db.session.execute(statement.where(ours, *_conditions(view)).group_by(DunningCase.status)):
        by_status[row.status] = row.number, row.amount
    to_do = db.session.execute(
        select(number.label("number"), amount.label("amount"))
        .select_from(DunningCase)
        .where(ours, *_conditions(view), _of_group(CaseGroup.TO_DO, today))
    ).one()
    counts = {group: by_status[status] for group, status in _STATUS_OF.items()}
    counts[CaseGroup.TO_DO] = to_do.number, to_do.amount
    counts[CaseGroup.ALL] = (
        sum(each[0] for each in by_status.values()),
        sum((each[1] for each in by_status.values()), Decimal(0)),
    )
    return counts


def _of_group(group: CaseGroup, today: date) -> ColumnElement[bool]:
    """What is to be looked at today: a step or a promise whose day has come, a dispute, a message that waits for
    somebody.
    """
    if group is CaseGroup.ALL:
        return DunningCase.organisation_id.is_not(None)
    if group is not CaseGroup.TO_DO:
        return DunningCase.status == _STATUS_OF[group]
    waits = exists().where(
        Message.organisation_id == DunningCase.organisation_id,
        Message.subject_id == DunningCase.id,
        or_(
            Message.status.in_(AWAITS_PERSON),
            and_(Message.status == MessageStatus.QUEUED, Message.channel == Channel.LETTER),
        ),
    )
    return and_(
        DunningCase.status.in_(LIVING),
        or_(
            DunningCase.next_on <= today,
            DunningCase.pause_until <= today,
            DunningCase.pause_reason == PauseReason.DISPUTE,
            waits,
        ),
    )


def _conditions(view: CasesView) -> list[ColumnElement[bool]]:
    conditions = _matches(view.search)
    if view.step is not None:
        conditions.append(
            exists()
            .where(linked(DunningSequenceStep, DunningCase.next_step_id), DunningSequenceStep.action == view.step)
            .correlate(DunningCase)
        )
    if view.company_id is not None:
        conditions.append(DunningCase.company_id == view.company_id)
    if view.client_id is not None:
        conditions.append(DunningCase.client_id == view.client_id)
    if view.commercial_ids is not None:
        conditions.append(_is_of(view.commercial_ids))
    return conditions


def _is_of(commercial_ids: frozenset[UUID]) -> ColumnElement[bool]:
    """Whether a case's client is one of these commercials'."""
    is_theirs = linked(Client, DunningCase.client_id), Client.commercial_id.in_(commercial_ids)
    return exists().where(*is_theirs).correlate(DunningCase)


def _matches(search: str) -> list[ColumnElement[bool]]:
    code = read_code(search)
    if code and code.letter == DunningCase.LETTER:
        return [DunningCase.number == code.number]
    if not (matches := found_by(search)):
        return []
    return [exists().where(linked(Client, DunningCase.client_id), *matches).correlate(DunningCase)]


def find_case(case_id: UUID, *, commercial_ids: frozenset[UUID] | None = None) -> DunningCase:
    """A case with its client, company and next step; of the clients of these commercials alone. Raises
    NotFoundError.
    """
    statement = select(DunningCase).where(DunningCase.id == case_id)
    if commercial_ids is not None:
        statement = statement.where(_is_of(commercial_ids))
    options = (joinedload(DunningCase.client), joinedload(DunningCase.company), joinedload(DunningCase.next_step))
    case = db.session.scalar(statement.options(*options).execution_options(populate_existing=True))
    if case is None:
        raise NotFoundError("Ce dossier n’existe pas ou plus.")
    return case


def list_claims(case_id: UUID) -> Sequence[DunningClaim]:
    """What a case holds and held, the longest unpaid first, each with its charge and that one's attempts."""
    statement = (
        select(DunningClaim)
        .where(DunningClaim.case_id == case_id)
        .order_by(DunningClaim.left_at.is_not(None), DunningClaim.since, DunningClaim.id)
        .options(joinedload(DunningClaim.charge).selectinload(Charge.attempts))
    )
    return db.session.scalars(statement).all()


def list_messages(case_id: UUID, *, with_words: bool = False) -> Sequence[Message]:
    """What was written about a case, the first first; ``with_words`` where they are read, with the address."""
    statement = select(Message).where(Message.subject_id == case_id)
    if with_words:
        statement = statement.options(undefer(Message.content), undefer(Message.to))
    return db.session.scalars(statement.order_by(Message.id)).all()


class ClaimsView(NamedTuple):
    """Which claims a figure is made of: held ones of an age, or those that were paid after a step, from a day to
    another.

    ``action`` names the step; with ``is_before_any`` those that were paid before any.
    """

    age: Age | None = None
    is_recovered: bool = False
    action: StepAction | None = None
    is_before_any: bool = False
    since: date | None = None
    until: date | None = None
    commercial_ids: frozenset[UUID] | None = None
    cursor: str | None = None


def claims_of(view: ClaimsView, *, today: date) -> list[ColumnElement[bool]]:
    """What a claim of the view must meet. Figures and the rows behind them come from here alike."""
    ours = [DunningClaim.organisation_id == tenancy.current_organisation_id()]
    if view.is_recovered:
        conditions = [*ours, *_recovered(view)]
    else:
        conditions = [
            *ours,
            DunningClaim.left_at.is_(None),
            exists().where(linked(DunningCase, DunningClaim.case_id), DunningCase.status.in_(OWED)),
        ]
        if view.age is not None:
            conditions.append(is_aged(view.age, today))
    if view.commercial_ids is not None:
        conditions.append(
            exists().where(linked(DunningCase, DunningClaim.case_id), _is_of(view.commercial_ids)),
        )
    return conditions


def is_aged(age: Age, today: date) -> ColumnElement[bool]:
    """Whether a claim is unpaid for so many days."""
    first, last = age.days
    days: Any = today - DunningClaim.since
    lower = days >= first if first else DunningClaim.since.is_not(None)
    return and_(lower, days <= last) if last is not None else lower


def _recovered(view: ClaimsView) -> list[ColumnElement[bool]]:
    local_day: Any = func.date(func.timezone("Europe/Paris", DunningClaim.left_at))
    conditions: list[ColumnElement[bool]] = [DunningClaim.outcome == ClaimOutcome.PAID]
    if view.since is not None:
        conditions.append(local_day >= view.since)
    if view.until is not None:
        conditions.append(local_day <= view.until)
    if view.is_before_any:
        conditions.append(DunningClaim.after_step_id.is_(None))
    elif view.action is not None:
        conditions.append(
            exists().where(linked(DunningStep, DunningClaim.after_step_id), DunningStep.action == view.action)
        )
    return conditions


def list_claims_of(view: ClaimsView, *, today: date, size: int = PAGE_SIZE) -> keyset.Page[DunningClaim]:
    """The claims behind a figure, the longest unpaid first, each with its charge, client and case."""
    statement = (
        select(DunningClaim)
        .where(*claims_of(view, today=today))
        .options(
            joinedload(DunningClaim.charge).joinedload(Charge.client),
            joinedload(DunningClaim.case),
        )
    )

    def read(start: Position | None) -> Sequence[DunningClaim]:
        page = keyset.cut(statement, [DunningClaim.since, DunningClaim.id], start, is_descending=False, size=size)
        return db.session.scalars(page).all()

    start = keyset.decode(view.cursor, sort="depuis", kind=date)
    return keyset.page(read, start, place=lambda each: (each.since, each.id), sort="depuis", size=size)


def select_all_claims(view: ClaimsView, *, today: date) -> Select[*tuple[Any, ...]]:
    """Every claim of a view in that order, joined with charges, clients and cases: an export adds the columns."""
    return (
        select(DunningClaim.id)
        .join(Charge, linked(Charge, DunningClaim.charge_id))
        .join(Client, linked(Client, Charge.client_id))
        .join(CASE_OF_CLAIM, linked(CASE_OF_CLAIM, DunningClaim.case_id))
        .where(*claims_of(view, today=today))
        .order_by(DunningClaim.since, DunningClaim.id)
    )


def sum_claims(view: ClaimsView, *, today: date) -> tuple[int, Decimal]:
    """How many claims the view has, and what they come to."""
    view = view._replace(cursor=None)
    statement = select(
        func.count().label("number"), func.coalesce(func.sum(DunningClaim.amount), NOTHING).label("amount")
    )
    row = db.session.execute(statement.select_from(DunningClaim).where(*claims_of(view, today=today))).one()
    return row.number, row.amount


class Badge(NamedTuple):
    """What the head of a client's page says: what is owed, and since when there is a formal notice."""

    case_id: UUID
    amount: Decimal
    currency: str
    noticed_at: datetime | None
    status: CaseStatus


def find_badge(client_id: UUID) -> Badge | None:
    """What a client owes by its cases, living ones first; None where nothing is owed."""
    noticed = (
        select(func.max(Message.sent_at))
        .where(
            Message.organisation_id == DunningCase.organisation_id,
            Message.subject_id == DunningCase.id,
            Message.kind == MessageKind.FORMAL_NOTICE,
            Message.status.in_(HAS_LEFT),
        )
        .correlate(DunningCase)
        .scalar_subquery()
    )
    rows = db.session.execute(
        select(
            DunningCase.id, DunningCase.amount, DunningCase.currency, noticed.label("noticed_at"), DunningCase.status
        )
        .where(
            DunningCase.organisation_id == tenancy.current_organisation_id(),
            DunningCase.client_id == client_id,
            DunningCase.status.in_(OWED),
        )
        .order_by(DunningCase.closed_at.is_not(None), DunningCase.id)
    ).all()
    if not rows:
        return None
    first = Badge(*rows[0])
    total = sum((row.amount for row in rows if row.currency == first.currency), Decimal(0))
    return first._replace(
        amount=total, noticed_at=max((row.noticed_at for row in rows if row.noticed_at), default=None)
    )
