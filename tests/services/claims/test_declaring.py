"""Declaring a claim: decided at once by the rules, written whole, once, or refused in a sentence."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, select

from tests.conftest import Cast
from tests.queries import recorded_statements
from tests.services.claims.files import (
    HOME,
    NOON,
    add_option,
    counters_on,
    declare,
    entries_of,
    evening_of,
    make_cover,
)
from tests.services.covers.test_worked_example import ROWS
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.claims import Claim, ClaimChange, ClaimDecision, ClaimEntry, ClaimStatus, EntryKind
from webapp.models.covers import Trade
from webapp.models.subscriptions import SubscriptionStatus
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.claims import declaring
from webapp.services.claims.declaring import ClaimFields
from webapp.services.claims.recording import ClaimStateError
from webapp.services.covers import loading, selling
from webapp.services.covers.decisions import Decision, Left, Outcome, Step
from webapp.services.covers.recording import CoverStateError
from webapp.services.subscriptions import lifecycle


def test_the_worked_example_on_real_rows(cast: Cast) -> None:
    cover = make_cover(cast.commercial)
    add_option(cover, "SERRURERIE", by=cast.commercial, at=evening_of(date(2026, 5, 1)))
    for row in ROWS:
        day = date.fromisoformat(row.day)
        claim = declare(cover, cast.commercial, day, str(row.asked), trade=row.trade, at=evening_of(day))
        is_refused = row.reason is not Step.COVERED
        assert claim.status is (ClaimStatus.REFUSED if is_refused else ClaimStatus.ACCEPTED), row.day
        assert (claim.covered, claim.deductible, claim.over) == (row.covered, row.deductible, row.over.total), row.day
        stored = Decision.from_json(
            db.session.scalars(select(ClaimDecision.content).where(ClaimDecision.claim_id == claim.id)).one()
        )
        assert stored.reason.step is row.reason
        assert row.says in stored.reason.sentence
        claims, amount, option = row.left
        assert stored.after == Left(claims, Decimal(amount), None if option is None else Decimal(option))
        counters = counters_on(cover, day)
        assert (counters.claims, counters.amount) == (3 - claims, 1200 - amount)
    references = db.session.scalars(select(Claim.reference).order_by(Claim.reference)).all()
    assert references == [f"DEP-2026-{n:06d}" for n in range(1, 7)] + [f"DEP-2027-{n:06d}" for n in range(1, 6)]


def test_what_is_written_of_an_accepted_claim(cast: Cast) -> None:
    cover = make_cover(cast.commercial)
    claim = declare(cover, cast.commercial, asked="420", words="Une fuite\nsous l’<b>évier</b>\0")
    assert claim.words == "Une fuite\nsous l’<b>évier</b>"
    changes = db.session.execute(
        select(ClaimChange.old_status, ClaimChange.new_status)
        .where(ClaimChange.claim_id == claim.id)
        .order_by(ClaimChange.id)
    ).all()
    assert changes == [(None, ClaimStatus.DECLARED), (ClaimStatus.DECLARED, ClaimStatus.ACCEPTED)]
    assert entries_of(claim, EntryKind.COVERED) == [Decimal(370)]
    assert entries_of(claim, EntryKind.RESERVE) == [Decimal(370)]
    kinds = db.session.scalars(select(TimelineEvent.kind).where(TimelineEvent.client_id == cover.client_id)).all()
    assert {EventKind.CLAIM_DECLARED, EventKind.CLAIM_DECIDED} <= set(kinds)


def test_a_claim_whose_cost_nobody_knows_takes_its_place_and_what_its_trade_usually_costs(cast: Cast) -> None:
    cover = make_cover(cast.commercial, claims_per_year=1, cap_per_claim=Decimal(150))
    first = declare(cover, cast.commercial, asked=None)
    assert (first.status, first.covered) == (ClaimStatus.ACCEPTED, 0)
    assert entries_of(first, EntryKind.RESERVE) == [Decimal(150)], "no more than could be covered"
    assert declare(cover, cast.commercial, asked="100").status is ClaimStatus.REFUSED


def test_what_only_a_person_can_judge_uses_nothing_yet(cast: Cast) -> None:
    cover = make_cover(cast.commercial)
    claim = declare(cover, cast.commercial, "2026-10-01", "420", declared_on=date(2026, 11, 20))
    assert (claim.status, claim.covered) == (ClaimStatus.TO_REVIEW, 0)
    assert entries_of(claim, EntryKind.COVERED) == []
    assert entries_of(claim, EntryKind.RESERVE) == [Decimal(370)]
    assert counters_on(cover, date(2026, 10, 1)).claims == 0


def test_pressed_twice_it_declares_once(cast: Cast) -> None:
    cover, other, token = make_cover(cast.commercial), make_cover(cast.commercial), uuid4()
    first = declare(cover, cast.commercial, token=token)
    again = declare(cover, cast.commercial, token=token)
    assert again.id == first.id
    assert db.session.scalar(select(func.count()).select_from(Claim)) == 1
    with pytest.raises(ClaimStateError, match="déjà servi"):
        declare(other, cast.commercial, token=token)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"on": "2026-11-21"}, "event_on"),
        ({"on": "1999-12-31"}, "event_on"),
        ({"event_on": None}, "event_on"),
        ({"declared_on": date(2026, 11, 21)}, "declared_on"),
        ({"declared_on": date(2026, 11, 18)}, "declared_on"),
        ({"asked": "-0.01"}, "asked"),
        ({"asked": "1000000.01"}, "asked"),
        ({"asked": "1.005"}, "asked"),
        ({"asked": "NaN"}, "asked"),
        ({"trade": None}, "trade"),
        ({"channel": None}, "channel"),
        ({"home_id": uuid4()}, "home_id"),
        ({"words": "x" * 5001}, "words"),
        ({"on": "2026-11-20", "event_time": time(13, 0)}, "event_time"),
    ],
)
def test_what_no_claim_can_say_is_refused_at_its_field_and_nothing_is_written(
    cast: Cast, values: dict[str, Any], field: str
) -> None:
    cover = make_cover(cast.commercial)
    with pytest.raises(InvalidInputError) as refused:
        declare(cover, cast.commercial, **values)
    assert refused.value.field == field
    for model in (Claim, ClaimDecision, ClaimEntry, ClaimChange):
        assert db.session.scalar(select(func.count()).select_from(model)) == 0


@pytest.mark.parametrize(
    ("day", "step", "says"),
    [
        ("2024-02-29", Step.IN_FORCE, "ne prend effet que le 10/01/2026"),
        ("2026-01-09", Step.IN_FORCE, "ne prend effet que le 10/01/2026"),
        ("2026-02-08", Step.WAITING, "jusqu’au 08/02/2026 inclus"),
    ],
)
def test_a_day_on_which_nothing_was_covered_is_a_refusal_that_says_so(
    cast: Cast, day: str, step: Step, says: str
) -> None:
    claim = declare(make_cover(cast.commercial), cast.commercial, day)
    decision = Decision.from_json(db.session.scalars(select(ClaimDecision.content)).one())
    assert claim.status is ClaimStatus.REFUSED
    assert decision.reason.step is step
    assert says in decision.reason.sentence


def test_a_home_left_yesterday_is_not_covered_today(cast: Cast) -> None:
    cover = make_cover(cast.commercial)
    left = cover.homes[0].home_id
    moved = selling.CoverRequest(version_id=None, home=replace(HOME, address_line1="8 quai"))
    selling.move_home(cover.id, moved, since=date(2026, 11, 20), by=cast.commercial, at=NOON)
    yesterday = declare(cover, cast.commercial, "2026-11-19", home_id=left)
    today = declare(cover, cast.commercial, "2026-11-20", home_id=left)
    assert (yesterday.status, today.status) == (ClaimStatus.ACCEPTED, ClaimStatus.REFUSED)


def test_a_home_does_not_change_while_a_claim_is_open(cast: Cast) -> None:
    cover = make_cover(cast.commercial)
    declare(cover, cast.commercial)
    asked = selling.CoverRequest(version_id=None, home=HOME)
    with pytest.raises(CoverStateError, match=r"Un sinistre est en cours \(DEP-"):
        selling.move_home(cover.id, asked, since=date(2026, 12, 1), by=cast.commercial, at=NOON)


def test_what_happened_to_the_subscription_is_known_before_it_is_decided(cast: Cast) -> None:
    cover = make_cover(cast.commercial)
    lifecycle.cancel(cover.subscription_id, reason="Départ", by=cast.commercial, at=NOON - timedelta(days=2))
    claim = declare(cover, cast.commercial, "2026-11-19")
    assert claim.status is ClaimStatus.REFUSED
    assert loading.find_cover(cover.id).subscription.status is SubscriptionStatus.CANCELED


def test_the_hour_of_the_event_is_one_of_its_day_in_paris(cast: Cast) -> None:
    cover = make_cover(cast.commercial)
    claim = declare(cover, cast.commercial, "2026-11-19", event_time=time(0, 30))
    assert claim.event_at == datetime(2026, 11, 18, 23, 30, tzinfo=UTC)
    in_the_gap = declare(cover, cast.commercial, "2026-03-29", event_time=time(2, 30))
    assert in_the_gap.event_at is not None


def test_nothing_is_declared_for_who_was_erased_or_is_not_there(cast: Cast) -> None:
    cover = make_cover(cast.commercial)
    cover.client.erased_at = NOON
    db.session.commit()
    with pytest.raises(ClaimStateError, match="effacé"):
        declare(cover, cast.commercial)
    with pytest.raises(NotFoundError):
        declaring.declare(uuid4(), ClaimFields(trade=Trade.PLUMBING, event_on=None), by=cast.commercial, at=NOON)


def test_declaring_costs_as_many_statements_after_many_claims_as_after_few(cast: Cast) -> None:
    cover = make_cover(cast.commercial, claims_per_year=100, cap_per_year=Decimal(10_000))
    declare(cover, cast.commercial, asked="60")
    counts = []
    for _ in range(6):
        with recorded_statements() as statements:
            assert declare(cover, cast.commercial, asked="60").status is ClaimStatus.ACCEPTED
        counts.append(len(statements))
    assert len(set(counts[1:])) == 1
    assert counts[-1] <= 35


def test_outcome_words_are_states() -> None:
    assert {each.value for each in Outcome} <= {each.value for each in ClaimStatus}
