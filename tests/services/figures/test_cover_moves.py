"""What is booked of each client and month tells what the history tells: booked, half booked, late, merged, resold."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from dateutil.relativedelta import relativedelta
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import FromClause, func, select, update

from tests.conftest import NOW, Cast
from tests.examples import some
from tests.factories import CommercialFactory
from tests.services.figures.cover_world import World
from webapp import clock, tenancy
from webapp.extensions import db
from webapp.models.covers import Cover, CoverOption, CoverPeriod, CoverPlanOption, Trade
from webapp.models.figures import CoverRevenueMonth, FigureWork
from webapp.models.subscriptions import Subscription, SubscriptionHistory
from webapp.services.figures import cover_moves, cover_revenue, in_force
from webapp.services.figures.cover_figures import CoverFiguresView
from webapp.services.figures.cover_scope import which_promise
from webapp.services.figures.recurring import CHURN_PERIOD
from webapp.services.merging import moving
from webapp.services.subscriptions import metrics

YEAR = date(2026, 1, 1)
ACTS = st.sampled_from(["change"] * 6 + ["sell_to", "give_client", "join_clients", "promise", "promise", "book"])
STEPS = st.lists(
    st.tuples(ACTS, st.integers(0, 3), st.integers(0, 3), st.integers(0, 364), st.sampled_from([0, 0, 60, 120])),
    min_size=10,
    max_size=20,
)


class Lives:
    """Four covers of four clients; what happens to them is written in any order, late or early."""

    def __init__(self, cast: Cast) -> None:
        world = World(cast)
        self.covers = [*world.covers, *(world.cover(version, cast.sales_rep.id) for version in world.sold)]
        self.versions = world.sold
        self.clients = [cover.client_id for cover in self.covers]
        self.commercials = [cast.sales_rep.id, None, CommercialFactory().id, cast.sales_rep.id]
        self.present = dict.fromkeys(range(4), Decimal(120))

    def do(self, act: str, number: int, other: int, day: int, amount: int) -> None:
        cover = self.covers[number]
        if act == "change":
            before, self.present[number] = self.present[number], Decimal(amount)
            db.session.add(
                SubscriptionHistory(
                    subscription_id=cover.subscription_id,
                    client_id=db.session.scalar(select(Cover.client_id).where(Cover.id == cover.id)),
                    currency="EUR",
                    at=clock.start_of(YEAR + timedelta(days=day)) + timedelta(minutes=7),
                    old_status="active",
                    new_status="active",
                    annual_before=before,
                    annual_after=amount,
                )
            )
        elif act == "sell_to":
            db.session.execute(update(Cover).where(Cover.id == cover.id).values(commercial_id=self.commercials[other]))
        elif act == "give_client":
            self.give(self.clients[other], Cover.id == cover.id)
        elif act == "promise":
            self.promise(cover.id, other, YEAR + timedelta(days=day), is_option=amount > 0)
        elif act == "join_clients":
            self.give(self.clients[other], Cover.client_id == self.clients[number])
        else:
            in_force.book_lot()
        db.session.commit()

    def promise(self, cover_id: Any, other: int, day: date, *, is_option: bool) -> None:
        """The cover has another plan, or an option for some days, from a day on; not twice from the same."""
        version = self.versions[other % 2]
        if is_option:
            until = day + timedelta(days=20 * other) if other else None
            option_id = db.session.scalar(select(CoverPlanOption.id).where(CoverPlanOption.version_id == version.id))
            db.session.add(CoverOption(cover_id=cover_id, option_id=option_id, since=day, until=until))
        elif not db.session.get(CoverPeriod, (tenancy.current_organisation_id(), cover_id, day)):
            db.session.add(CoverPeriod(cover_id=cover_id, since=day, version_id=version.id))

    @staticmethod
    def give(client_id: Any, which: Any) -> None:
        """The covers go to a client with their subscriptions, as when clients are merged."""
        moving.announce()
        ids = db.session.scalars(select(Cover.subscription_id).where(which)).all()
        moved: list[Any] = [SubscriptionHistory.subscription_id, Subscription.id, Cover.subscription_id]
        for column in moved:
            db.session.execute(update(column.class_).where(column.in_(ids)).values(client_id=client_id))


def rows(clients: FromClause) -> set[Any]:
    return set(db.session.execute(select(*(clients.c[name] for name in ("client_id", "start", "end", "came_before")))))


def check(view: CoverFiguresView) -> None:
    """Everything is as the history of all subscriptions tells it."""
    scope = metrics.MetricsScope(subscription_ids=select(Cover.subscription_id).where(*which_promise(view)))
    since, until = clock.start_of(view.first), clock.start_of(view.end)
    moves = rows(metrics.revenue_of_moved(since, until, scope))
    assert rows(cover_moves.moved(view)) == moves
    late = min(NOW, until)
    moved = metrics.revenue_of_moved(late - CHURN_PERIOD, late, scope)
    gone = rows(select(moved).where(moved.c.end == 0).subquery())
    assert rows(cover_moves.left(view, at=NOW)) == gone
    found = cover_revenue.reckon(view, NOW)
    told = metrics.movements(since=since, until=until, scope=scope)
    if any(min(row.start, row.end) < 0 for row in moves):  # as changes come in any order here; it is no movement
        told = told._replace(start=found.movements.start, end=found.movements.end)
    assert found.movements == told
    assert found.churn == metrics.churn(since=late - CHURN_PERIOD, until=late, scope=scope)
    assert found.left == sum(row.end - row.start for row in gone)


def check_all(lives: Lives, first: int, months: int) -> None:
    begin = YEAR + relativedelta(months=first)
    mine = frozenset({lives.commercials[0], lives.commercials[2]})
    for narrowed in ({}, {"commercial_ids": frozenset({lives.commercials[0]})}, {"commercial_ids": mine}):
        check(CoverFiguresView(first=begin, last=begin + relativedelta(months=months - 1), **narrowed))
    plan_id = lives.versions[0].plan_id
    promised = ({"trade": Trade.HEATING}, {"trade": Trade.LOCKSMITH}, {"plan_id": plan_id, "trade": Trade.PLUMBING})
    for narrowed in promised:
        check(CoverFiguresView(first=begin, last=begin + relativedelta(months=months - 1), **narrowed))
    check(CoverFiguresView(first=begin, last=begin, trade=Trade.HEATING, commercial_ids=mine))


def booked() -> list[Any]:
    columns = [each for each in CoverRevenueMonth.__table__.columns if each.name != "id"]
    return sorted(db.session.execute(select(*columns)), key=str)


def test_what_is_booked_tells_what_the_history_tells(cast: Cast) -> None:
    lives = Lives(cast)

    @settings(
        max_examples=some(30),
        phases=[Phase.generate],
    )
    @given(steps=STEPS, first=st.integers(0, 11), months=st.integers(1, 13))
    def live_on(steps: list[tuple[str, int, int, int, int]], first: int, months: int) -> None:
        for step in steps:
            lives.do(*step)
        check_all(lives, first, months)
        in_force.book()
        assert db.session.scalar(select(func.count()).select_from(FigureWork)) == 0
        check_all(lives, first, months)

    live_on()
    before = booked()
    db.session.execute(select(func.rebuild_cover_revenue(cast.organisation.id)))
    assert booked() == before
