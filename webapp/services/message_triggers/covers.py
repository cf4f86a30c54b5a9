"""Messages about covers: a waiting is over, a new cover year begins, it is suspended, it resumes.

The first two follow the calendar. Each is of one day, and is still written some days later, where nobody ran; after
that it is of no use to anybody.
"""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, extract, func, or_, select, tuple_

from webapp import french, tenancy
from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.covers import (
    Cover,
    CoverKind,
    CoverNature,
    CoverOption,
    CoverPeriod,
    CoverPlan,
    CoverPlanOption,
    CoverPlanVersion,
    Trade,
    YearKind,
)
from webapp.models.messages import MessageKind
from webapp.models.outbox import OutboxEvent
from webapp.models.subscriptions import Subscription, SubscriptionStatus
from webapp.services import each_organisation
from webapp.services.covers import following, ledger, loading
from webapp.services.covers.counters import Counters, OptionCounter, remaining
from webapp.services.covers.lifetime import CoverLife
from webapp.services.dunning import days
from webapp.services.messages import writing
from webapp.services.messages.writing import Draft

AT_ONCE = 500
CAUGHT_UP = timedelta(days=3)
LIVING = (SubscriptionStatus.ACTIVE, SubscriptionStatus.PAST_DUE)


class _Opened(NamedTuple):
    """Of a cover, the plan or an option whose waiting is over; ``occasion`` tells it from others of the cover."""

    cover_id: UUID
    occasion: str
    label: str
    trades: list[str]
    since: date


def tell_open(*, at: datetime) -> int:
    """Tell every client whose waiting is over, of a plan or an option, that it is covered now; returns how many."""
    return each_organisation.work(lambda: _tell_open(at=at), select(Cover.organisation_id))


def _tell_open(*, at: datetime) -> int:
    told, opened = 0, _list_opened(days.local(at))
    for start in range(0, len(opened), AT_ONCE):
        some = opened[start : start + AT_ONCE]
        covers = {cover.id: cover for cover in loading.list_covers({each.cover_id for each in some})}
        drafts = [
            _draft(
                MessageKind.COVER_OPEN,
                covers[each.cover_id],
                each.occasion,
                garantie=each.label,
                metiers=", ".join(trade.label for trade in Trade if trade.value in each.trades),
                depuis=each.since,
            )
            for each in some
            if _is_in_force(loading.life_of(covers[each.cover_id]), at)
        ]
        told += writing.write_many(drafts, at=at)
    return told


def _list_opened(today: date) -> list[_Opened]:
    """What was sold with a waiting that is over since today, or some days ago. What has none began open."""
    ours = tenancy.current_organisation_id()
    plan_since = func.greatest(CoverPeriod.since, Cover.effective_on) + CoverPlanVersion.waiting_days
    plans = (
        select(CoverPeriod.cover_id, CoverPeriod.since, CoverPlan.label, CoverPlanVersion.trades, plan_since)
        .join(Cover, linked(Cover, CoverPeriod.cover_id))
        .join(CoverPlanVersion, linked(CoverPlanVersion, CoverPeriod.version_id))
        .join(CoverPlan, linked(CoverPlan, CoverPlanVersion.plan_id))
        .where(CoverPeriod.organisation_id == ours, CoverPlanVersion.waiting_days > 0, _is_near(plan_since, today))
    )
    option_since = func.greatest(CoverOption.since, Cover.effective_on) + CoverPlanOption.waiting_days
    options = (
        select(CoverOption.cover_id, CoverOption.id, CoverPlanOption.label, CoverPlanOption.trades, option_since)
        .join(Cover, linked(Cover, CoverOption.cover_id))
        .join(CoverPlanOption, linked(CoverPlanOption, CoverOption.option_id))
        .where(CoverOption.organisation_id == ours, CoverPlanOption.waiting_days > 0, _is_near(option_since, today))
        .where(or_(CoverOption.until.is_(None), CoverOption.until > today))
    )
    rows = [*db.session.execute(plans), *db.session.execute(options)]
    return sorted(_Opened(row[0], str(row[1]), *row[2:]) for row in rows)


def tell_renewed(*, at: datetime) -> int:
    """Tell every client whose cover enters a new year what was used of the last one, once; returns how many."""
    return each_organisation.work(lambda: _tell_renewed(at=at), select(Cover.organisation_id))


def _tell_renewed(*, at: datetime) -> int:
    told, today = 0, days.local(at)
    ids = db.session.scalars(
        select(Cover.id)
        .join(Subscription, linked(Subscription, Cover.subscription_id))
        .where(Subscription.status.in_(LIVING), _may_be_renewed(today))
        .order_by(Cover.id)
    ).all()
    for start in range(0, len(ids), AT_ONCE):
        some = ids[start : start + AT_ONCE]
        entries = ledger.list_entries_of(some)
        drafts = []
        for cover in loading.list_covers(some):
            life = loading.life_of(cover)
            since = life.year_of(today).since
            if cover.effective_on < since >= today - CAUGHT_UP and _is_in_force(life, at):
                used = remaining(life, entries[cover.id], since - timedelta(days=1))
                drafts.append(_renewed(cover, since, used, remaining(life, entries[cover.id], today)))
        told += writing.write_many(drafts, at=at)
    return told


