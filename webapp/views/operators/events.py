"""What operators have told us of claims, what became of it, and what they were told. Managers read and retry; admins
close, and make keys.
"""

from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from webapp import clock
from webapp.models.events import EventState
from webapp.models.identity import Role
from webapp.security import current_user, requires
from webapp.services import body_masking
from webapp.services.event_engine import DECIDABLE
from webapp.services.operators import fetching, listing
from webapp.services.operators.contract import LONGEST_ID, EventType
from webapp.services.operators.listing import EventsView
from webapp.views.events import STATES, say_all_retried, say_closed, say_retried
from webapp.views.layout import is_fragment_request, list_part, toast
from webapp.views.lists import read
from webapp.views.rate_limits import paced

bp = Blueprint("operator_events", __name__, url_prefix="/couvertures/operateurs/evenements")

for_admins = requires(Role.ADMIN)
for_managers = requires(Role.MANAGER, Role.ADMIN)
TYPES = [("", "Tous les types"), *((each.value, each.label) for each in EventType)]


@bp.get("")
@for_managers
@paced
def index() -> ResponseReturnValue:
    """The events, the latest first, as the address says."""
    view = view_of(request.args)
    page = listing.list_events(view)
    values: dict[str, Any] = {
        "view": view,
        "events": page.rows,
        "types": {each.value: each.label for each in EventType},
        "filters": _filters(view),
        "can_retry_all": any(event.state in DECIDABLE for event in page.rows),
        "first_page": _address(view, None) if view.cursor else None,
        "next_page": _address(view, page.next_cursor) if page.next_cursor else None,
        "may_change": _may_change(),
    }
    if not is_fragment_request():
        return render_template("operators/events.html", **values, choices=_choices())
    return list_part("events", render_template("operators/_events.html", **values), address=_address(view, None))


def view_of(query: MultiDict[str, str]) -> EventsView:
    """What a query asks for; what cannot be read narrows nothing."""
    file = query.get("dossier", "").strip()
    return EventsView(
        state=read(EventState, query.get("etat")),
        operator_id=read(UUID, query.get("operateur")),
        type=read(EventType, query.get("type")),
        file=file if 0 < len(file) <= LONGEST_ID and file.isprintable() else None,
        cursor=query.get("apres"),
    )


def _filters(view: EventsView) -> dict[str, str]:
    """The filters that filter, as an address says them."""
    query = {"etat": view.state, "operateur": view.operator_id, "type": view.type, "dossier": view.file}
    return {name: str(value) for name, value in query.items() if value}


def _address(view: EventsView, cursor: str | None) -> str:
    query: dict[str, Any] = _filters(view)
    return url_for("operator_events.index", **query, apres=cursor)


def _choices() -> dict[str, Any]:
    names = [(str(operator_id), name) for operator_id, name in listing.list_names()]
    return {"states": STATES, "operators": [("", "Tous les opérateurs"), *names], "types": TYPES}


def _may_change() -> bool:
    return current_user().has_role(Role.ADMIN)


@bp.get("/<uuid:event_id>")
@for_managers
def show(event_id: UUID) -> ResponseReturnValue:
    """One event: what became of it, and its body with personal data masked."""
    event = listing.find_event(event_id)
    body = event.body_in_clear()
    return render_template(
        "operators/event.html",
        event=event,
        label=EventType(event.type).label,
        body=body_masking.masked(body, listing.SHOWN) if body is not None else None,
        is_decidable=event.state in DECIDABLE,
        may_change=_may_change(),
    )


@bp.post("/<uuid:event_id>/reessayer")
@for_managers
def retry(event_id: UUID) -> ResponseReturnValue:
    """Have an event handled once more."""
    listing.retry_event(event_id, at=clock.now())
    say_retried()
    return _back()


@bp.post("/reessayer")
@for_managers
def retry_all() -> ResponseReturnValue:
    """Have all events of the filter that failed or wait handled once more."""
    say_all_retried(listing.retry_all(view_of(request.form), at=clock.now()))
    return _back()


@bp.get("/reessayer")
@for_managers
def show_retrying() -> ResponseReturnValue:
    """Where a form leaves its address: the list that it stands in."""
    return redirect(url_for("operator_events.index"), 303)


@bp.post("/<uuid:event_id>/classer")
@for_admins
def close(event_id: UUID) -> ResponseReturnValue:
    """A person has seen to an event: it is tried no more."""
    listing.close_event(event_id, by=current_user(), at=clock.now())
    say_closed()
    return _back()


def _back() -> ResponseReturnValue:
    """To the list as it was narrowed: whoever acts on one event acts on the next."""
    return redirect(_address(view_of(request.form), None), 303)


@bp.get("/envois")
@for_managers
@paced
def deliveries() -> ResponseReturnValue:
    """What operators were told lately, or are to be told."""
    return render_template(
        "operators/deliveries.html",
        deliveries=listing.list_deliveries(),
        types={each.value: each.label for each in EventType},
    )


@bp.post("/envois/<uuid:delivery_id>/reessayer")
@for_managers
def retry_delivery(delivery_id: UUID) -> ResponseReturnValue:
    """Send once more what failed."""
    listing.retry_delivery(delivery_id, at=clock.now())
    toast("success", "Nouvel envoi demandé\u202f: il a lieu dans un instant.")
    return redirect(url_for("operator_events.deliveries"), 303)


@bp.post("/fichiers/<uuid:document_id>/reessayer")
@for_managers
def retry_document(document_id: UUID) -> ResponseReturnValue:
    """Fetch once more a file that an operator linked to."""
    claim_id = fetching.retry(document_id, at=clock.now())
    say_retried()
    return redirect(url_for("claim.show", claim_id=claim_id), 303)
