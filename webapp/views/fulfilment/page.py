"""One batch: its lines, what is to be picked and prepared, what waits for a person. Everybody reads."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, make_response, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock, french
from webapp.errors import DomainError
from webapp.models.fulfilment import BatchStatus, FulfilmentBatch, LineFlag, LineStatus, TotalKind, consignment_code
from webapp.security import current_user
from webapp.services.fulfilment import deciding, listing, lock_runs, totals
from webapp.services.fulfilment.deciding import LineAction
from webapp.services.fulfilment.listing import LinesView
from webapp.services.fulfilment.locking import count_lines
from webapp.views.fulfilment import tabs
from webapp.views.layout import is_fragment_request, list_part, toast
from webapp.views.lists import read
from webapp.views.rate_limits import paced
from webapp.views.subscriptions.changes import preference_text
from webapp.views.tabs import asked_tab

bp = Blueprint("batch", __name__, url_prefix="/lots")

MOST_TOTALS = 200
WORDS = {
    LineAction.HOLD: "retenir",
    LineAction.RELEASE: "liberer",
    LineAction.PREPARE: "preparer",
    LineAction.UNPREPARE: "a-preparer",
    LineAction.SET_ASIDE: "mettre-de-cote",
    LineAction.TAKE_BACK: "reprendre",
    LineAction.CARRY_OVER: "reporter",
    LineAction.SHIP_ANYWAY: "expedier-quand-meme",
    LineAction.WITHDRAW: "retirer",
}
"""The actions as the addresses say them."""


class Tab(StrEnum):
    """What of a batch is shown, as the address says it."""

    LINES = "lignes"
    PREPARATION = "preparation"
    ASIDE = "de-cote"
    SHIPMENTS = tabs.SHIPMENTS
    DOCUMENTS = tabs.DOCUMENTS

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "lignes": "Lignes",
            "preparation": "Préparation",
            "de-cote": "De côté",
            "expeditions": "Expéditions",
            "documents": "Documents",
        }[self.value]


@bp.get("/<uuid:batch_id>")
@paced
def show(batch_id: UUID) -> ResponseReturnValue:
    """A tab of the batch."""
    tab = asked_tab(Tab)
    if not is_fragment_request():
        return batch_page(batch_id, tab)
    batch = listing.show_batch(batch_id)
    if tab is Tab.DOCUMENTS:
        return render_template("fulfilment/_documents.html", **tabs.documents_values(batch))
    if tab is Tab.SHIPMENTS:
        return _shipments_list(batch)
    values = _values(batch) | _lines_values(batch) | {"problem": None, "written": {}}
    view = read_view(batch_id)
    return list_part("lines", render_template("fulfilment/_lines.html", **values), address=_address(view, view.status))


def _shipments_list(batch: FulfilmentBatch) -> Response:
    values = tabs.shipments_list(batch)
    return list_part(
        "shipments",
        render_template("fulfilment/_shipments_list.html", **values),
        address=values["address_of"](values["view"].status),
    )


@bp.get("/<uuid:batch_id>/avancement")
def progress(batch_id: UUID) -> ResponseReturnValue:
    """How far the lock is; once it has ended, the whole page again."""
    batch = listing.show_batch(batch_id)
    if batch.work is not None and is_fragment_request():
        return follow(batch)
    if is_fragment_request():
        _tell_end(batch)
        return Response(headers={"HX-Refresh": "true"})
    return batch_page(batch_id, Tab.LINES)


def follow(batch: FulfilmentBatch) -> Response:
    """Where the lock is."""
    return make_response(render_template("fulfilment/_progress.html", **_values(batch)))


def _tell_end(batch: FulfilmentBatch) -> None:
    if batch.status is BatchStatus.OPEN:
        toast("warning", batch.work_error or "Le verrouillage n’a pas eu lieu\u202f: relancez-le.")
        return
    counts = count_lines(batch.id)
    ready = french.counted(counts.get(LineStatus.TO_PREPARE, 0), "ligne à préparer", "lignes à préparer")
    toast("success", f"Lot n° {batch.number} verrouillé\u202f: {ready}, {counts.get(LineStatus.SET_ASIDE, 0)} de côté.")


def batch_page(batch_id: UUID, tab: Tab, problem: DomainError | None = None, scanned: str = "") -> str:
    """The whole page at a tab; ``problem`` is why something was refused."""
    batch = listing.show_batch(batch_id)
    if batch.status is BatchStatus.OPEN:
        tab = Tab.LINES
    more = _FILLERS[tab](batch)
    missed, came_late = listing.find_late(batch)
    return render_template(
        "fulfilment/show.html",
        tab=tab,
        tabs=[Tab.LINES] if batch.status is BatchStatus.OPEN else list(Tab),
        attention=listing.count_attention(batch.id),
        missed=missed,
        came_late=came_late,
        problem=problem,
        scanned=scanned,
        written=request.form,
        **_values(batch) | more,
    )


def _values(batch: FulfilmentBatch) -> dict[str, Any]:
    """What every part of the page needs."""
    now = clock.now()
    return {
        "batch": batch,
        "counts": count_lines(batch.id),
        "statuses": list(LineStatus),
        "now": now,
        "until": french.until,
        "code_of": lambda line: consignment_code(batch.number, line.consignment_no) if line.consignment_no else "",
        "may_act": current_user().handles_charges,
        "actions_of": lambda line: deciding.actions_of(line, batch) if current_user().handles_charges else [],
        "words": WORDS,
        "written_lines": request.form.getlist("ligne"),
        "preference_text": preference_text,
        "snapshot_lines": snapshot_lines,
        "is_silent": lock_runs.is_silent(batch, at=now),
    }


def snapshot_lines(address: Mapping[str, str]) -> list[str]:
    """A frozen address, line by line, with the recipient; the country only where it is not France."""
    town = f"{address.get('postcode', '')} {address.get('city', '')}".strip()
    named = [address.get(name) for name in ("recipient", "company", "line1", "line2")]
    abroad = french.country(address["country"]) if address.get("country", "FR") != "FR" else None
    return [part for part in (*named, town, abroad, address.get("instructions")) if part]


def _lines_values(batch: FulfilmentBatch) -> dict[str, Any]:
    view = read_view(batch.id)
    page = listing.list_lines(view, batch)
    return {
        "view": view,
        "lines": page.rows,
        "filters": _filters(view),
        "flags": [("", "Tous les signalements"), *((flag.value, flag.label) for flag in LineFlag)],
        "address_of": lambda status: _address(view, status),
        "first_page": _address(view, view.status) if view.cursor else None,
        "next_page": _address(view, view.status, page.next_cursor) if page.next_cursor else None,
    }


def preparation_values(batch: FulfilmentBatch) -> dict[str, Any]:
    """What is to be picked, and boxes that hold the same."""
    return {
        "picking": totals.list_totals(batch.id, TotalKind.PICKING, limit=MOST_TOTALS),
        "boxes": totals.list_totals(batch.id, TotalKind.BOX, limit=MOST_TOTALS),
        "most": MOST_TOTALS,
        "preference_text": preference_text,
        "quantity_of": lambda number: french.quantity(Decimal(str(number))),
    }


def _aside_values(batch: FulfilmentBatch) -> dict[str, Any]:
    page = listing.list_attention(batch.id, request.args.get("apres"))
    following = page.next_cursor and url_for(
        "batch.show", batch_id=batch.id, onglet=Tab.ASIDE.value, apres=page.next_cursor
    )
    return {"lines": page.rows, "next_page": following}


def read_view(batch_id: UUID) -> LinesView:
    """The lines that the address asks for. What cannot be read in it is ignored."""
    return LinesView(
        batch_id=batch_id,
        search=" ".join(request.args.get("q", "").split()),
        status=read(LineStatus, request.args.get("statut")),
        flag=read(LineFlag, request.args.get("signalement")),
        cursor=request.args.get("apres"),
    )


def _filters(view: LinesView) -> dict[str, Any]:
    """What narrows the view beside its search, as the address says it."""
    return {"statut": view.status, "signalement": view.flag}


def _address(view: LinesView, status: LineStatus | None = None, cursor: str | None = None) -> str:
    query = {"q": view.search, "statut": status, "signalement": view.flag, "apres": cursor}
    given: dict[str, Any] = {name: value for name, value in query.items() if value}
    return url_for("batch.show", batch_id=view.batch_id, **given)


_FILLERS: dict[Tab, Callable[[FulfilmentBatch], dict[str, Any]]] = {
    Tab.LINES: _lines_values,
    Tab.PREPARATION: preparation_values,
    Tab.ASIDE: _aside_values,
    Tab.SHIPMENTS: tabs.shipments_values,
    Tab.DOCUMENTS: tabs.documents_values,
}
