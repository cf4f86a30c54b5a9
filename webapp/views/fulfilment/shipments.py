"""« Expéditions »: the list, one of them, its label, and what is decided about it."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock, french
from webapp.errors import InvalidInputError, NotFoundError
from webapp.models.fulfilment import ParcelStatus
from webapp.models.identity import Role
from webapp.security import current_user, requires
from webapp.services.fulfilment import shipment_listing, shipments, tracking, tracking_lists
from webapp.services.fulfilment.address_snapshots import FIELDS
from webapp.services.fulfilment.shipment_listing import ShipmentsView
from webapp.services.fulfilment.shipments import ShipmentAction
from webapp.views.clients.form import COUNTRIES
from webapp.views.layout import is_fragment_request, list_part, toast
from webapp.views.lists import read, read_client
from webapp.views.rate_limits import paced

bp = Blueprint("shipments", __name__, url_prefix="/expeditions")

for_managers = requires(Role.MANAGER, Role.ADMIN)
DONE = {
    ShipmentAction.CORRECT: "Adresse de {code} corrigée.",
    ShipmentAction.RELABEL: "Étiquette de {code} redemandée\u202f: elle arrive dans un instant.",
    ShipmentAction.WRITE_NUMBER: "Numéro de suivi de {code} enregistré.",
    ShipmentAction.WRITE_STATUS: "État de {code} enregistré.",
    ShipmentAction.CANCEL: "Expédition {code} annulée\u202f: ses lignes sont de côté.",
}


FIELD_LABELS = {
    "recipient": "Destinataire",
    "company": "Société",
    "line1": "Numéro et rue",
    "line2": "Complément",
    "postcode": "Code postal",
    "city": "Ville",
    "country": "Pays",
    "phone": "Téléphone",
    "instructions": "Instructions",
    "tracking_number": "Numéro de suivi",
    "carrier": "Transporteur",
    "status": "État",
    "reason": "Motif",
}


@bp.get("")
@paced
def index() -> ResponseReturnValue:
    """The shipments by state, the latest first."""
    view = read_view()
    values = list_values(view, lambda **query: url_for("shipments.index", **query))
    if not is_fragment_request():
        return render_template("fulfilment/shipments.html", **values)
    return list_part(
        "shipments",
        render_template("fulfilment/_shipments_list.html", **values),
        address=values["address_of"](view.status),
    )


def read_view(batch_id: UUID | None = None) -> ShipmentsView:
    """The view that the address says, of one batch where it is given."""
    return ShipmentsView(
        search=" ".join(request.args.get("q", "").split()),
        status=read(ParcelStatus, request.args.get("statut")),
        batch_id=batch_id,
        client_id=read_client(request.args.get("client")),
        cursor=request.args.get("apres"),
    )


def list_values(view: ShipmentsView, address: Callable[..., str]) -> dict[str, Any]:
    """What ``fulfilment/_shipments_list.html`` needs; ``address`` makes the address of a query."""
    page = shipment_listing.list_shipments(view)
    filters = {"statut": view.status, "client": view.client_id}

    def address_of(status: ParcelStatus | None, cursor: str | None = None) -> str:
        query = {"q": view.search, **filters, "statut": status, "apres": cursor}
        return address(**{name: value for name, value in query.items() if value})

    return {
        "view": view,
        "filters": filters,
        "shipments": page.rows,
        "counts": shipment_listing.count_by_status(view),
        "statuses": list(ParcelStatus),
        "address_of": address_of,
        "first_page": address_of(view.status) if view.cursor else None,
        "next_page": address_of(view.status, page.next_cursor) if page.next_cursor else None,
        "may_act": may_act(),
        "in_batch": False,
    }


def may_act() -> bool:
    """Whether the user dispatches and decides."""
    return current_user().has_role(Role.MANAGER, Role.ADMIN)


@bp.get("/numeros")
@for_managers
def choose_list() -> ResponseReturnValue:
    """Where a list of tracking numbers is given."""
    return render_template("fulfilment/tracking_list.html", problem=None, entries=None, text="")


@bp.post("/numeros")
@for_managers
def look_at_list() -> ResponseReturnValue:
    """What the list would write, line by line; nothing is written yet."""
    file = request.files.get("liste")
    try:
        text = tracking_lists.decode(file.read(tracking_lists.MOST_BYTES + 1) if file else b"")
        entries = tracking_lists.preview(text)
    except InvalidInputError as error:
        return render_template("fulfilment/tracking_list.html", problem=error, entries=None, text=""), error.status
    return render_template("fulfilment/tracking_list.html", problem=None, entries=entries, text=text)


@bp.post("/numeros/enregistrer")
@for_managers
def write_list() -> ResponseReturnValue:
    """Write what was looked at."""
    try:
        number = tracking_lists.write(request.form.get("texte", ""), by=current_user(), at=clock.now())
    except InvalidInputError as error:
        return render_template("fulfilment/tracking_list.html", problem=error, entries=None, text=""), error.status
    toast("success" if number else "info", f"{french.counted(number, 'numéro enregistré', 'numéros enregistrés')}.")
    return redirect(url_for("shipments.index"), 303)


@bp.get("/<uuid:shipment_id>")
def show(shipment_id: UUID) -> ResponseReturnValue:
    """One shipment; with ``?action=…`` that action's form is open on it."""
    return _page(shipment_id, asked=read(ShipmentAction, request.args.get("action")))


