"""kill -9 before any commit: a month is open or closed whole, and what waits to be booked is booked once."""

from collections.abc import Callable
from itertools import count

from sqlalchemy import func, select

from tests import factories
from tests.conftest import Cast
from tests.forking import lives
from tests.services.figures.cover_world import World
from tests.services.figures.test_closings import IN_MARCH, JANUARY, of
from webapp import tenancy
from webapp.extensions import db
from webapp.models.figures import CoverRevenueMonth, FigureClosing, FigureEntry
from webapp.models.identity import User
from webapp.services.figures import closings, in_force
from webapp.services.figures.cover_figures import count_figures


def _written() -> tuple[int, ...]:
    """How many months are closed, and how much is booked."""
    tables = (FigureClosing, FigureEntry, CoverRevenueMonth)
    found = [db.session.scalar(select(func.count()).select_from(each)) or 0 for each in tables]
    db.session.rollback()
    return tuple(found)


def test_a_closing_and_a_booking_that_are_killed_are_done_whole_or_not_at_all(committed: None) -> None:
    cast: Cast = factories.make_cast(Cast)
    organisation_id, admin_id = cast.organisation.id, cast.admin.id
    World(cast).do("charge", 2, "118.80", 0)
    db.session.commit()
    waiting = _written()

    def close() -> None:
        tenancy.enter_organisation(organisation_id)
        by = db.session.scalars(select(User).where(User.id == admin_id)).one()
        closings.close_month(JANUARY, by=by, at=IN_MARCH)

    fatal = next(number for number in count() if _lived_or_left(close, waiting, fatal=number))
    assert fatal >= 1
    closed = _written()
    assert closed[0] == 1
    assert closed[1] > waiting[1], "what waited is booked with it"
    assert (waiting[2], closed[2]) == (0, 2), "a month of each client"
    in_force.book_all(at=IN_MARCH)
    assert _written() == closed, "nothing is booked twice"
    assert closings.is_unchanged(closings.find_closing(JANUARY))
    assert count_figures(of(JANUARY)).earned > 0


def _lived_or_left(act: Callable[[], object], before: tuple[int, ...], *, fatal: int) -> bool:
    lived = lives(act, fatal=fatal)
    assert lived or _written() == before, fatal
    return lived
