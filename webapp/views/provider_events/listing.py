"""What payment providers have told us, and what became of it. For managers.

Of an event only its id, kind and time are shown: the body may hold anything about a client.
"""

from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.models.identity import Role
from webapp.models.provider_events import WebhookState
from webapp.models.providers import Provider
from webapp.security import requires
from webapp.services.provider_events import listing, webhooks
from webapp.services.provider_events.listing import EventsView
from webapp.views.layout import is_fragment_request, list_part, toast
from webapp.views.lists import read

bp = Blueprint("provider_events", __name__, url_prefix="/prelevements/notifications")

STATES = [
    ("", "Tous les états"),
    *((each.value, each.label) for each in (WebhookState.WAITING, WebhookState.FAILED, WebhookState.HANDLED)),
]
PROVIDERS = [
    ("", "Tous les prestataires"),
    *((provider.value, provider.label) for provider in Provider if provider.is_online),
]

for_managers = requires(Role.MANAGER, Role.ADMIN)


@bp.get("")
@for_managers
def index() -> ResponseReturnValue:
    """The events, the latest first, as the address says."""
    view = read_view()
    page = listing.list_events(view)
    values: dict[str, Any] = {
        "view": view,
        "events": page.rows,
        "first_page": _address(view, None) if view.cursor else None,
        "next_page": _address(view, page.next_cursor) if page.next_cursor else None,
    }
    if not is_fragment_request():
        return render_template("provider_events/list.html", **values, states=STATES, providers=PROVIDERS)
    return list_part(
        "notifications", render_template("provider_events/_list.html", **values), address=_address(view, None)
    )


def read_view() -> EventsView:
    """The view that the address asks for. What cannot be read in it is ignored."""
    return EventsView(
        state=read(WebhookState, request.args.get("etat")),
        provider=read(Provider, request.args.get("prestataire")),
        cursor=request.args.get("apres"),
    )


def _address(view: EventsView, cursor: str | None) -> str:
    query: dict[str, Any] = {"etat": view.state, "prestataire": view.provider, "apres": cursor}
    return url_for("provider_events.index", **{name: value for name, value in query.items() if value})


@bp.post("/<uuid:event_id>/reessayer")
@for_managers
def retry(event_id: UUID) -> ResponseReturnValue:
    """Have an event handled once more."""
    webhooks.retry_event(event_id, at=clock.now())
    toast("success", "Nouvel essai demandé\u202f: il a lieu dans un instant.")
    return _back()


@bp.post("/<uuid:event_id>/classer")
@for_managers
def close(event_id: UUID) -> ResponseReturnValue:
    """A person has seen to an event: it is tried no more."""
    webhooks.close_event(event_id, at=clock.now())
    toast("success", "Notification classée\u202f: elle n’est plus réessayée.")
    return _back()


def _back() -> ResponseReturnValue:
    """To the events that failed: whoever acts on one acts on the next."""
    return redirect(url_for("provider_events.index", etat=WebhookState.FAILED), 303)
