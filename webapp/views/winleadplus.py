"""Synchronisations with WinLeadPlus: started, followed and looked into from the clients page.

Each address also answers without HTMX, as a page of its own or by a redirect, so that nothing here needs a script.
"""

import json
from uuid import UUID

from flask import Blueprint, Response, g, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import limiter
from webapp.french import whole
from webapp.models.identity import Role
from webapp.models.runs import RunStatus, RunTrigger
from webapp.models.winleadplus import ItemKind, SyncItem, SyncRun
from webapp.security import current_user, fresh_access_token
from webapp.services.operations import undoing_syncs
from webapp.services.winleadplus import absence, field_changes, items, runs, status
from webapp.services.winleadplus.status import ItemsView
from webapp.views.layout import Kind, accepted, is_fragment_request, toast

bp = Blueprint("winleadplus", __name__, url_prefix="/synchronisations")

START_LIMIT = "10 per minute"
TOAST_KINDS: dict[RunStatus, Kind] = {
    RunStatus.SUCCESS: "success",
    RunStatus.PARTIAL: "warning",
    RunStatus.FAILED: "error",
}
OPEN_CONFLICTS = "conflits"
"""What a number of the statistics leads to: only offered to who comes from there."""
FILTERS: dict[str, tuple[ItemKind, ...]] = {
    "a-traiter": status.PROBLEMS,
    "crees": (ItemKind.CREATED,),
    "modifies": (ItemKind.UPDATED,),
    "ignores": (ItemKind.SKIPPED,),
    "absents": (ItemKind.ABSENT,),
    OPEN_CONFLICTS: (ItemKind.CONFLICT,),
}
REFRESH_CLIENTS = json.dumps({"clients:refresh": {"target": "body"}})
"""The list of clients listens for this event and fetches its present view again."""


def _requester() -> str:
    return f"user:{g.user.id}"


@bp.post("")
@limiter.limit(START_LIMIT, key_func=_requester)
def create() -> ResponseReturnValue:
    """Start a synchronisation (``essai=1``: a dry run), or join the one under way."""
    run_id, _is_new = runs.start(
        trigger=RunTrigger.MANUAL,
        by=current_user().id,
        user_token=fresh_access_token(),
        dry_run=request.form.get("essai") == "1",
        at=clock.now(),
    )
    address = url_for("winleadplus.show", run_id=run_id)
    return accepted(address, lambda: _follow(_find_run(run_id)))


@bp.get("")
def index() -> ResponseReturnValue:
    """The panel of the clients page; with ``avant``, further rows of its list of runs."""
    before = _read_uuid(request.args.get("avant"))
    if before and is_fragment_request():
        return render_template("winleadplus/_run_rows.html", runs=status.list_runs(before=before))
    template = "winleadplus/_panel.html" if is_fragment_request() else "winleadplus/index.html"
    return render_template(template, sync=status.overview(at=clock.now(), before=before))


@bp.get("/<uuid:run_id>")
def show(run_id: UUID) -> ResponseReturnValue:
    """How far a run is; at its end, the sentence that says how it went."""
    run = _find_run(run_id)
    if is_fragment_request():
        return _follow(run)
    return render_template("winleadplus/show.html", run=run, sentence=status.sentence(run), **_undoing(run))


@bp.post("/<uuid:run_id>/annuler")
def undo(run_id: UUID) -> ResponseReturnValue:
    """Plan the undoing of a run, which is looked at before it is applied."""
    operation_id = undoing_syncs.plan_undo(run_id, by=current_user(), at=clock.now())
    return redirect(url_for("operations.show", operation_id=operation_id), 303)


def _undoing(run: SyncRun) -> dict[str, object]:
    """What undoes the run, and whether the person may have it undone."""
    if not (undoing_syncs.may_undo(current_user()) and undoing_syncs.can_be_undone(run, at=clock.now())):
        return {"undone_by": None, "can_undo": False}
    undone_by = undoing_syncs.find_undo(run.id)
    return {"undone_by": undone_by, "can_undo": undone_by is None or undone_by.state.lets_plan_anew}


def _follow(run: SyncRun) -> Response:
    """The progress, and once the run has ended whatever on the page depends on it."""
    if not run.is_finished:
        return make_response(render_template("winleadplus/_started.html", run=run))
    sentence = status.sentence(run)
    toast(TOAST_KINDS[run.status], sentence)
    sync = status.overview(at=clock.now())
    page = render_template("winleadplus/_ended.html", run=run, sentence=sentence, sync=sync)
    return make_response(page, {} if run.dry_run else {"HX-Trigger": REFRESH_CLIENTS})


@bp.get("/<uuid:run_id>/elements")
def list_items(run_id: UUID) -> ResponseReturnValue:
    """What a run did, or would do, prospect by prospect (``genre``, ``apres``)."""
    run = _find_run(run_id)
    counts = _counts(run)
    kind = _shown_kind(run)
    is_open = kind == OPEN_CONFLICTS
    if is_open:
        counts[OPEN_CONFLICTS] = status.count_open_conflicts(run_id)
    page = status.list_items(run_id, kinds=FILTERS[kind], after=_read_uuid(request.args.get("apres")), is_open=is_open)
    template, is_fragment = "winleadplus/items.html", is_fragment_request()
    if is_fragment:
        template = "winleadplus/_item_rows.html" if "apres" in request.args else "winleadplus/_items.html"
    values = {"run": run, "items": page, "kind": kind, "counts": counts, "can_close": is_fragment, **_undoing(run)}
    values["awaits_confirmation"] = current_user().has_role(Role.ADMIN) and absence.awaits_confirmation(run)
    return render_template(template, changes_of=field_changes.changes_of, **values)


