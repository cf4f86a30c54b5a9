"""The operator's open files beside ours: each difference is a task, once, for as long as it is open."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select

from demo.depanssur_operator import Desk
from tests.conftest import Cast
from tests.depanssur_operator import running
from tests.services.claims.files import declare, make_cover
from webapp import clock
from webapp.extensions import db
from webapp.models.claims import Claim
from webapp.models.operators import CoverOperator
from webapp.models.tasks import Task
from webapp.services.claims import working
from webapp.services.operators import comparing


@pytest.fixture
def connected(cast: Cast) -> Iterator[tuple[Desk, CoverOperator]]:
    with running(cast.admin) as both:
        both[0].files.clear()
        yield both


@pytest.fixture
def claim(cast: Cast, connected: tuple[Desk, CoverOperator]) -> Claim:
    """One that the operator calls OP-1, and of which we know revision 2."""
    claim = declare(make_cover(cast.commercial), cast.commercial, "2026-11-01", at=clock.now())
    claim.operator_id, claim.external_id, claim.revision = connected[1].id, "OP-1", 2
    db.session.commit()
    return claim


def listed(revision: int = 2, state: str = "declared") -> dict[str, Any]:
    return {"external_id": "OP-1", "revision": revision, "state": state, "reference": None}


def titles() -> list[str]:
    return list(db.session.scalars(select(Task.title).order_by(Task.created_at, Task.id)))


def test_the_same_on_both_sides_is_no_task(claim: Claim, connected: tuple[Desk, CoverOperator]) -> None:
    connected[0].files["OP-1"] = listed()
    assert comparing.compare(claim.organisation_id) == 0


@pytest.mark.parametrize(
    ("theirs", "words"),
    [
        (None, "ne l’a plus parmi ses dossiers ouverts"),
        (listed(state="closed"), "ne l’a plus parmi ses dossiers ouverts"),
        (listed(3), "ne nous est pas parvenue"),
    ],
)
def test_a_difference_is_a_task_once(
    claim: Claim, connected: tuple[Desk, CoverOperator], theirs: dict[str, Any] | None, words: str
) -> None:
    if theirs:
        connected[0].files["OP-1"] = theirs
    assert [comparing.compare(claim.organisation_id) for _ in range(2)] == [1, 0]
    task = db.session.scalars(select(Task)).one()
    assert words in task.title
    assert task.claim_id == claim.id
    task.done_at = clock.now()
    db.session.commit()
    assert comparing.compare(claim.organisation_id) == 1  # it still differs a week later


def test_what_is_over_here_and_open_there_is_one(
    cast: Cast, claim: Claim, connected: tuple[Desk, CoverOperator]
) -> None:
    connected[0].files["OP-1"] = listed()
    working.cancel(claim.id, reason="Erreur", version=None, by=cast.manager, at=clock.now())
    assert comparing.compare(claim.organisation_id) == 1
    assert "l’a encore ouvert, il est «\u00a0annulé\u00a0» ici" in titles()[0]


def test_an_operator_that_does_not_answer_changes_nothing(claim: Claim, connected: tuple[Desk, CoverOperator]) -> None:
    connected[1].delivery_url = "http://127.0.0.1:9/webhooks"
    db.session.commit()
    assert comparing.compare(claim.organisation_id) == 0
    assert titles() == []
