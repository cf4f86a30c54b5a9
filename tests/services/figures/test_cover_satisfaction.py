"""The NPS: of the latest answer of each client in twelve months, and none under ten."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from tests.conftest import Cast
from tests.services.figures.cover_world import World
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.claims import Claim, ClaimSatisfaction
from webapp.models.covers import Trade
from webapp.services.figures import cover_rows
from webapp.services.figures.cover_figures import CoverFiguresView
from webapp.services.figures.cover_rows import Figure, FigureRowsView
from webapp.services.figures.cover_satisfaction import Satisfaction, count_answers

ANSWERED = datetime(2026, 11, 3, 9, tzinfo=UTC)
NOVEMBER = CoverFiguresView(first=date(2026, 11, 1), last=date(2026, 11, 1))


def answer(claim: Claim, score: int, at: datetime = ANSWERED) -> None:
    row = ClaimSatisfaction(id=new_id(), claim_id=claim.id, client_id=claim.client_id, score=score, answered_at=at)
    db.session.add(row)
    db.session.commit()


def test_the_latest_answer_of_each_client_counts(cast: Cast) -> None:
    world = World(cast)
    world.at += timedelta(days=60)
    first, second, third = (world.declare(world.covers[which], 0, 200) for which in (0, 0, 1))  # type: ignore[arg-type]
    answer(first, 3, ANSWERED - timedelta(days=9))
    answer(second, 10)
    answer(third, 6, datetime(2025, 11, 30, 22, tzinfo=UTC))
    assert count_answers(NOVEMBER) == Satisfaction(1, 1, 0)
    assert count_answers(replace(NOVEMBER, trade=Trade.HEATING)) == Satisfaction(0, 0, 0)
    assert count_answers(replace(NOVEMBER, plan_id=world.sold[1].plan_id)) == Satisfaction(0, 0, 0)
    assert count_answers(replace(NOVEMBER, commercial_ids=frozenset({cast.sales_rep.id}))) == Satisfaction(1, 1, 0)
    before = CoverFiguresView(first=date(2026, 10, 1), last=date(2026, 10, 1))
    assert count_answers(before) == Satisfaction(2, 0, 2)
    rows = cover_rows.list_rows(FigureRowsView(**vars(NOVEMBER), figure=Figure.SATISFACTION, at=ANSWERED)).rows
    assert [(row.amount, row.claim_id) for row in rows] == [(10, second.id)]


def test_under_ten_answers_there_is_no_score() -> None:
    assert (Satisfaction(9, 9, 0).score, Satisfaction(9, 9, 0).interval) == (None, None)
    assert Satisfaction(10, 5, 2).score == 30


def test_the_interval_is_that_of_a_mean_of_ones_zeros_and_minus_ones() -> None:
    """Of 50 answers with 30 promoters and 10 detractors: 40, and 1.96 times the square root of 0.64 / 50."""
    assert Satisfaction(50, 30, 10).interval == pytest.approx((17.83, 62.17), abs=0.01)
    assert Satisfaction(20, 20, 0).interval == (100, 100)
