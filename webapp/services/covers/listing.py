"""The covers of an organisation, the latest first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, select, tuple_
from sqlalchemy.orm import aliased

from webapp.extensions import db
from webapp.models.base import linked, read_code
from webapp.models.clients import Client, full_name_in_sql
from webapp.models.covers import Cover, CoveredHome, CoverHome, CoverPeriod, CoverPlan, CoverPlanVersion
from webapp.models.subscriptions import Subscription, SubscriptionStatus
from webapp.services import keyset
from webapp.services.clients.search import found_by
from webapp.services.keyset import Position

PAGE_SIZE = 50
BY_NUMBER = "number"


@dataclass(frozen=True, kw_only=True)
class CoversView:
    """Which covers are shown; ``search`` is for words over clients, or a cover's number. Of plans, the present one."""

    search: str = ""
    plan_id: UUID | None = None
    status: SubscriptionStatus | None = None
    cursor: str | None = None


class CoverRow(NamedTuple):
    """A cover of the list, with its plan and home as they last were."""

    id: UUID
    number: int
    client: str
    plan: str
    version: int
    postcode: str
    city: str
    effective_on: date
    status: SubscriptionStatus

    @property
    def code(self) -> str:
        """As people say it."""
        return f"{Cover.LETTER}-{self.number}"


def list_covers(view: CoversView, *, size: int = PAGE_SIZE) -> keyset.Page[CoverRow]:
    """The covers of the view, the latest first."""
    statement = _select(view).with_only_columns(
        Cover.id,
        Cover.number,
        full_name_in_sql(),
        CoverPlan.label,
        CoverPlanVersion.version,
        CoveredHome.postcode,
        CoveredHome.city,
        Cover.effective_on,
        Subscription.status,
    )

    def read(start: Position | None) -> Sequence[CoverRow]:
        page = keyset.cut(statement, [Cover.number, Cover.id], start, is_descending=True, size=size)
        return [CoverRow(*row) for row in db.session.execute(page)]

    start = keyset.decode(view.cursor, sort=BY_NUMBER, kind=int)
    return keyset.page(read, start, place=lambda row: (row.number, row.id), sort=BY_NUMBER, size=size)


def select_all(view: CoversView) -> Select[*tuple[Any, ...]]:
    """Every cover of a view in its order: an export adds the columns."""
    return _select(view).order_by(Cover.number.desc(), Cover.id.desc())


def list_plan_choices() -> list[tuple[UUID, str]]:
    """The plans, by name, to filter by."""
    statement = select(CoverPlan.id, CoverPlan.label).order_by(CoverPlan.label, CoverPlan.id)
    return [(row.id, row.label) for row in db.session.execute(statement)]


def list_of_contract(contract_id: UUID) -> list[tuple[Subscription, Cover | None]]:
    """The subscriptions of a contract, the latest first, each with the cover that it gives."""
    statement = (
        select(Subscription, Cover)
        .outerjoin(Cover, linked(Subscription, Cover.subscription_id))
        .where(Subscription.contract_id == contract_id)
        .order_by(Subscription.number.desc())
    )
    return [(subscription, cover) for subscription, cover in db.session.execute(statement)]


def _select(view: CoversView) -> Select[*tuple[Any, ...]]:
    statement = (
        select(Cover.id)
        .join(Client, linked(Client, Cover.client_id))
        .join(Subscription, linked(Subscription, Cover.subscription_id))
        .join(CoverPeriod, linked(Cover, CoverPeriod.cover_id) & is_latest(CoverPeriod))
        .join(CoverPlanVersion, linked(CoverPlanVersion, CoverPeriod.version_id))
        .join(CoverPlan, linked(CoverPlan, CoverPlanVersion.plan_id))
        .join(CoverHome, linked(Cover, CoverHome.cover_id) & is_latest(CoverHome))
        .join(CoveredHome, linked(CoveredHome, CoverHome.home_id))
    )
    if view.plan_id:
        statement = statement.where(CoverPlan.id == view.plan_id)
    if view.status:
        statement = statement.where(Subscription.status == view.status)
    code = read_code(view.search)
    if code and code.letter == Cover.LETTER:
        return statement.where(Cover.number == code.number)
    return statement.where(*found_by(view.search))


def is_latest(rows: type[CoverPeriod] | type[CoverHome]) -> ColumnElement[bool]:
    """Whether no row of the same cover began later, or was written later for the same day."""
    later = aliased(rows)
    comes_after = tuple_(later.since, later.at) > tuple_(rows.since, rows.at)
    same_cover = (later.organisation_id == rows.organisation_id) & (later.cover_id == rows.cover_id)
    return ~select(later.since).where(same_cover, comes_after).exists()
