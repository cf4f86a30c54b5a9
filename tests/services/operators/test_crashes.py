"""kill -9 before any commit of the worker: an event is handled whole, once, or not at all, and then again."""

import pytest
from flask import Flask
from sqlalchemy import func, select

from tests import factories
from tests.conftest import Cast
from tests.forking import die_at, fork, was_killed
from tests.services.claims.files import make_cover
from tests.services.operators.events import claim_of, latest, make_operator, tell
from webapp import clock
from webapp.extensions import db
from webapp.models.claims import Claim, ClaimDecision, ClaimEntry, ClaimIntervention, ClaimSatisfaction
from webapp.models.events import EventState
from webapp.models.operator_events import OperatorDocument
from webapp.services import event_engine
from webapp.services.operators import handling

MODELS = (Claim, ClaimDecision, ClaimEntry, ClaimIntervention, ClaimSatisfaction, OperatorDocument)
WHOLE = {
    "state": "closed",
    "interventions": [{"external_id": "v1", "done_at": "2026-11-20T08:00:00Z"}],
    "documents": [{"external_id": "d1", "name": "a.pdf", "url": "https://example.org/a.pdf"}],
    "satisfaction": {"score": 3, "answered_at": "2026-11-20T08:00:00Z"},
}


@pytest.fixture
def cast(committed: None) -> Cast:
    """The cast, really committed."""
    made: Cast = factories.make_cast(Cast)
    return made


def _counted() -> list[int]:
    counts = [db.session.scalar(select(func.count()).select_from(model)) or 0 for model in MODELS]
    db.session.rollback()
    return counts


@pytest.mark.parametrize(("point", "step"), [("commit", 1), ("before_cursor_execute", 5)])
def test_a_worker_that_is_killed_leaves_all_or_nothing(app: Flask, cast: Cast, point: str, step: int) -> None:
    operator = make_operator(cast.admin)
    organisation_id = operator.organisation_id
    tell(operator, claim_of(make_cover(cast.commercial), **WHOLE))
    nothing, killed = _counted(), 0
    for number in range(0, 200, step):

        def work(number: int = number) -> None:
            die_at(point, number)
            handling.handle_due(organisation_id)

        lived = not was_killed(fork(work))
        written = _counted()
        if lived:
            break
        killed += 1
        assert written in (nothing, [1, 1, len(ENTRIES), 1, 1, 1]), number
        clock.start_at(clock.now() + event_engine.LEASE * 2)
        handling.sweep(at=clock.now())
        db.session.rollback()
    assert killed >= (1 if point == "commit" else 5)
    handling.handle_due(organisation_id)
    assert _counted() == [1, 1, len(ENTRIES), 1, 1, 1]
    assert latest().state is EventState.DONE


ENTRIES = ("covered", "reserve", "reserve ended")
