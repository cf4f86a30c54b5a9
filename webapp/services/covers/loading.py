"""From rows to the plain values that decisions are made from."""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BindParameter, Select, bindparam, select
from sqlalchemy.orm import joinedload, selectinload
from sqlalchemy.orm.attributes import set_committed_value

from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.clients import Client
from webapp.models.covers import (
    Cover,
    CoverFact,
    CoverHome,
    CoverOption,
    CoverPeriod,
    CoverPlanOption,
    CoverPlanVersion,
    Trade,
)
from webapp.services.covers.intervals import Fact, intervals_of
from webapp.services.covers.lifetime import CoverLife, HomePeriod, OptionPeriod, PlanPeriod
from webapp.services.covers.terms import OptionTerms, Terms

_OF_COVER: BindParameter[UUID] = bindparam("cover_id")
_AS_IT_IS = {"populate_existing": True}
_PROMISES: dict[str, Select[Any]] = {
    "periods": select(CoverPeriod)
    .where(CoverPeriod.cover_id == _OF_COVER)
    .options(joinedload(CoverPeriod.version).joinedload(CoverPlanVersion.plan))
    .order_by(CoverPeriod.since)
    .execution_options(**_AS_IT_IS),
    "options": select(CoverOption)
    .where(CoverOption.cover_id == _OF_COVER)
    .options(joinedload(CoverOption.option))
    .order_by(CoverOption.since)
    .execution_options(**_AS_IT_IS),
    "homes": select(CoverHome)
    .where(CoverHome.cover_id == _OF_COVER)
    .options(joinedload(CoverHome.home))
    .order_by(CoverHome.since, CoverHome.at)
    .execution_options(**_AS_IT_IS),
    "facts": select(CoverFact)
    .where(CoverFact.cover_id == _OF_COVER)
    .order_by(CoverFact.at, CoverFact.id)
    .execution_options(**_AS_IT_IS),
}
"""What a decision needs of a cover, each in a statement that is made once."""


def find_cover(cover_id: UUID) -> Cover:
    """The cover with all that it promises. Raises NotFoundError."""
    return _found(db.session.scalar(_whole().where(Cover.id == cover_id)))


def find_for_update(cover_id: UUID) -> Cover:
    """The cover, locked until the transaction ends, as it stands now. Raises NotFoundError.

    Two claims at once are decided one after the other under this lock.
    """
    return _found(db.session.scalar(_whole().where(Cover.id == cover_id).with_for_update(of=Cover)))


def lock(cover_id: UUID) -> Cover:
    """The same, without what it promises: that is read where somebody asks for it. Raises NotFoundError."""
    statement = select(Cover).where(Cover.id == cover_id).with_for_update()
    return _found(db.session.scalar(statement.execution_options(populate_existing=True)))


def lock_numbered(number: int) -> tuple[Cover, datetime | None] | None:
    """The same, by its number, with when its client was erased; None where there is none."""
    statement = select(Cover, Client.erased_at).join(Client, linked(Client, Cover.client_id))
    locked = statement.where(Cover.number == number).with_for_update(of=Cover)
    row = db.session.execute(locked.execution_options(populate_existing=True)).one_or_none()
    return None if row is None else (row[0], row[1])


def find_of_subscription(subscription_id: UUID) -> Cover | None:
    """The cover that the subscription gives, if it gives one."""
    return db.session.scalar(_whole().where(Cover.subscription_id == subscription_id))


def find_bare(subscription_id: UUID) -> Cover | None:
    """The same, without what it promises."""
    return db.session.scalar(select(Cover).where(Cover.subscription_id == subscription_id))


def list_covers(cover_ids: Collection[UUID]) -> list[Cover]:
    """Some covers, by id: as many statements as for one."""
    return list(db.session.scalars(_whole().where(Cover.id.in_(cover_ids)).order_by(Cover.id)))


def list_of_client(client_id: UUID) -> list[Cover]:
    """The client's covers, the latest first."""
    statement = _whole().where(Cover.client_id == client_id).options(selectinload(Cover.terminations))
    return list(db.session.scalars(statement.order_by(Cover.number.desc())))


def _whole() -> Select[Cover]:
    version = selectinload(Cover.periods).joinedload(CoverPeriod.version)
    return (
        select(Cover)
        .options(
            joinedload(Cover.client),
            joinedload(Cover.subscription),
            version.joinedload(CoverPlanVersion.plan),
            version.selectinload(CoverPlanVersion.options),
            selectinload(Cover.options).joinedload(CoverOption.option),
            selectinload(Cover.homes).joinedload(CoverHome.home),
            selectinload(Cover.facts).joinedload(CoverFact.user),
        )
        .execution_options(populate_existing=True)
    )


def _found(cover: Cover | None) -> Cover:
    if cover is None:
        raise NotFoundError("Cette couverture n’existe pas ou plus.")
    return cover


def load_life(cover: Cover) -> CoverLife:
    """The life of a locked cover of which only its own row was read: a statement for each thing that it promises.

    Nothing that is pending is written before: what a cover promises is none of it.
    """
    with db.session.no_autoflush:
        for name, statement in _PROMISES.items():
            set_committed_value(cover, name, list(db.session.scalars(statement, {"cover_id": cover.id})))
    return life_of(cover)


def life_of(cover: Cover, *, names_homes: bool = True) -> CoverLife:
    """All that a decision needs to know of a cover. Without ``names_homes``, its sentences tell no address."""
    homes = cover.lasting_homes
    ends = [home.since for home in homes[1:]]
    return CoverLife(
        effective_on=cover.effective_on,
        plans=tuple(PlanPeriod(plan_terms(period.version), period.since) for period in cover.periods),
        options=tuple(OptionPeriod(option_terms(each.option), each.since, each.until) for each in cover.options),
        homes=tuple(
            HomePeriod(each.home_id, each.since, until, each.home.one_line if names_homes else "")
            for each, until in zip(homes, [*ends, None], strict=True)
        ),
        intervals=intervals_of([fact_of(row) for row in cover.facts]),
    )


def fact_of(row: CoverFact) -> Fact:
    """What a row tells."""
    return Fact(row.cause, row.since, row.until, row.kind, row.note)


def plan_terms(version: CoverPlanVersion) -> Terms:
    """What a version of a plan promises."""
    return Terms(
        code=version.plan.code,
        version=version.version,
        label=version.plan.label,
        trades=frozenset(map(Trade, version.trades)),
        waiting_days=version.waiting_days,
        deductible=version.deductible,
        cap_per_claim=version.cap_per_claim,
        cap_per_year=version.cap_per_year,
        claims_per_year=version.claims_per_year,
        year=version.year,
    )


def option_terms(option: CoverPlanOption) -> OptionTerms:
    """What an option promises."""
    return OptionTerms(
        code=option.code,
        label=option.label,
        trades=frozenset(map(Trade, option.trades)),
        waiting_days=option.waiting_days,
        deductible=option.deductible,
        cap_per_claim=option.cap_per_claim,
        cap_per_year=option.cap_per_year,
        draws_on_main=option.draws_on_main_cap,
    )
