"""Clients are told of their cover: open, renewed, suspended, resumed; and the commercial of a cap that comes near."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.orm import undefer

from tests.conftest import Cast
from tests.queries import recorded_queries
from tests.services.claims.files import add_option, declare, make_cover, sell
from webapp import clock
from webapp.extensions import db
from webapp.models.covers import Cover, CoverPeriod, Trade, YearKind
from webapp.models.messages import Message, MessageKind
from webapp.models.outbox import OutboxEvent
from webapp.models.subscriptions import SubscriptionStatus
from webapp.models.tasks import Task
from webapp.services.covers import alerts
from webapp.services.message_triggers import covers, subscriptions
from webapp.services.messages import rendering
from webapp.services.subscriptions import lifecycle

DAY = timedelta(days=1)
NOON = datetime(2026, 11, 20, 11, tzinfo=UTC)
OPENS = datetime(2026, 2, 9, 11, tzinfo=UTC)
"""Since 10 January, with thirty days of waiting."""
RENEWED = datetime(2027, 1, 10, 11, tzinfo=UTC)


@pytest.fixture
def cover(cast: Cast) -> Cover:
    """In force since 10 January 2026: waiting 30 days, 500 € a claim, 1,200 € and three claims a year."""
    clock.start_at(NOON)
    return make_cover(cast.commercial)


def texts(kind: MessageKind) -> list[str]:
    """The words of what was written, the earliest first."""
    statement = select(Message).where(Message.kind == kind).order_by(Message.id).options(undefer(Message.content))
    return [rendering.to_plain_text(each.content_in_clear()["body"]) for each in db.session.scalars(statement)]


Tell = Callable[..., int]


@pytest.mark.parametrize(("tell", "day"), [(covers.tell_open, OPENS), (covers.tell_renewed, RENEWED)])
def test_each_day_is_told_of_once_and_for_some_days_where_nobody_ran(cover: Cover, tell: Tell, day: datetime) -> None:
    assert tell(at=day - DAY) == 0
    assert tell(at=day + 4 * DAY) == 0  # long past: of no use
    assert tell(at=day + 3 * DAY) == 1
    assert tell(at=day) == 0


@pytest.mark.parametrize(("tell", "day"), [(covers.tell_open, OPENS), (covers.tell_renewed, RENEWED)])
def test_what_is_not_in_force_is_told_of_nothing(cover: Cover, cast: Cast, tell: Tell, day: datetime) -> None:
    lifecycle.pause(cover.subscription_id, reason="Vacances", by=cast.commercial, at=OPENS - DAY)
    for event in db.session.scalars(select(OutboxEvent).where(OutboxEvent.kind == "subscription.paused")):
        subscriptions.tell_paused(event)
    assert tell(at=day) == 0


def test_the_end_of_a_waiting_says_what_is_covered(cover: Cover) -> None:
    covers.tell_open(at=OPENS)
    [words] = texts(MessageKind.COVER_OPEN)
    assert "9 février 2026" in words
    assert "Plomberie, Électricité" in words


def test_an_option_has_its_own(cover: Cover, cast: Cast) -> None:
    add_option(cover, "SERRURERIE", by=cast.commercial, at=NOON)
    assert covers.tell_open(at=NOON + 14 * DAY) == 0
    assert covers.tell_open(at=NOON + 15 * DAY) == 1
    [words] = texts(MessageKind.COVER_OPEN)
    assert "Serrurerie" in words


def test_a_new_year_tells_what_was_used_of_the_last_one(cover: Cover, cast: Cast) -> None:
    declare(cover, cast.commercial, "2026-03-02", "420")
    declare(cover, cast.commercial, "2026-06-03", "640", trade=Trade.ELECTRICITY)
    assert covers.tell_renewed(at=RENEWED) == 1
    [words] = texts(MessageKind.COVER_RENEWED)
    assert "2 interventions, 870 €" in words.replace("\u00a0", " ")
    assert "3 interventions, 1 200 €" in words.replace("\u00a0", " ").replace("\u202f", " ")


def test_a_new_year_tells_of_options_too(cover: Cover, cast: Cast) -> None:
    add_option(cover, "SERRURERIE", by=cast.commercial, at=NOON)
    declare(cover, cast.commercial, "2026-12-20", "250", trade=Trade.LOCKSMITH, at=NOON + 40 * DAY)
    assert covers.tell_renewed(at=RENEWED) == 1
    words = texts(MessageKind.COVER_RENEWED)[0].replace("\u00a0", " ").replace("\u202f", " ")
    assert "1 intervention, 0 €, option Serrurerie : 200 €" in words
    assert "3 interventions, 1 200 €, option Serrurerie : 300 €" in words


def test_a_civil_year_is_new_on_the_first_of_january(cast: Cast) -> None:
    make_cover(cast.commercial, year=YearKind.CIVIL)
    assert covers.tell_renewed(at=RENEWED) == 0
    assert covers.tell_renewed(at=datetime(2027, 1, 1, 11, tzinfo=UTC)) == 1


def test_many_covers_cost_as_many_statements_as_one(cast: Cast) -> None:
    clock.start_at(NOON)
    make_cover(cast.commercial)
    with recorded_queries() as one:
        covers.tell_renewed(at=RENEWED)
    for _ in range(3):
        make_cover(cast.commercial)
    with recorded_queries() as more:
        assert covers.tell_renewed(at=RENEWED) == 3
    assert len(more) <= len(one)


def tell(name: str, cover: Cover) -> None:
    """Every event of that kind is delivered, twice."""
    statement = select(OutboxEvent).where(OutboxEvent.kind == f"subscription.{name}")
    for event in 2 * db.session.scalars(statement.order_by(OutboxEvent.id)).all():
        {"paused": subscriptions.tell_paused, "resumed": subscriptions.tell_resumed}[name](event)


def test_a_pause_says_that_nothing_is_covered_and_the_end_of_it_from_when_on(cover: Cover, cast: Cast) -> None:
    until = date(2026, 12, 24)
    lifecycle.pause(cover.subscription_id, reason="Vacances", resume_on=until, by=cast.commercial, at=NOON)
    tell("paused", cover)
    [words] = texts(MessageKind.COVER_SUSPENDED)
    assert "n’est pas couvert" in words
    assert "Elle reprend le" in words
    assert "24 décembre 2026" in words
    lifecycle.resume(cover.subscription_id, by=cast.commercial, at=NOON + DAY)
    tell("resumed", cover)
    [words] = texts(MessageKind.COVER_RESUMED)
    assert "21/11/2026 à 12:00" in words.replace("\u00a0", " ")
    assert texts(MessageKind.SUBSCRIPTION_PAUSED) == texts(MessageKind.SUBSCRIPTION_RESUMED) == []


def test_unpaid_it_resumes_at_noon_of_the_day_after_everything_is_paid(cover: Cover) -> None:
    lifecycle.suspend_unpaid(cover.subscription_id, by=None, at=NOON)
    tell("paused", cover)
    [words] = texts(MessageKind.COVER_SUSPENDED)
    assert "à midi, le lendemain" in words


def test_the_commercial_gets_one_task_a_year_once_most_is_used(cover: Cover, cast: Cast) -> None:
    declare(cover, cast.commercial, "2026-03-02", "420")  # 370 of 1,200
    declare(cover, cast.commercial, "2026-06-03", "640", trade=Trade.ELECTRICITY)  # 870
    assert alerts.raise_due(at=NOON) == 0
    declare(cover, cast.commercial, "2026-11-19", "200")  # 1,020, and three of three
    assert alerts.raise_due(at=NOON) == 1
    assert alerts.raise_due(at=NOON + DAY) == 0
    task = db.session.scalars(select(Task)).one()
    assert (task.client_id, task.due_on) == (cover.client_id, date(2026, 11, 20))
    assert "3 sur 3 interventions" in task.title
    assert alerts.raise_due(at=RENEWED) == 0  # a new year has used nothing


def test_an_option_of_which_most_is_used_has_a_task_of_its_own(cover: Cover, cast: Cast) -> None:
    add_option(cover, "SERRURERIE", by=cast.commercial, at=NOON)
    event, later = date(2026, 12, 20), datetime(2026, 12, 20, 11, tzinfo=UTC)
    declare(cover, cast.commercial, event, "280", trade=Trade.LOCKSMITH, at=later)  # 230 of 300, one of three
    assert alerts.raise_due(at=later) == 0
    declare(cover, cast.commercial, event, "70", trade=Trade.LOCKSMITH, at=later)  # 250
    assert alerts.raise_due(at=later) == 1
    assert "Serrurerie\u202f: 250\u00a0€ sur 300\u00a0€" in db.session.scalars(select(Task.title)).one()
    declare(cover, cast.commercial, event, "420", at=later)  # the third of three
    assert alerts.raise_due(at=later) == 1
    assert alerts.raise_due(at=later + DAY) == 0
    assert len(set(db.session.scalars(select(Task.title)))) == 2


def test_while_a_dearer_plan_waits_the_limits_before_it_are_those_that_are_used(cover: Cover, cast: Cast) -> None:
    for day in ("2026-03-02", "2026-06-03"):
        declare(cover, cast.commercial, day, "550")  # 1,000 of 1,200
    dearer = sell(cap_per_year=Decimal(5000), claims_per_year=20, waiting_days=30)
    db.session.add(CoverPeriod(cover_id=cover.id, since=NOON.date() - DAY, version_id=dearer.id))
    db.session.commit()
    assert alerts.raise_due(at=NOON + 45 * DAY) == 0  # its waiting is over
    assert alerts.raise_due(at=NOON) == 1


def test_all_the_claims_are_enough_and_what_ended_is_left_alone(cover: Cover, cast: Cast) -> None:
    for day in ("2026-03-02", "2026-04-02", "2026-05-02"):
        declare(cover, cast.commercial, day, "60")
    lifecycle.cancel(cover.subscription_id, reason="Parti", by=cast.commercial, at=NOON)
    assert alerts.raise_due(at=NOON) == 0
    cover.subscription.status = SubscriptionStatus.ACTIVE
    db.session.commit()
    assert alerts.raise_due(at=NOON) == 1


@pytest.mark.parametrize(
    ("effective", "today", "since"),
    [
        (date(2024, 2, 29), date(2027, 2, 27), date(2026, 2, 28)),
        (date(2024, 2, 29), date(2027, 2, 28), date(2027, 2, 28)),
        (date(2026, 1, 10), date(2026, 11, 20), date(2026, 1, 10)),
    ],
)
def test_the_database_reckons_cover_years_as_we_do(cover: Cover, effective: date, today: date, since: date) -> None:
    db.session.execute(update(Cover).values(effective_on=effective))
    statement = f"""
      SELECT {alerts.YEAR_SINCE} FROM covers c, cover_plan_versions v,
      (SELECT (extract(year FROM CAST(:today AS date)) - extract(year FROM c2.effective_on))::int AS years
      FROM covers c2) this
    """
    assert db.session.scalar(text(statement), {"today": today}) == since
