"""The subscriptions page: filters, order, pages, and what a view brings in a month."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import event

from tests import factories
from tests.conftest import Cast
from webapp import tenancy
from webapp.extensions import db
from webapp.models.subscriptions import RHYTHMS, Frequency, Subscription, SubscriptionStatus
from webapp.services.keyset import Page
from webapp.services.subscriptions import listing
from webapp.services.subscriptions.listing import SubscriptionSort, SubscriptionsView, list_subscriptions

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def _subscription(**values: Any) -> Subscription:
    if "client_id" not in values:
        values["client_id"] = factories.ClientFactory().id
    subscription: Subscription = factories.SubscriptionFactory(**{"recurring_amount": Decimal("10.00")} | values)
    return subscription


def _ids(**values: Any) -> set[Any]:
    return {row.id for row in list_subscriptions(SubscriptionsView(**values)).page.rows}


def test_a_row_says_what_is_sold_to_whom(cast: Cast) -> None:
    client = factories.ClientFactory(last_name="MARTIN", first_name="Zoé")
    subscription = _subscription(client_id=client.id, next_charge_on=NOON.date(), next_charge_at=NOON)
    for label in ("Coffret", "Tasse"):
        factories.SubscriptionLineFactory(subscription_id=subscription.id, label=label)
    (row,) = list_subscriptions(SubscriptionsView()).page.rows
    assert row.client == "MARTIN Zoé"
    assert set(row.lines.split(", ")) == {"Coffret", "Tasse"}
    assert (row.status, row.amount, row.next_charge_on) == (SubscriptionStatus.ACTIVE, Decimal("10.00"), NOON.date())


def test_what_brings_revenue_can_be_shown_alone(cast: Cast) -> None:
    bringing = {_subscription(status=each).id for each in (SubscriptionStatus.ACTIVE, SubscriptionStatus.PAST_DUE)}
    for status in set(SubscriptionStatus) - {SubscriptionStatus.ACTIVE, SubscriptionStatus.PAST_DUE}:
        _subscription(status=status)
    assert _ids(status="recurrents") == bringing


def test_each_filter_narrows_the_list(cast: Cast) -> None:
    client = factories.ClientFactory(last_name="Lévêque", commercial_id=cast.sales_rep.id)
    contract = factories.ContractFactory(client_id=client.id)
    mine = _subscription(
        client_id=client.id, contract_id=contract.id, status=SubscriptionStatus.PAUSED, frequency=Frequency.WEEKLY
    )
    other = _subscription()
    assert _ids() == {mine.id, other.id}
    for narrowed in (
        {"status": SubscriptionStatus.PAUSED},
        {"team": cast.sales_rep.team_id},
        {"frequency": Frequency.WEEKLY},
        {"commercial": cast.sales_rep.id},
        {"client_id": client.id},
        {"contract_id": contract.id},
        {"search": "leveque"},
        {"search": contract.reference},
    ):
        assert _ids(**narrowed) == {mine.id}
    assert _ids(commercial=listing.WITHOUT_COMMERCIAL) == {other.id}
    assert _ids(search="nobody") == set()


def test_another_organisations_subscriptions_are_not_listed(cast: Cast) -> None:
    _subscription()
    with tenancy.organisation(cast.other_organisation.id):
        assert list_subscriptions(SubscriptionsView()) == listing.SubscriptionList(
            Page([], None, None), listing.SubscriptionTotals(0, {})
        )


@pytest.mark.parametrize("sort", list(SubscriptionSort))
def test_pages_follow_each_other_without_gap_or_repeat(
    cast: Cast, sort: SubscriptionSort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "PAGE_SIZE", 3)
    client = factories.ClientFactory()
    for number in range(8):
        at = NOON + timedelta(hours=number % 3) if number < 5 else None
        _subscription(
            client_id=client.id,
            status=SubscriptionStatus.ACTIVE if at else SubscriptionStatus.PAUSED,
            next_charge_on=at.date() if at else None,
            next_charge_at=at,
        )
    seen: list[listing.SubscriptionRow] = []
    cursor: str | None = ""
    while cursor is not None:
        shown = list_subscriptions(SubscriptionsView(sort=sort, cursor=cursor))
        assert shown.totals.number == 8
        seen += shown.page.rows
        cursor = shown.page.next_cursor
    assert len({row.id for row in seen}) == len(seen) == 8
    if sort is SubscriptionSort.NEWEST:
        assert [row.id for row in seen] == sorted((row.id for row in seen), reverse=True)
    else:
        assert [row.next_charge_on is None for row in seen] == [False] * 5 + [True] * 3


@pytest.mark.parametrize("cursor", ["x", "bm9wZQ", "\0", "é"])
def test_a_broken_cursor_gives_the_first_page(cast: Cast, cursor: str) -> None:
    subscription = _subscription()
    assert _ids(cursor=cursor) == {subscription.id}


def test_the_mrr_of_a_view_is_normalised_and_leaves_out_what_does_not_count(cast: Cast) -> None:
    for frequency in RHYTHMS:
        _subscription(frequency=frequency)
    _subscription(status=SubscriptionStatus.PAST_DUE)
    for status in (SubscriptionStatus.PENDING, SubscriptionStatus.PAUSED, SubscriptionStatus.CANCELED):
        _subscription(status=status)
    _subscription(currency="CHF")
    totals = list_subscriptions(SubscriptionsView()).totals
    # 10 × (52/12 + 26/12 + 1 + 1/2 + 1/3 + 1/12) + 10
    assert totals == listing.SubscriptionTotals(11, {"EUR": Decimal("94.17"), "CHF": Decimal("10.00")})
    assert list_subscriptions(SubscriptionsView(frequency=Frequency.WEEKLY)).totals.mrr == {"EUR": Decimal("43.33")}
    assert list_subscriptions(
        SubscriptionsView(status=SubscriptionStatus.PENDING)
    ).totals == listing.SubscriptionTotals(1, {})


def test_the_number_of_queries_does_not_grow_with_the_rows(cast: Cast) -> None:
    _subscription()
    few = _count_queries()
    for _ in range(20):
        _subscription()
    assert _count_queries() == few == 2


def _count_queries() -> int:
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        statements.append(statement)

    db.session.flush()
    connection = db.session.connection()
    event.listen(connection, "before_cursor_execute", note)
    try:
        list_subscriptions(SubscriptionsView())
    finally:
        event.remove(connection, "before_cursor_execute", note)
    return len(statements)
