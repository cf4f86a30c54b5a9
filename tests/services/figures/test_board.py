"""The page for the board: what its figures are called."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from webapp.services.figures.board import render_board
from webapp.services.figures.cover_figures import CoverFigures
from webapp.services.figures.cover_revenue import CoverRevenue
from webapp.services.figures.cover_satisfaction import Satisfaction
from webapp.services.subscriptions.metrics import PARTS, Churn

REVENUE = CoverRevenue({"start": Decimal(0)} | dict.fromkeys(PARTS, Decimal(0)), Churn(0, 0), Decimal(0))


@pytest.mark.parametrize(("days", "words"), [(365, "1 année<"), (730, "2 années<"), (0, "0 année<")])
def test_one_year_is_no_years(days: int, words: str) -> None:
    figures = CoverFigures(days=30, cover_days=days, refused={}, late={})
    page = render_board(
        figures,
        {date(2026, 11, 1): figures},
        REVENUE,
        satisfaction=Satisfaction(answers=10, promoters=8, detractors=1),
        told={"period": "Novembre 2026", "scope": "", "filters": ""},
        closed_until=None,
        at=datetime(2026, 11, 30, tzinfo=UTC),
    )
    assert words in page
    assert "10 réponses, entre 30 et 100 (95 %)" in page
