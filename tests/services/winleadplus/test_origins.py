"""Provenance says who wrote a value and what stood before, whatever happened in whatever order."""

import random

import pytest

from tests.conftest import Cast
from tests.queries import recorded_statements
from tests.services.winleadplus.conftest import Sync
from tests.services.winleadplus.looking import client_of
from tests.services.winleadplus.raw import first
from tests.services.winleadplus.test_undo import _edit, _undo
from tests.upstream import Upstream
from webapp import clock
from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.models.winleadplus import SyncRun
from webapp.services.clients import origins
from webapp.services.concurrent_edits import EditConflictError


@pytest.mark.parametrize("seed", range(3))
def test_what_is_told_is_what_happened(cast: Cast, winleadplus: Upstream, sync: Sync, seed: int) -> None:
    winleadplus.serve([first(1, ville="Lille")])
    sync()
    told: list[tuple[str, str | None, str | None]] = [("client_imported", None, None)]
    value, undoable = "Lille", None  # the last run that was not undone, with what stood before it
    chance = random.Random(seed)
    for number in range(6):
        new = f"Ville {number}"
        match chance.choice(["edit", "sync", "sync", "undo"]):
            case "edit":
                _edit(client_of(1), cast.manager, city=new)
                told.append(("client_updated", value, new))
                value = new
            case "sync":
                winleadplus.serve([first(1, ville=new)])
                undoable = (sync(), value, new)
                told.append(("client_synced", value, new))
                value = new
            case "undo" if undoable:
                run, before, after = undoable
                _undo(run, cast.manager)
                if value == after:
                    told.append(("changed_by_operation", value, before))
                    value = before
                undoable = None
        db.session.expire_all()
        origin = origins.find_origin(client_of(1).id, "city")
        assert (origin.value, origin.is_told) == (value, True)
        assert [(step.event.kind.value, step.before, step.after) for step in origin.steps] == told[::-1]


def test_a_value_is_put_back_as_an_edit_of_the_version_that_was_seen(
    cast: Cast, winleadplus: Upstream, sync: Sync
) -> None:
    winleadplus.serve([first(1)])
    sync()
    winleadplus.serve([first(1, ville="Roubaix")])
    run: SyncRun = sync()
    client = client_of(1)
    [step, _] = origins.find_origin(client.id, "city").steps
    assert step.event.run_id == run.id
    at = {"by": cast.commercial, "at": clock.now()}
    with pytest.raises(EditConflictError):
        origins.put_back(client.id, "city", step.event.id, version=client.version - 1, **at)
    origins.put_back(client.id, "city", step.event.id, version=client.version, **at)
    origin = origins.find_origin(client.id, "city")
    assert (origin.value, origin.steps[0].event.user_id) == ("Lille", cast.commercial.id)


def test_a_value_written_without_a_trace_is_said_to_be_so(cast: Cast, winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(1)])
    sync()
    _edit(client_of(1), cast.manager, city="Tourcoing")
    client_of(1).city = "Ailleurs"
    db.session.flush()
    assert not origins.find_origin(client_of(1).id, "city").is_told


def test_it_takes_one_statement_and_knows_nothing_of_secrets(cast: Cast, winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(1)])
    sync()
    client_id = client_of(1).id
    with recorded_statements() as statements:
        origins.find_origin(client_id, "commercial_id")
    assert len(statements) == 1
    for field in ("identity_card", "iban", "version"):
        with pytest.raises(NotFoundError):
            origins.find_origin(client_id, field)