def _may_be_renewed(today: date) -> ColumnElement[bool]:
    """In a statement: the cover's anniversary is one of these days, or the calendar's year has just begun."""
    near = [today - timedelta(days=ago) for ago in range(CAUGHT_UP.days + 1)]
    pairs = [(day.month, day.day) for day in near]
    if (2, 28) in pairs:
        pairs.append((2, 29))
    is_near = tuple_(extract("month", Cover.effective_on), extract("day", Cover.effective_on)).in_(pairs)
    if (1, 1) not in pairs:
        return is_near
    is_civil = (
        select(CoverPeriod.cover_id)
        .join(CoverPlanVersion, linked(CoverPlanVersion, CoverPeriod.version_id))
        .where(linked(Cover, CoverPeriod.cover_id), CoverPlanVersion.year == YearKind.CIVIL)
        .exists()
    )
    return or_(is_near, is_civil)


def _renewed(cover: Cover, since: date, used: Counters, promised: Counters) -> Draft:
    limits = []
    if promised.claims_limit is not None:
        limits.append(french.counted(promised.claims_limit, "intervention"))
    if promised.cap is not None:
        limits.append(french.short_money(promised.cap))
    limits += [_of_option(each, each.cap) for each in promised.options if each.cap is not None]
    spent = [french.counted(used.claims, "intervention"), french.short_money(used.amount)]
    spent += [_of_option(each, each.amount) for each in used.options if each.amount]
    return _draft(
        MessageKind.COVER_RENEWED,
        cover,
        since.isoformat(),
        depuis=since,
        utilise=", ".join(spent),
        promis=", ".join(limits) or None,
    )


def _of_option(option: OptionCounter, amount: Decimal) -> str:
    return f"option {option.label}\u202f: {french.short_money(amount)}"


def tell_suspended(event: OutboxEvent, cover: Cover, *, resumes_on: date | None, at: datetime) -> None:
    """Tell what a pause, or the suspension for what is unpaid, means for the cover."""
    life = _life_after(event, cover)
    if not life.intervals or life.intervals[-1].kind is not CoverKind.SUSPENDED:
        return  # it was not in force, or is no more
    standing = life.intervals[-1]
    draft = _draft(
        MessageKind.COVER_SUSPENDED,
        cover,
        str(event.id),
        depuis=french.moment(standing.since),
        reprise=_resumption(cover, is_unpaid=standing.cause.value == "unpaid", resumes_on=resumes_on),
    )
    writing.write(draft, at=at)


def _resumption(cover: Cover, *, is_unpaid: bool, resumes_on: date | None) -> str:
    if not is_unpaid:
        day = french.long_day(resumes_on) if resumes_on else None
        return f"Elle reprend le {day}." if day else "Elle reprend quand vous nous le demandez."
    if following.nature_of(cover) is CoverNature.INSURANCE:
        return "Elle reprend à midi, le lendemain du jour où tout ce qui est dû est payé."
    return "Elle reprend dès que tout ce qui est dû est payé."


def tell_resumed(event: OutboxEvent, cover: Cover, *, next_charge_on: date | None, at: datetime) -> None:
    """Tell from which moment on the cover holds again."""
    life = _life_after(event, cover)
    if not life.intervals or life.intervals[-1].kind is not CoverKind.ACTIVE:
        return
    draft = _draft(
        MessageKind.COVER_RESUMED,
        cover,
        str(event.id),
        depuis=french.moment(life.intervals[-1].since),
        prochaine_echeance=next_charge_on,
    )
    writing.write(draft, at=at)


def _life_after(event: OutboxEvent, cover: Cover) -> CoverLife:
    """The life of the cover once the event is part of it, whoever is told first."""
    following.follow(event)
    return loading.life_of(loading.find_cover(cover.id))


def _is_near(day: ColumnElement[date], today: date) -> ColumnElement[bool]:
    return day.between(today - CAUGHT_UP, today)


def _is_in_force(life: CoverLife, at: datetime) -> bool:
    state = life.state_at(at)
    return state is not None and state.kind in (CoverKind.ACTIVE, CoverKind.WAITING)


def _draft(kind: MessageKind, cover: Cover, occasion: str, **variables: object) -> Draft:
    return Draft(
        kind=kind,
        company_id=cover.subscription.company_id,
        client_id=cover.client_id,
        subject_id=cover.id,
        occasion=occasion,
        variables={"couverture": cover.code, "formule": cover.periods[-1].version.plan.label, **variables},
    )
