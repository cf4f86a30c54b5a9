"""What leaves of a batch: its dispatch, followed to the last label, the hand-over to the carrier, and its end."""

from typing import Any
from uuid import UUID

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock, french
from webapp.errors import DomainError
from webapp.models.fulfilment import BatchStatus, BatchWork, FulfilmentBatch, ParcelStatus
from webapp.security import current_user
from webapp.services.carriers import settings
from webapp.services.carriers.accounts import service_label
from webapp.services.fulfilment import batches, completing, dispatching, handing_over, shipment_listing
from webapp.services.fulfilment.dispatching import Unprepared
from webapp.services.fulfilment.shipment_listing import ShipmentsView
from webapp.views.fulfilment.shipments import for_managers, list_values, read_view
from webapp.views.layout import accepted, is_fragment_request, toast
from webapp.views.lists import read
from webapp.views.rate_limits import paced

bp = Blueprint("batch_shipments", __name__, url_prefix="/lots/<uuid:batch_id>")

LABELLING = (ParcelStatus.TO_LABEL, ParcelStatus.SENDING)
MOST_CHOSEN = shipment_listing.PAGE_SIZE


@bp.get("/expeditions")
@paced
def index(batch_id: UUID) -> ResponseReturnValue:
    """The shipments of a batch, in the order of its consignments, and what may be done with them."""
    return _page(batches.find_batch(batch_id))


def _page(batch: FulfilmentBatch, problem: DomainError | None = None) -> ResponseReturnValue:
    if problem is None and is_fragment_request():
        return render_template("fulfilment/_shipments_list.html", **_list_of(batch))
    return render_template("fulfilment/batch_shipments.html", **tab_values(batch, problem))


def _list_of(batch: FulfilmentBatch) -> dict[str, Any]:
    values = list_values(
        read_view(batch.id), lambda **query: url_for("batch_shipments.index", batch_id=batch.id, **query)
    )
    return values | {"in_batch": True, "batch": batch}


def tab_values(batch: FulfilmentBatch, problem: DomainError | None = None) -> dict[str, Any]:
    """What ``fulfilment/_batch_shipments.html`` needs."""
    shipper = settings.find_shipper(batch.company_id)
    accounts = [
        (str(account.id), f"{account.carrier.label} {service_label(account)}".strip())
        for account in shipper.accounts
        if account.is_active
    ]
    return {
        **_list_of(batch),
        **_standing(batch),
        "problem": problem,
        "written": request.form,
        "accounts": accounts,
        "default_account": str(shipper.settings.default_account_id or ""),
        "choices": [(each.value, each.label) for each in Unprepared],
        "unprepared": dispatching.count_unprepared(batch.id) if batch.status is BatchStatus.LOCKED else 0,
        "left": completing.count_left(batch.id) if batch.status is BatchStatus.DISPATCHED else 0,
    }


def _standing(batch: FulfilmentBatch) -> dict[str, Any]:
    """How far the dispatch and its labels are."""
    counts = shipment_listing.count_by_status(ShipmentsView(batch_id=batch.id))
    return {
        "batch": batch,
        "is_dispatching": batch.work is BatchWork.DISPATCH,
        "waiting": sum(counts.get(status, 0) for status in LABELLING),
        "total": sum(number for status, number in counts.items() if status is not ParcelStatus.CANCELED),
        "undecided": {
            status: counts[status] for status in (ParcelStatus.REFUSED, ParcelStatus.UNKNOWN) if counts.get(status)
        },
        "paused": shipment_listing.list_paused(batch.id),
    }


@bp.post("/expedition")
@for_managers
def dispatch(batch_id: UUID) -> ResponseReturnValue:
    """Have the batch dispatched. What a person has to decide first is told beside the form."""
    batch = batches.find_batch(batch_id)
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
        return make_response(_page(batch, refusal), refusal.status)
    return accepted(url_for("batch_shipments.follow", batch_id=batch_id), lambda: _follow(batches.find_batch(batch_id)))


@bp.get("/expedition")
def follow(batch_id: UUID) -> ResponseReturnValue:
    """How far the dispatch and the labels are; without script, the page of the batch's shipments."""
    batch = batches.find_batch(batch_id)
    return _follow(batch) if is_fragment_request() else redirect(url_for("batch_shipments.index", batch_id=batch_id))


def _follow(batch: FulfilmentBatch) -> Response:
    """The progress; once it has ended, the whole of what depends on it."""
    standing = _standing(batch)
    if standing["is_dispatching"] or (standing["waiting"] and not standing["paused"]):
        return make_response(render_template("fulfilment/_dispatch_progress.html", **standing))
    if batch.work_error:
        toast("error", batch.work_error)
    elif standing["paused"]:
        toast("warning", "Le transporteur ne répond pas\u202f: les étiquettes suivront.")
    else:
        toast(
            "success", f"Lot n°\u00a0{batch.number} expédié\u202f: {french.counted(standing['total'], 'expédition')}."
        )
    response = make_response(render_template("fulfilment/_dispatch_progress.html", **standing))
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
    return redirect(url_for("batch_shipments.index", batch_id=batch_id), 303)


@bp.post("/fin")
@for_managers
def complete(batch_id: UUID) -> ResponseReturnValue:
    """Nothing of the batch is left to do."""
    batch = completing.complete(batch_id, by=current_user(), at=clock.now())
    toast("success", f"Lot n°\u00a0{batch.number} terminé.")
    return redirect(url_for("batch_shipments.index", batch_id=batch_id), 303)
