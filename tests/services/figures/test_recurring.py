"""Recurring revenue: counted for those in scope, what is there now with the list behind it."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from tests.conftest import Cast
from tests.factories import ClientFactory, CommercialFactory
from webapp import keeping
from webapp.models.subscriptions import Frequency
from webapp.services.figures.period import Period
from webapp.services.figures.recurring import Recurring, find_recurring
from webapp.services.figures.scope import figures_scope
from webapp.services.subscriptions import lifecycle
from webapp.services.subscriptions.creation import create_subscription
from webapp.services.subscriptions.fields import SubscriptionFields, SubscriptionLineFields
from webapp.services.subscriptions.listing import list_subscriptions

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)
NOVEMBER = Period.around(NOW.date())


def subscribe(commercial_id: UUID | None, price: int, at: datetime) -> UUID:
    fields = SubscriptionFields(
        client_id=ClientFactory(commercial_id=commercial_id).id,
        frequency=Frequency.MONTHLY,
        anchor_date=date(2027, 1, 1),
        lines=[SubscriptionLineFields(label="Coffret", unit_price=Decimal(price))],
    )
    return lifecycle.activate(create_subscription(fields, by=None, at=at).id, by=None, at=at).id


def revenue_of(cast: Cast, who: str) -> Recurring:
    return find_recurring(figures_scope(getattr(cast, who)), NOVEMBER, at=NOW)


@pytest.mark.parametrize(("who", "expected"), [("commercial", 1), ("manager", 11), ("admin", 1111)])
def test_everybody_sees_their_own_revenue_with_its_list(cast: Cast, who: str, expected: int) -> None:
    mate = CommercialFactory(team_id=cast.sales_rep.team_id)
    stranger = CommercialFactory()
    for commercial_id, price in ((cast.sales_rep.id, 1), (mate.id, 10), (stranger.id, 100), (None, 1000)):
        subscribe(commercial_id, price, NOW)
    ended = subscribe(cast.sales_rep.id, 7, NOW)
    lifecycle.cancel(ended, reason="x", by=None, at=NOW)
    found = revenue_of(cast, who)
    assert sum(each.totals.mrr["EUR"] for each in found.present) == found.course.movements.end == expected
    assert found.course.months[date(2026, 11, 1)] == expected
    for each in found.present:
        shown = list_subscriptions(each.view)
        assert shown.totals == each.totals
        assert sum(row.amount for row in shown.page.rows) == each.totals.mrr["EUR"]


def test_each_month_has_its_end_in_paris(cast: Cast) -> None:
    leaves = subscribe(None, 30, datetime(2025, 1, 5, tzinfo=UTC))
    lifecycle.cancel(leaves, reason="x", by=None, at=datetime(2026, 10, 31, 22, 59, tzinfo=UTC))
    subscribe(None, 5, datetime(2026, 10, 31, 23, 1, tzinfo=UTC))  # in November, there
    months = revenue_of(cast, "admin").course.months
    assert list(months) == [date(2025, 12, 1), *(date(2026, month, 1) for month in range(1, 12))]
    assert [int(revenue) for revenue in months.values()] == [30] * 10 + [0, 5]


def test_a_period_to_come_ends_with_the_present(cast: Cast) -> None:
    subscribe(None, 5, NOW)
    found = find_recurring(figures_scope(cast.admin), Period.around(date(2030, 1, 1)), at=NOW)
    assert list(found.course.months)[-1] == date(2026, 11, 1)
    assert (found.course.movements.start, found.course.movements.end, found.course.unpaid.rate) == (5, 5, None)


def test_what_others_bring_is_not_ones_own(cast: Cast) -> None:
    subscribe(cast.sales_rep.id, 5, NOW)
    found = revenue_of(cast, "colleague")
    assert [each.totals.number for each in found.present] == [0]
    assert (found.course.movements.end, found.course.churn.rate) == (0, None)


def test_a_course_that_took_long_to_tell_is_kept_and_the_present_is_not(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "LONG", 0.0)
    subscribe(cast.sales_rep.id, 5, NOW)
    scopes = [figures_scope(user) for user in (cast.admin, cast.manager)]
    before = [find_recurring(scope, NOVEMBER, at=NOW) for scope in scopes]
    subscribe(None, 100, NOW)
    after = [find_recurring(scope, NOVEMBER, at=NOW + timedelta(minutes=1)) for scope in scopes]
    assert [each.course for each in after] == [each.course for each in before]
    assert [each.known_at for each in after] == [NOW, NOW]
    assert [each.present[0].totals.mrr["EUR"] for each in after] == [105, 5]
    october = find_recurring(scopes[0], Period.around(date(2026, 10, 1)), at=NOW)
    assert october.course.movements.end == 0