@bp.get("/<uuid:shipment_id>/colis/<uuid:parcel_id>/etiquette")
def download_label(shipment_id: UUID, parcel_id: UUID) -> ResponseReturnValue:
    """The label of a parcel, to be printed."""
    if parcel_id not in {parcel.id for parcel in shipments.find_shipment(shipment_id).parcels}:
        raise NotFoundError
    name, label = shipments.find_label(parcel_id)
    response = Response(label, mimetype="application/pdf")
    response.headers.set("Content-Disposition", "attachment", filename=name)
    return response


@bp.post("/<uuid:shipment_id>/<word>")
@for_managers
def act(shipment_id: UUID, word: str) -> ResponseReturnValue:
    """Do one of the actions; where what was written is refused, its form again with the reason."""
    action = read(ShipmentAction, word)
    if action is None:
        raise NotFoundError
    try:
        _DO[action](shipment_id)
    except InvalidInputError as error:
        return _page(shipment_id, asked=action, problem=error), error.status
    toast("success", DONE[action].format(code=shipments.find_shipment(shipment_id).consignment))
    return redirect(url_for("shipments.show", shipment_id=shipment_id), 303)


def _correct(shipment_id: UUID) -> None:
    written = {name: request.form.get(name, "") for name in FIELDS}
    shipments.correct_address(shipment_id, written, by=current_user(), at=clock.now())


def _relabel(shipment_id: UUID) -> None:
    shipments.relabel(shipment_id, by=current_user(), at=clock.now())


def _write_number(shipment_id: UUID) -> None:
    number, parcel = request.form.get("number", ""), read(int, request.form.get("colis")) or 1
    shipments.write_number(shipment_id, number, parcel_number=parcel, by=current_user(), at=clock.now())


def _write_status(shipment_id: UUID) -> None:
    status = read(ParcelStatus, request.form.get("status"))
    if status is None:
        raise InvalidInputError("Choisissez un état de la liste.", field="status")
    shipments.write_status(shipment_id, status, by=current_user(), at=clock.now())


def _cancel(shipment_id: UUID) -> None:
    shipments.cancel(shipment_id, reason=request.form.get("motif", ""), by=current_user(), at=clock.now())


_DO: dict[ShipmentAction, Callable[[UUID], None]] = {
    ShipmentAction.CORRECT: _correct,
    ShipmentAction.RELABEL: _relabel,
    ShipmentAction.WRITE_NUMBER: _write_number,
    ShipmentAction.WRITE_STATUS: _write_status,
    ShipmentAction.CANCEL: _cancel,
}


def _page(shipment_id: UUID, *, asked: ShipmentAction | None, problem: InvalidInputError | None = None) -> str:
    shipment = shipments.find_shipment(shipment_id)
    actions = shipments.actions_of(shipment) if may_act() else []
    return render_template(
        "fulfilment/shipment.html",
        shipment=shipment,
        actions=actions,
        asked=asked if asked in actions else None,
        problem=problem,
        written=request.form,
        lines=shipments.list_lines(shipment_id),
        events=shipments.list_events(shipment_id),
        tracked=tracking.list_events(shipment_id),
        countries=list(COUNTRIES.items()),
        statuses=[(status.value, status.label) for status in tracking.BY_HAND],
        status_labels={status.value: status.label for status in ParcelStatus},
        field_labels=FIELD_LABELS,
        labels=shipments.list_labelled(shipment_id),
    )
