"""Any permutation and repetition of a file's events ends in the same state as the right order."""

from itertools import count
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from tests.conftest import Cast
from tests.examples import some
from tests.services.claims.files import make_cover
from tests.services.operators.events import claim_of, file_of, make_operator, tell
from webapp.extensions import db
from webapp.models.claims import ClaimIntervention, ClaimSatisfaction
from webapp.models.operator_events import OperatorDocument
from webapp.services.claims import accounts
from webapp.services.operators import handling, keys

NUMBERS = count(1)
AMOUNTS = st.sampled_from([None, "30.00", "180.00", "420.00", "640.00"])
TRADES = st.sampled_from(["plumbing", "plumbing", "electricity", "glazing"])
DAYS = st.sampled_from(["2026-11-19", "2026-11-18", "2026-02-01", "2026-10-01"])
LATER = ("in_progress", "closed", "in_progress", "closed", "canceled")


@st.composite
def lives(draw: st.DrawFn) -> list[dict[str, Any]]:
    """The claims of a life in their order: states go the way that the contract allows."""
    states = ["declared", *LATER[: draw(st.integers(0, len(LATER)))]]
    states = [state for each in states for state in [each] * draw(st.integers(1, 2))]
    life = []
    for revision, state in enumerate(states, start=1):
        asked = draw(AMOUNTS)
        visits = [
            {"external_id": f"v{number}", "done_at": f"2026-11-{10 + number}T09:00:00Z"} for number in range(revision)
        ]
        life.append(
            {
                "revision": revision * 3,
                "state": state,
                "trade": draw(TRADES),
                "event_on": draw(DAYS),
                "asked": asked or "180.00" if state == "closed" else asked,
                "words": f"Révision {revision}",
                "interventions": visits[-draw(st.integers(1, 3)) :],
                "documents": [
                    {"external_id": f"d{number}", "name": "a.pdf", "url": "https://example.org/a.pdf"}
                    for number in range(revision)
                ],
                "satisfaction": {"score": min(revision, 10), "answered_at": "2026-11-19T09:00:00Z"}
                if revision > 2
                else None,
            }
        )
    return life


class World:
    """A cover for each telling, so that one does not use what another one may."""

    def __init__(self, cast: Cast) -> None:
        self.by, operators = cast.commercial, keys.list_operators()
        self.operator = operators[0] if operators else make_operator(cast.admin)

    def end_of(self, told: list[dict[str, Any]]) -> dict[str, Any]:
        """How a file ends of which that is told, in that order."""
        number = f"OP-{next(NUMBERS)}"
        cover = make_cover(self.by)
        for claim in told:
            kind = "claim.updated" if claim["state"] in ("declared", "in_progress") else None
            tell(self.operator, claim_of(cover, **(claim | {"external_id": number})), kind)
        handling.handle_due(self.operator.organisation_id)
        return state_of(number)


def state_of(number: str) -> dict[str, Any]:
    """All that is known of a file, but for its own numbers and how it came to this."""
    claim = file_of(number)
    names = ("status", "asked", "covered", "deductible", "over", "trade", "event_on", "words", "revision", "doubt")
    visits = select(ClaimIntervention.external_id).where(ClaimIntervention.claim_id == claim.id)
    answer = select(ClaimSatisfaction.score).where(ClaimSatisfaction.claim_id == claim.id)
    files = select(OperatorDocument.external_id).where(OperatorDocument.claim_id == claim.id)
    return {name: getattr(claim, name) for name in names} | {
        "sums": accounts.sum_up(accounts.list_entries(claim.id)),
        "is_closed": claim.closed_at is not None,
        "visits": sorted(db.session.scalars(visits)),
        "score": db.session.scalar(answer),
        "documents": sorted(db.session.scalars(files)),
        "reported": claim.reported_state,
    }


@settings(max_examples=some(30), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(life=lives(), data=st.data())
def test_any_order(cast: Cast, life: list[dict[str, Any]], data: st.DataObject) -> None:
    world = World(cast)
    in_order = world.end_of(life)
    repeated = [*life, *data.draw(st.lists(st.sampled_from(life), max_size=3))]
    shuffled = data.draw(st.permutations(repeated))
    assert world.end_of(shuffled) == in_order
