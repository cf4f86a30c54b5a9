"""What leaves of a batch: its dispatch, followed to the last label, the hand-over to the carrier, and its end."""

from uuid import UUID

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock, french
from webapp.errors import DomainError
from webapp.models.fulfilment import FulfilmentBatch
from webapp.security import current_user
from webapp.services.fulfilment import batches, completing, dispatching, handing_over, shipment_listing
from webapp.services.fulfilment.dispatching import Unprepared
from webapp.views.fulfilment.page import Tab, batch_page
from webapp.views.fulfilment.shipments import for_managers
from webapp.views.fulfilment.tabs import SHIPMENTS, address_of_tab, dispatch_standing
from webapp.views.layout import accepted, is_fragment_request, toast
from webapp.views.lists import read

bp = Blueprint("batch_shipments", __name__, url_prefix="/lots/<uuid:batch_id>")

MOST_CHOSEN = shipment_listing.PAGE_SIZE


@bp.post("/expedition")
@for_managers
def dispatch(batch_id: UUID) -> ResponseReturnValue:
    """Have the batch dispatched. What a person has to decide first is told beside the form."""
    try:
        dispatching.ask(
            batch_id,
            account_id=read(UUID, request.form.get("compte")),
            unprepared=read(Unprepared, request.form.get("restes")),
            reason=request.form.get("motif", ""),
            by=current_user(),
            at=clock.now(),
        )
    except DomainError as refusal:
        if is_fragment_request() or refusal.field is None:
            raise
        return make_response(batch_page(batch_id, Tab.SHIPMENTS, refusal), refusal.status)
    return accepted(url_for("batch_shipments.follow", batch_id=batch_id), lambda: _follow(batches.find_batch(batch_id)))


@bp.get("/expedition")
def follow(batch_id: UUID) -> ResponseReturnValue:
    """How far the dispatch and the labels are; without script, the page of the batch's shipments."""
    batch = batches.find_batch(batch_id)
    return _follow(batch) if is_fragment_request() else redirect(address_of_tab(batch, SHIPMENTS))


def _follow(batch: FulfilmentBatch) -> Response:
    """The progress; once it has ended, the whole of what depends on it."""
    standing = dispatch_standing(batch)
    response = make_response(render_template("fulfilment/_dispatch_progress.html", **standing))
    if standing["is_dispatching"] or (standing["waiting"] and not standing["resting"]):
        return response
    if batch.work_error:
        toast("error", batch.work_error)
    elif standing["resting"]:
        toast("warning", "Le transporteur ne répond pas\u202f: les étiquettes suivront.")
    else:
        toast(
            "success", f"Lot n°\u00a0{batch.number} expédié\u202f: {french.counted(standing['total'], 'expédition')}."
        )
    response.headers["HX-Refresh"] = "true"
    return response


@bp.post("/remise")
@for_managers
def hand_over(batch_id: UUID) -> ResponseReturnValue:
    """The carrier has got all that is ready, or what is chosen."""
    chosen = None
    if request.form.get("choix") != "tout":
        found = (read(UUID, text) for text in request.form.getlist("expedition")[:MOST_CHOSEN])
        chosen = [each for each in found if each is not None]
    if chosen == []:
        toast("info", "Cochez au moins une expédition.")
    else:
        number = handing_over.hand_over(batch_id, shipment_ids=chosen, by=current_user(), at=clock.now())
        word = french.counted(number, "expédition remise", "expéditions remises")
        toast("success", f"{word} au transporteur.")
    return redirect(address_of_tab(batches.find_batch(batch_id), SHIPMENTS), 303)


@bp.post("/fin")
@for_managers
def complete(batch_id: UUID) -> ResponseReturnValue:
    """Nothing of the batch is left to do."""
    batch = completing.complete(batch_id, by=current_user(), at=clock.now())
    toast("success", f"Lot n°\u00a0{batch.number} terminé.")
    return redirect(address_of_tab(batch, SHIPMENTS), 303)
