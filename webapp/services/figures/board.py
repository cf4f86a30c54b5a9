"""The figures of Depanssur on a page for the board: a PDF, made when somebody asks for it."""

from collections.abc import Mapping
from datetime import date, datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment

from webapp import french
from webapp.services import pdf
from webapp.services.figures.cover_figures import CoverFigures
from webapp.services.figures.cover_revenue import CoverRevenue
from webapp.services.figures.cover_rows import reason_label
from webapp.services.figures.cover_satisfaction import Satisfaction

TEMPLATES = Path(__file__).parent / "print"


def print_board(
    figures: CoverFigures,
    course: Mapping[date, CoverFigures],
    revenue: CoverRevenue,
    *,
    satisfaction: Satisfaction,
    told: Mapping[str, str],
    closed_until: date | None,
    at: datetime,
) -> bytes:
    """The page as a PDF. ``told`` says of what the figures are, in words. Raises PrintingUnavailableError."""
    return pdf.printer(TEMPLATES / "board.css")(
        render_board(figures, course, revenue, satisfaction=satisfaction, told=told, closed_until=closed_until, at=at)
    )


def render_board(
    figures: CoverFigures,
    course: Mapping[date, CoverFigures],
    revenue: CoverRevenue,
    *,
    satisfaction: Satisfaction,
    told: Mapping[str, str],
    closed_until: date | None,
    at: datetime,
) -> str:
    """The page as HTML. ``closed_until`` is the last closed month."""
    highest = max([abs(each.earned) for each in course.values()] + [abs(each.cost) for each in course.values()])
    return (
        _templates()
        .get_template("board.html")
        .render(
            figures=figures,
            course=course,
            revenue=revenue,
            satisfaction=satisfaction,
            told=told,
            closed_until=closed_until,
            at=at,
            highest=highest,
        )
    )


@cache
def _templates() -> Environment:
    return pdf.templates(
        TEMPLATES,
        money=french.money,
        whole=french.whole,
        percent=french.percent,
        number=french.quantity,
        month=french.month,
        moment=french.moment,
        counted=french.counted,
        reason=reason_label,
    )
