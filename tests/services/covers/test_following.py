"""A cover follows its subscription, each change once, whatever is delivered when."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from tests import factories
from tests.conftest import Cast
from webapp import clock
from webapp.extensions import db
from webapp.models.covers import Cover, CoverCause, CoverFact, CoverKind, CoverNature, HomeKind, Occupancy
from webapp.models.outbox import OutboxEvent, OutboxKind
from webapp.models.subscriptions import Subscription, SubscriptionStatus
from webapp.services.covers import following, loading, selling
from webapp.services.covers.homes import HomeFields
from webapp.services.covers.selling import CoverRequest
from webapp.services.subscriptions import lifecycle

NOON = datetime(2026, 11, 20, 11, tzinfo=UTC)
HOME = HomeFields(
    kind=HomeKind.HOUSE, occupancy=Occupancy.OWNER, address_line1="3 rue du Port", postcode="59000", city="Lille"
)
ACTIVE, SUSPENDED, ENDED = CoverKind.ACTIVE, CoverKind.SUSPENDED, CoverKind.ENDED


def cover_of(
    cast: Cast,
    *,
    status: SubscriptionStatus = SubscriptionStatus.ACTIVE,
    nature: CoverNature = CoverNature.INSURANCE,
    effective_on: date = date(2026, 11, 20),
) -> Cover:
    """A cover of a subscription, made at NOON."""
    version = factories.CoverPlanVersionFactory(nature=nature)
    subscription: Subscription = factories.SubscriptionFactory(client_id=factories.ClientFactory().id, status=status)
    db.session.flush()
    concluded_on = min(effective_on, NOON.date())
    asked = CoverRequest(version_id=version.id, home=HOME, concluded_on=concluded_on, effective_on=effective_on)
    return selling.add_cover(subscription.id, asked, by=cast.commercial, at=NOON)


def deliver(cover: Cover, kinds: Sequence[OutboxKind] = tuple(OutboxKind)) -> None:
    """Tell the subscriber of every event of the subscription, the latest first."""
    statement = select(OutboxEvent).where(OutboxEvent.subject_id == cover.subscription_id)
    for event in db.session.scalars(statement.order_by(OutboxEvent.occurred_at.desc(), OutboxEvent.id.desc())):
        following.follow(event)


def line_of_time(cover: Cover) -> list[tuple[CoverKind, datetime, CoverCause]]:
    life = loading.life_of(loading.find_cover(cover.id))
    return [(each.kind, each.since.astimezone(UTC), each.cause) for each in life.intervals]


def midnight(day: date) -> datetime:
    return clock.start_of(day).astimezone(UTC)


def test_a_cover_of_a_living_subscription_is_in_force_from_its_day(cast: Cast) -> None:
    cover = cover_of(cast, effective_on=date(2026, 1, 10))
    assert line_of_time(cover) == [(ACTIVE, midnight(date(2026, 1, 10)), CoverCause.ACTIVATION)]


def test_a_cover_takes_effect_when_its_subscription_begins(cast: Cast) -> None:
    cover = cover_of(cast, status=SubscriptionStatus.PENDING)
    assert line_of_time(cover) == []
    lifecycle.activate(cover.subscription_id, by=cast.commercial, at=NOON + timedelta(days=3))
    deliver(cover)
    assert line_of_time(cover) == [(ACTIVE, midnight(date(2026, 11, 23)), CoverCause.ACTIVATION)]
    assert loading.find_cover(cover.id).effective_on == date(2026, 11, 23)


def test_a_cover_that_begins_later_waits_for_its_day(cast: Cast) -> None:
    cover = cover_of(cast, status=SubscriptionStatus.PENDING, effective_on=date(2026, 12, 24))
    lifecycle.activate(cover.subscription_id, by=cast.commercial, at=NOON)
    deliver(cover)
    assert line_of_time(cover) == [(ACTIVE, midnight(date(2026, 12, 24)), CoverCause.ACTIVATION)]


@pytest.mark.parametrize(
    ("nature", "resumes_at"),
    [
        (CoverNature.INSURANCE, datetime(2026, 12, 2, 11, tzinfo=UTC)),
        (CoverNature.SERVICE, datetime(2026, 12, 1, 17, tzinfo=UTC)),
    ],
)
def test_what_is_suspended_for_non_payment_goes_on_by_the_rule_of_its_nature(
    cast: Cast, nature: CoverNature, resumes_at: datetime
) -> None:
    cover = cover_of(cast, nature=nature)
    lifecycle.suspend_unpaid(cover.subscription_id, by=None, at=NOON + timedelta(days=1))
    lifecycle.resume(cover.subscription_id, by=None, at=datetime(2026, 12, 1, 17, tzinfo=UTC))
    deliver(cover)
    assert line_of_time(cover)[1:] == [
        (SUSPENDED, NOON + timedelta(days=1), CoverCause.UNPAID),
        (ACTIVE, resumes_at, CoverCause.PAYMENT),
    ]


def test_a_pause_ends_when_the_subscription_goes_on(cast: Cast) -> None:
    cover = cover_of(cast)
    lifecycle.pause(cover.subscription_id, reason="Vacances", by=cast.commercial, at=NOON + timedelta(days=1))
    lifecycle.resume(cover.subscription_id, by=cast.commercial, at=NOON + timedelta(days=8))
    lifecycle.cancel(cover.subscription_id, reason="Déménagement", by=cast.commercial, at=NOON + timedelta(days=9))
    deliver(cover)
    assert line_of_time(cover)[1:] == [
        (SUSPENDED, NOON + timedelta(days=1), CoverCause.PAUSE),
        (ACTIVE, NOON + timedelta(days=8), CoverCause.RESUMPTION),
        (ENDED, NOON + timedelta(days=9), CoverCause.TERMINATION),
    ]


def test_what_comes_by_itself_counts_from_its_day_however_late_it_is_noted(cast: Cast) -> None:
    """The timetable was away for two days: the client was told the day, and is covered, or not, from then on."""
    cover = cover_of(cast)
    back_on, ends_on = date(2026, 12, 1), date(2026, 12, 10)
    lifecycle.pause(
        cover.subscription_id, reason="Vacances", by=cast.commercial, at=NOON + timedelta(days=1), resume_on=back_on
    )
    lifecycle.resume_due(at=midnight(back_on) + timedelta(days=2))
    lifecycle.cancel_on(
        cover.subscription_id, ends_on, reason="Accord", by=cast.commercial, at=midnight(back_on) + timedelta(days=3)
    )
    lifecycle.end_due(at=midnight(ends_on) + timedelta(days=2))
    deliver(cover)
    assert line_of_time(cover)[1:] == [
        (SUSPENDED, NOON + timedelta(days=1), CoverCause.PAUSE),
        (ACTIVE, midnight(back_on), CoverCause.RESUMPTION),
        (ENDED, midnight(ends_on), CoverCause.TERMINATION),
    ]


def test_events_that_come_twice_and_in_any_order_tell_the_same(cast: Cast) -> None:
    cover = cover_of(cast)
    lifecycle.pause(cover.subscription_id, reason="Vacances", by=cast.commercial, at=NOON + timedelta(days=1))
    lifecycle.resume(cover.subscription_id, by=cast.commercial, at=NOON + timedelta(days=8))
    deliver(cover)
    told = line_of_time(cover)
    deliver(cover)
    assert line_of_time(cover) == told
    assert db.session.query(CoverFact).count() == 3


def test_a_cover_of_a_paused_subscription_stands_still(cast: Cast) -> None:
    cover = cover_of(cast, status=SubscriptionStatus.PAUSED)
    assert [kind for kind, _, _ in line_of_time(cover)] == [ACTIVE, SUSPENDED]


@pytest.mark.parametrize("table", ["cover_facts", "cover_periods", "cover_homes"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET at = now()", "DELETE FROM {}"])
def test_what_is_known_of_a_cover_is_only_ever_added_to(cast: Cast, table: str, statement: str) -> None:
    cover_of(cast)
    db.session.flush()
    with pytest.raises(DBAPIError, match="is only ever added to"):
        db.session.execute(db.text(statement.format(table)))


def test_a_subscription_that_never_began_goes_with_its_cover(cast: Cast) -> None:
    cover = cover_of(cast, status=SubscriptionStatus.PENDING)
    db.session.execute(db.text("DELETE FROM subscriptions WHERE id = :id"), {"id": cover.subscription_id})
    assert db.session.query(Cover).count() == 0
