"""The NPS of covers: of the latest answer of each client within twelve months, promoters less detractors.

A trade narrows it to answers about claims of that trade, a plan to covers that had it at the end of the period.
"""

from datetime import datetime
from functools import partial
from math import sqrt
from typing import Any, NamedTuple

from dateutil.relativedelta import relativedelta
from sqlalchemy import Select, func, select
from sqlalchemy.dialects.postgresql import distinct_on

from webapp import clock, keeping, tenancy
from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.claims import Claim, ClaimSatisfaction
from webapp.models.covers import Cover
from webapp.services.figures.cover_figures import CoverFiguresView
from webapp.services.figures.cover_scope import conditions_of

LEAST = 10
"""So many answers are needed for a score."""
MONTHS = 12
PROMOTER, DETRACTOR = 9, 6
"""From this score on; up to this one."""
CONFIDENCE = 1.96
"""How many standard errors 95 % of all samples lie within."""


class Satisfaction(NamedTuple):
    """How many clients answered, and how many of them are promoters (9 or 10), or detractors (0 to 6)."""

    answers: int
    promoters: int
    detractors: int

    @property
    def score(self) -> float | None:
        """The NPS, from -100 to 100; None under LEAST answers."""
        return 100 * (self.promoters - self.detractors) / self.answers if self.answers >= LEAST else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Between which scores the true one lies, with 95 % confidence; None where there is no score."""
        if self.score is None:
            return None
        mean = self.score / 100
        variance = (self.promoters + self.detractors) / self.answers - mean**2
        margin = 100 * CONFIDENCE * sqrt(max(variance, 0) / self.answers)
        return max(self.score - margin, -100), min(self.score + margin, 100)


def find_satisfaction(view: CoverFiguresView, *, at: datetime) -> Satisfaction:
    """The answers of the twelve months before the end of a view; kept for some minutes where counting took long."""
    whose = ["all"] if view.commercial_ids is None else sorted(map(str, view.commercial_ids))
    what = [view.last, view.plan_id, view.trade, *whose]
    return keeping.keep("cover-satisfaction", what, Satisfaction, partial(count_answers, view), at=at)[0]


def count_answers(view: CoverFiguresView) -> Satisfaction:
    """The answers of a view, as they are now."""
    latest = select_latest(view).subquery()
    row = db.session.execute(
        select(
            func.count(),
            func.count().filter(latest.c.score >= PROMOTER),
            func.count().filter(latest.c.score <= DETRACTOR),
        ).select_from(latest)
    ).one()
    return Satisfaction(*row)


def select_latest(view: CoverFiguresView) -> Select[*tuple[Any, ...]]:
    """The latest answer of each client within the twelve months."""
    until = clock.start_of(view.end)
    since = clock.start_of(view.end - relativedelta(months=MONTHS))
    answers = (
        select(ClaimSatisfaction.id, ClaimSatisfaction.client_id, ClaimSatisfaction.score)
        .ext(distinct_on(ClaimSatisfaction.client_id))
        .join(Claim, linked(Claim, ClaimSatisfaction.claim_id))
        .join(Cover, linked(Cover, Claim.cover_id))
        .where(
            ClaimSatisfaction.organisation_id == tenancy.current_organisation_id(),
            ClaimSatisfaction.answered_at >= since,
            ClaimSatisfaction.answered_at < until,
            *conditions_of(view),
        )
        .order_by(ClaimSatisfaction.client_id, ClaimSatisfaction.answered_at.desc(), ClaimSatisfaction.id.desc())
    )
    return answers if view.trade is None else answers.where(Claim.trade == view.trade)
