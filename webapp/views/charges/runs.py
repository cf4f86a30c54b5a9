"""Charge runs: started, joined and followed. For managers."""

import json
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, g, make_response, render_template, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import NotFoundError
from webapp.extensions import limiter
from webapp.models.charges import ChargeRun
from webapp.models.runs import RunStatus, RunTrigger
from webapp.security import current_user
from webapp.services.charges import decisions, runs
from webapp.services.charges.preview import find_preview
from webapp.views.charges.page import for_managers
from webapp.views.layout import Kind, accepted, is_fragment_request, toast

bp = Blueprint("charge_runs", __name__, url_prefix="/prelevements/lancements")

START_LIMIT = "10 per minute"
TOAST_KINDS: dict[RunStatus, Kind] = {
    RunStatus.SUCCESS: "success",
    RunStatus.PARTIAL: "warning",
    RunStatus.FAILED: "error",
}
REFRESH_CHARGES = json.dumps({"charges:refresh": {"target": "body"}})
"""The list of charges listens for this event and fetches its present view again."""


def _requester() -> str:
    return f"user:{g.user.id}"


@bp.post("")
@for_managers
@limiter.limit(START_LIMIT, key_func=_requester)
def start() -> ResponseReturnValue:
    """Start a run, or join the one under way."""
    run_id, _is_new = runs.start(trigger=RunTrigger.MANUAL, by=current_user().id, at=clock.now())
    address = url_for("charge_runs.show", run_id=run_id)
    return accepted(address, lambda: _follow(_find_run(run_id)))


@bp.get("/<uuid:run_id>")
@for_managers
def show(run_id: UUID) -> ResponseReturnValue:
    """How far a run is; at its end, the sentence that says how it went."""
    run = _find_run(run_id)
    if is_fragment_request():
        return _follow(run)
    return render_template(
        "charges/run.html", run=run, sentence=runs.sentence(run), standing=runs.standing(run, at=clock.now())
    )


def _follow(run: ChargeRun) -> Response:
    """The progress, and once the run has ended what on the page depends on it."""
    if not run.is_finished:
        standing = runs.standing(run, at=clock.now())
        return make_response(render_template("charges/_started.html", run=run, standing=standing))
    sentence = runs.sentence(run)
    toast(TOAST_KINDS[run.status], sentence)
    values = situation() | {"run": None}
    page = render_template("charges/_ended.html", ended=run, sentence=sentence, **values)
    return make_response(page, {"HX-Trigger": REFRESH_CHARGES})


def _find_run(run_id: UUID) -> ChargeRun:
    run = runs.find_run(run_id)
    if run is None:
        raise NotFoundError("Ces prélèvements n’existent pas ou plus.")
    return run


def situation() -> dict[str, Any]:
    """What stands above the list of charges."""
    history, at = runs.list_runs(), clock.now()
    preview = find_preview(at=at)
    run = next((each for each in history if not each.is_finished), None)
    return {
        "preview": preview,
        "is_preview_kept": preview.at != at,
        "run": run,
        "standing": run and runs.standing(run, at=at),
        "runs": history,
        "needing": decisions.count_needing_person(),
    }
