"""What a pull asks for: everything once, whatever changes while it reads."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from webapp.models.woocommerce import PullScope, ResourceKind
from webapp.services.woocommerce import stages
from webapp.services.woocommerce.stages import Abilities, Cursor, How, Stage

AT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
CHANGED = Stage(ResourceKind.ORDER, How.CHANGED)


def at(*seconds: int) -> list[datetime]:
    return [AT + timedelta(seconds=second) for second in seconds]


def names(scope: PullScope, abilities: Abilities) -> list[str]:
    return [stage.name for stage in stages.plan(scope, abilities)]


def test_subscriptions_are_read_before_the_orders_that_renew_them() -> None:
    assert names(PullScope.RECENT, Abilities(honours_modified_after=True)) == ["subscription:changed", "order:changed"]


def test_where_the_filter_is_not_honoured_all_living_subscriptions_are_read_and_new_ones() -> None:
    assert names(PullScope.RECENT, Abilities()) == [
        *(f"subscription:living:{status}" for status in ("active", "on-hold", "pending", "pending-cancel")),
        "subscription:created",
        "order:changed",
    ]


def test_a_first_pull_reads_the_living_ones_besides_and_orders_by_when_they_were_made() -> None:
    assert names(PullScope.FIRST, Abilities(honours_modified_after=True)) == [
        "subscription:changed",
        *(f"subscription:living:{status}" for status in ("active", "on-hold", "pending", "pending-cancel")),
        "order:created",
    ]


def test_at_night_every_user_is_walked_and_what_we_keep_is_asked_for() -> None:
    nightly = names(PullScope.NIGHTLY, Abilities(honours_modified_after=True))
    assert nightly[2:] == ["customer:walk", "subscription:known", "order:known", "customer:known"]


def test_a_shop_without_subscriptions_is_not_asked_for_any() -> None:
    for scope in PullScope:
        assert not any(name.startswith("subscription") for name in names(scope, Abilities(has_subscriptions=False)))


def test_a_cursor_is_the_same_after_it_was_kept() -> None:
    cursor = Cursor(CHANGED.name, after=AT, after_id=7, page=3, seen=AT)
    assert Cursor.of(cursor.as_json()) == cursor
    assert Cursor.of({}) == Cursor()


def test_dates_are_asked_in_utc_and_said_to_be() -> None:
    asked = stages.query(CHANGED, Cursor(CHANGED.name, after=AT))
    assert (asked["modified_after"], asked["dates_are_gmt"], asked["orderby"]) == (
        "2026-03-02T09:30:00",
        "true",
        "modified",
    )
    assert stages.query_ids(ResourceKind.CUSTOMER, [1, 2]) == {"include": "1,2", "role": "all"}


@pytest.mark.parametrize(
    ("cursor", "dates", "expected"),
    [
        (Cursor(after=AT), at(1, 5, 9), Cursor(after=AT + timedelta(seconds=8))),
        (Cursor(after=AT), at(1, 1, 1), Cursor(after=AT, page=2)),  # one second: by number, else it would stand still
        (Cursor(after=AT, page=2), at(1, 1, 4), Cursor(after=AT + timedelta(seconds=3), page=1)),
        (Cursor(after=AT), at(5, 1, 9), Cursor(after=AT, page=2)),  # the shop did not sort
        (Cursor(after=AT), [], Cursor(after=AT, page=2)),
        (Cursor(), at(3, 4), Cursor(after=AT + timedelta(seconds=3))),
    ],
)
def test_the_next_page_begins_with_the_last_second_of_the_one_before(
    cursor: Cursor, dates: Sequence[datetime], expected: Cursor
) -> None:
    assert stages.further(cursor, dates) == expected


@pytest.mark.parametrize(("size", "ties"), [(1, 1), (2, 1), (3, 2), (7, 5), (2, 5), (3, 20), (5, 5)])
def test_a_list_that_changes_while_it_is_read_is_read_whole(size: int, ties: int) -> None:
    """Resources move to the end as they are changed: none is passed over, and reading comes to an end.

    Where a second holds more than a page, pages go by number, and nothing may move.
    """
    dates = {number: AT + timedelta(seconds=number // ties) for number in range(40)}
    moving = [0, 3, 11, 12, 30] if ties < size else []
    seen: set[int] = set()
    cursor = Cursor(after=AT - timedelta(seconds=1))
    for _ in range(400):
        listed = sorted((date, number) for number, date in dates.items() if cursor.after and date > cursor.after)
        page = listed[(cursor.page - 1) * size : cursor.page * size]
        seen |= {number for _, number in page}
        cursor = stages.further(cursor, [date for date, _ in page])
        if len(page) < size:
            break
        if moving:
            dates[moving.pop(0)] = AT + timedelta(seconds=100 - len(moving))
    else:
        pytest.fail("it never ends")
    assert seen == set(dates)