def _shown_kind(run: SyncRun) -> str:
    chosen = request.args.get("genre", "")
    return chosen if chosen in FILTERS else _first_filled(run, _counts(run))


def read_items_view(run_id: UUID) -> ItemsView:
    """The items that the address asks for. Raises NotFoundError."""
    kind = _shown_kind(_find_run(run_id))
    return ItemsView(run_id, FILTERS[kind], is_open=kind == OPEN_CONFLICTS)


@bp.post("/<uuid:run_id>/arreter")
def stop(run_id: UUID) -> ResponseReturnValue:
    """Ask for the end of a run that is under way."""
    runs.stop(run_id, by=current_user(), at=clock.now())
    toast("info", "Arrêt demandé.")
    if is_fragment_request():
        return _follow(_find_run(run_id))
    return redirect(url_for("winleadplus.show", run_id=run_id), 303)


@bp.post("/<uuid:run_id>/absences")
def confirm_absences(run_id: UUID) -> ResponseReturnValue:
    """Say that the prospects that vanished at once are gone indeed."""
    number = absence.confirm(run_id, by=current_user(), at=clock.now())
    toast("success", f"{whole(number)} prospects signalés absents de WinLeadPlus.")
    return redirect(url_for("winleadplus.list_items", run_id=run_id, genre="absents"), 303)


@bp.post("/<uuid:run_id>/elements/<uuid:item_id>/rattacher")
def link_item(run_id: UUID, item_id: UUID) -> ResponseReturnValue:
    """End a conflict: the prospect is the client ``client``."""
    client_id = _read_uuid(request.form.get("client"))
    if client_id is None:
        raise InvalidInputError("Choisissez le client auquel rattacher ce prospect.")
    item = _find_item(run_id, item_id)
    items.link(item.id, client_id, by=current_user().id, at=clock.now())
    return _show_ended(item, "Prospect rattaché.")


@bp.post("/<uuid:run_id>/elements/<uuid:item_id>/creer")
def create_client(run_id: UUID, item_id: UUID) -> ResponseReturnValue:
    """End a conflict: the prospect is a client of its own."""
    item = _find_item(run_id, item_id)
    items.create(item.id, by=current_user().id, at=clock.now())
    return _show_ended(item, "Client créé.")


@bp.post("/<uuid:run_id>/elements/<uuid:item_id>/reessayer")
def retry_item(run_id: UUID, item_id: UUID) -> ResponseReturnValue:
    """Try a prospect that ended in error once more."""
    item = _find_item(run_id, item_id)
    client_id = items.retry(item.id, by=current_user().id, at=clock.now())
    return _show_ended(item, "Prospect importé." if client_id else "Prospect ignoré : il n’a aucun contrat.")


def _find_item(run_id: UUID, item_id: UUID) -> SyncItem:
    item = status.find_item(run_id, item_id)
    if item is None:
        raise NotFoundError("Ce prospect n’est pas dans cette synchronisation.")
    return item


def _show_ended(item: SyncItem, sentence: str) -> ResponseReturnValue:
    toast("success", sentence)
    if not is_fragment_request():
        return redirect(url_for("winleadplus.list_items", run_id=item.run_id), 303)
    values = {"item": _find_item(item.run_id, item.id), "run": _find_run(item.run_id), "is_ended": True}
    page = render_template("winleadplus/_item.html", changes_of=field_changes.changes_of, candidates={}, **values)
    return make_response(page, {"HX-Trigger": REFRESH_CLIENTS})


def _counts(run: SyncRun) -> dict[str, int]:
    """How many prospects stand behind each filter."""
    return {
        "a-traiter": run.conflicts + run.errors + run.warnings,
        "crees": run.created,
        "modifies": run.updated,
        "ignores": run.skipped,
        "absents": run.absent,
        OPEN_CONFLICTS: 0,
    }


def _first_filled(run: SyncRun, counts: dict[str, int]) -> str:
    """What one wants to see first: of a simulation its plan, of a run what it left to do, an admin's word included."""
    if not run.dry_run and absence.awaits_confirmation(run):
        return "absents"
    wanted = ("crees", "modifies", "a-traiter") if run.dry_run else ("a-traiter", "crees", "modifies")
    return next((kind for kind in (*wanted, "absents") if counts[kind]), wanted[0])


def _find_run(run_id: UUID) -> SyncRun:
    run = runs.find_run(run_id)
    if run is None:
        raise NotFoundError("Cette synchronisation n’existe pas ou plus.")
    return run


def _read_uuid(text: str | None) -> UUID | None:
    """What is no UUID is as if it were not there."""
    try:
        return UUID(text or "")
    except ValueError:
        return None
