"""What shops have told us, and what became of it. Managers read and retry; admins close, and see bodies in clear."""

from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from webapp import clock
from webapp.extensions import limiter
from webapp.models.events import EventState
from webapp.security import current_user
from webapp.services import body_masking
from webapp.services.event_engine import DECIDABLE
from webapp.services.woocommerce import events_listing, masking, reopening, shops
from webapp.services.woocommerce.events_listing import EventsView
from webapp.services.woocommerce.topics import TOPICS
from webapp.views.events import STATES, say_all_retried, say_closed, say_retried
from webapp.views.layout import is_fragment_request, list_part
from webapp.views.lists import read
from webapp.views.rate_limits import paced
from webapp.views.woocommerce.shops import for_admins, for_managers, may_change

bp = Blueprint("shop_events", __name__, url_prefix="/integrations/woocommerce/evenements")

LONGEST_TOPIC = 100
REVEALS = "10 per minute; 100 per day"


@bp.get("")
@for_managers
@paced
def index() -> ResponseReturnValue:
    """The events, the latest first, as the address says."""
    view = view_of(request.args)
    page = events_listing.list_events(view)
    values: dict[str, Any] = {
        "view": view,
        "rows": page.rows,
        "filters": _filters(view),
        "can_retry_all": any(row.event.state in DECIDABLE for row in page.rows),
        "first_page": _address(view, None) if view.cursor else None,
        "next_page": _address(view, page.next_cursor) if page.next_cursor else None,
        "may_change": may_change(),
    }
    if not is_fragment_request():
        return render_template("woocommerce/events.html", **values, **_choices())
    return list_part("events", render_template("woocommerce/_events.html", **values), address=_address(view, None))


def view_of(query: MultiDict[str, str]) -> EventsView:
    """What a query asks for; what cannot be read narrows nothing."""
    topic = query.get("sujet", "")
    return EventsView(
        state=read(EventState, query.get("etat")),
        shop_id=read(UUID, query.get("boutique")),
        topic=topic if 0 < len(topic) <= LONGEST_TOPIC and topic.isprintable() else None,
        cursor=query.get("apres"),
    )


def _filters(view: EventsView) -> dict[str, str]:
    """The filters that filter, as an address says them."""
    query = {"etat": view.state, "boutique": view.shop_id, "sujet": view.topic}
    return {name: str(value) for name, value in query.items() if value}


def _address(view: EventsView, cursor: str | None) -> str:
    query: dict[str, Any] = _filters(view)
    return url_for("shop_events.index", **query, apres=cursor)


def _choices() -> dict[str, Any]:
    names = [(str(shop_id), name) for shop_id, name in shops.list_names()]
    return {
        "states": STATES,
        "shops": [("", "Toutes les boutiques"), *names],
        "topics": [("", "Tous les sujets"), *((topic, label) for topic, label in TOPICS.items())],
    }


@bp.get("/<uuid:event_id>")
@for_managers
def show(event_id: UUID) -> ResponseReturnValue:
    """One event: what became of it, and its body with personal data masked."""
    row = events_listing.find_event(event_id)
    body = row.event.body_in_clear()
    masked = body_masking.masked(body, masking.SHOWN) if body is not None else None
    return _page(row, masked, is_unreadable=body is not None and masked is None)


@bp.post("/<uuid:event_id>/en-clair")
@for_admins
@limiter.limit(REVEALS, key_func=lambda: str(session.get("user_id")))
def reveal(event_id: UUID) -> ResponseReturnValue:
    """One event with its body as it came; the client's timeline tells who looked."""
    body = reopening.reveal_body(event_id, by=current_user(), at=clock.now())
    return _page(events_listing.find_event(event_id), body_masking.in_clear(body), is_in_clear=True)


@bp.get("/<uuid:event_id>/en-clair")
@for_admins
def hide(event_id: UUID) -> ResponseReturnValue:
    """Where the form leaves its address: reloaded, the body is masked again."""
    row = events_listing.find_event(event_id)
    return redirect(url_for("shop_events.show", event_id=row.event.id), 303)


def _page(
    row: events_listing.EventRow, body: str | None, *, is_in_clear: bool = False, is_unreadable: bool = False
) -> str:
    return render_template(
        "woocommerce/event.html",
        row=row,
        event=row.event,
        body=body,
        is_in_clear=is_in_clear,
        is_unreadable=is_unreadable,
        is_decidable=row.event.state in DECIDABLE,
        may_change=may_change(),
    )


@bp.post("/<uuid:event_id>/reessayer")
@for_managers
def retry(event_id: UUID) -> ResponseReturnValue:
    """Have an event handled once more."""
    reopening.retry_event(event_id, at=clock.now())
    say_retried()
    return _back()


@bp.post("/reessayer")
@for_managers
def retry_all() -> ResponseReturnValue:
    """Have all events of the filter that failed or wait handled once more."""
    say_all_retried(reopening.retry_all(view_of(request.form), at=clock.now()))
    return _back()


@bp.get("/reessayer")
@for_managers
def show_retrying() -> ResponseReturnValue:
    """Where a form leaves its address: the list that it stands in."""
    return redirect(url_for("shop_events.index"), 303)


@bp.post("/<uuid:event_id>/classer")
@for_admins
def close(event_id: UUID) -> ResponseReturnValue:
    """A person has seen to an event: it is tried no more."""
    reopening.close_event(event_id, by=current_user(), at=clock.now())
    say_closed()
    return _back()


def _back() -> ResponseReturnValue:
    """To the list as it was narrowed: whoever acts on one event acts on the next."""
    return redirect(_address(view_of(request.form), None), 303)
