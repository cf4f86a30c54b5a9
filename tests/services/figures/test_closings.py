"""A month that is closed stays as it is: what concerns it later lands in the first open month, and says so."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError

from tests.conftest import Cast
from tests.services.figures.cover_world import World
from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.models.figures import FigureKind
from webapp.models.payments import PaymentKind
from webapp.services.covers import following, loading
from webapp.services.figures import closings, cover_rows, in_force
from webapp.services.figures.closings import ClosingError
from webapp.services.figures.cover_figures import CoverFiguresView, count_figures
from webapp.services.figures.cover_rows import Figure, FigureRowsView
from webapp.services.subscriptions import lifecycle

JANUARY, FEBRUARY, MARCH = (date(2026, month, 1) for month in (1, 2, 3))
IN_MARCH = datetime(2026, 3, 5, 9, tzinfo=UTC)


def of(first: date, last: date | None = None) -> CoverFiguresView:
    return CoverFiguresView(first=first, last=last or first)


@pytest.fixture
def world(cast: Cast) -> World:
    """A cover of each plan since 10 January, a paid cycle of twelve months."""
    world = World(cast)
    world.do("charge", 2, "118.80", 0)
    in_force.book()
    return world


def test_what_comes_late_lands_in_the_first_open_month(world: World, cast: Cast) -> None:
    before = count_figures(of(JANUARY))
    closed = closings.close_month(JANUARY, by=cast.admin, at=IN_MARCH)
    assert closed.amount("earned") == before.earned > 0
    world.at = IN_MARCH
    world.pay(world.charges[0], Decimal("-118.80"), PaymentKind.REFUND)
    assert count_figures(of(JANUARY)) == before
    assert closings.is_unchanged(closed)
    february = count_figures(of(FEBRUARY))
    assert february.late == {FigureKind.EARNED: -before.earned}
    assert february.earned == -before.earned
    assert count_figures(of(JANUARY, date(2027, 2, 1))).earned == 0
    rows = cover_rows.list_rows(FigureRowsView(first=FEBRUARY, last=FEBRUARY, figure=Figure.EARNED, at=IN_MARCH)).rows
    assert {(row.day, row.amount) for row in rows if row.is_late} == {(date(2026, 1, 8), -before.earned)}


def test_a_cover_that_turns_out_to_have_ended_takes_its_days_back(world: World, cast: Cast) -> None:
    before, february = count_figures(of(JANUARY)), count_figures(of(FEBRUARY))
    assert (before.in_force, before.cover_days) == (2, 2 * 22)
    closings.close_month(JANUARY, by=cast.admin, at=IN_MARCH)
    cover = world.covers[0]
    at = datetime(2026, 1, 20, 9, tzinfo=UTC)
    lifecycle.cancel(cover.subscription_id, reason="Déménagement", by=cast.manager, at=at)
    following.catch_up(loading.find_for_update(cover.id), at=at)
    assert in_force.book() == 1
    assert count_figures(of(JANUARY)) == before
    after = count_figures(of(FEBRUARY))
    assert after.in_force == 1
    assert after.cover_days == february.cover_days - 28 - 12
    assert after.late == {FigureKind.IN_FORCE: -1}


def test_months_are_closed_once_in_order_and_when_they_are_over(world: World, cast: Cast) -> None:
    assert closings.next_to_close(today=date(2026, 1, 31)) is None
    assert closings.next_to_close(today=date(2026, 2, 1)) == JANUARY
    with pytest.raises(ClosingError, match="dans l’ordre"):
        closings.close_month(FEBRUARY, by=cast.admin, at=IN_MARCH)
    closings.close_month(JANUARY, by=cast.admin, at=IN_MARCH)
    with pytest.raises(ClosingError, match="déjà clôturé"):
        closings.close_month(JANUARY, by=cast.admin, at=IN_MARCH)
    closings.close_month(FEBRUARY, by=cast.admin, at=IN_MARCH)
    with pytest.raises(ClosingError, match="pas encore terminé"):
        closings.close_month(MARCH, by=cast.admin, at=IN_MARCH)
    assert closings.last_closed() == FEBRUARY
    with pytest.raises(NotFoundError):
        closings.find_closing(MARCH)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE figure_entries SET amount = 0",
        "DELETE FROM figure_entries",
        "DELETE FROM figure_closings",
        "UPDATE figure_closings SET entries = 0",
        "INSERT INTO figure_entries SELECT organisation_id, gen_random_uuid(), month, day, kind, amount, cover_id,"
        " claim_id, charge_id, invoice_id, NULL, plan_id, trades, commercial_id, reason FROM figure_entries",
    ],
)
def test_the_database_keeps_what_is_closed(world: World, cast: Cast, statement: str) -> None:
    closings.close_month(JANUARY, by=cast.admin, at=IN_MARCH)
    with pytest.raises(DBAPIError), db.session.begin_nested():
        db.session.execute(text(statement))


def test_what_waits_to_be_booked_is_booked_before_the_month_closes(world: World, cast: Cast) -> None:
    World(cast)
    closed = closings.close_month(JANUARY, by=cast.admin, at=IN_MARCH)
    assert closed.figures["in_force"] == "4"
    assert in_force.book() == 0


def test_whoever_books_holds_a_closing_off(world: World, cast: Cast) -> None:
    with db.engine.engine.connect() as other:
        other.execute(text("SELECT figure_open_month(:id)"), {"id": cast.organisation.id})
        db.session.execute(text("SET LOCAL lock_timeout = '50ms'"))
        with pytest.raises(OperationalError, match="lock timeout"):
            closings.close_month(JANUARY, by=cast.admin, at=IN_MARCH)
        db.session.rollback()
    assert closings.list_closings() == []
    assert closings.close_month(JANUARY, by=cast.admin, at=IN_MARCH).month == JANUARY
