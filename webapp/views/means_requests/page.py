"""A request for a means of payment, as staff make it and follow it."""

from typing import Any
from uuid import UUID

from flask import Blueprint, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.config import Settings
from webapp.errors import DomainError, InvalidInputError, UnavailableError
from webapp.models.base import new_id
from webapp.models.clients import Client
from webapp.models.means_requests import MeansRequest
from webapp.models.messages import Channel
from webapp.security import current_user
from webapp.services.clients.editing import find_client
from webapp.services.means_requests import commands, listing, sending
from webapp.services.means_requests.commands import AlreadyAskedError, RequestFields, RequestStateError
from webapp.services.messages.listing import list_about
from webapp.views.clients.tabs import ClientTab
from webapp.views.layout import is_fragment_request, toast
from webapp.views.lists import read

bp = Blueprint("means_requests", __name__, url_prefix="/clients/<uuid:client_id>/demandes")


@bp.get("/nouvelle")
def new(client_id: UUID) -> ResponseReturnValue:
    """The form; ``?abonnement=`` is what the means is for, ``?encaisser=1`` has what is owed paid in the visit."""
    written = {"abonnement": request.args.get("abonnement", ""), "encaisser": request.args.get("encaisser", "")}
    return _form_page(find_client(client_id), written)


@bp.post("/nouvelle")
def create(client_id: UUID) -> ResponseReturnValue:
    """Ask for it."""
    client = find_client(client_id)
    fields = RequestFields(
        account_id=read(UUID, request.form.get("compte")),
        subscription_id=read(UUID, request.form.get("abonnement")),
        takes_payment="encaisser" in request.form,
    )
    try:
        made = commands.create_request(
            client_id, fields, request_id=read(UUID, request.form.get("demande")), by=current_user(), at=clock.now()
        )
    except AlreadyAskedError as error:
        toast("info", error.message)
        return _to_request(client_id, error.request_id)
    except InvalidInputError as error:
        return _form_page(client, request.form, error), error.status
    toast("success", f"Demande {made.code} prête\u202f: transmettez son lien au client.")
    return _to_request(client_id, made.id)


@bp.get("/<uuid:request_id>")
def show(client_id: UUID, request_id: UUID) -> ResponseReturnValue:
    """The request: its link, where it stands, and what can go on once it is answered."""
    client, found = find_client(client_id), commands.find_request(client_id, request_id)
    if request.args.get("etat") == found.status.value:
        return "", 204  # a swap would close what somebody has open
    if is_fragment_request():
        return render_template("means_requests/_state.html", **_state(client, found))
    return render_template("means_requests/show.html", **_state(client, found))


@bp.post("/<uuid:request_id>/transmission")
def mark_sent(client_id: UUID, request_id: UUID) -> ResponseReturnValue:
    """The link was handed on."""
    commands.mark_sent(client_id, request_id, at=clock.now())
    toast("success", "C’est noté\u202f: le lien est transmis.")
    return _to_request(client_id, request_id)


@bp.post("/<uuid:request_id>/envoi")
def send(client_id: UUID, request_id: UUID) -> ResponseReturnValue:
    """Send the link to the client, or once more as a reminder."""
    reminder = read(int, request.form.get("rang", ""))
    try:
        is_written = sending.send_link(
            client_id,
            request_id,
            read(Channel, request.form.get("canal")),
            reminder=-1 if reminder is None else reminder,
            by=current_user(),
            at=clock.now(),
        )
    except (InvalidInputError, RequestStateError) as error:
        toast("error", error.message)
    else:
        written = "C’est écrit\u202f: voyez ci-dessous où en est le message."
        toast("success" if is_written else "info", written if is_written else sending.OFF)
    return _to_request(client_id, request_id)


@bp.post("/<uuid:request_id>/verification")
def look_up(client_id: UUID, request_id: UUID) -> ResponseReturnValue:
    """Ask the provider now."""
    try:
        found = commands.look_up(client_id, request_id, at=clock.now())
    except UnavailableError as error:
        toast("warning", error.message)
    else:
        toast("info", f"Demande {found.code}\u202f: {found.status.label.lower()}.")
    return _to_request(client_id, request_id)


@bp.post("/<uuid:request_id>/annulation")
def cancel(client_id: UUID, request_id: UUID) -> ResponseReturnValue:
    """Call it off."""
    try:
        found = commands.cancel(client_id, request_id, by=current_user(), at=clock.now())
    except (RequestStateError, UnavailableError) as error:
        toast("warning", error.message)
    else:
        toast("info", f"Demande {found.code}\u202f: {found.status.label.lower()}.")
    return _to_request(client_id, request_id)


@bp.post("/<uuid:request_id>/utilisation")
def use(client_id: UUID, request_id: UUID) -> ResponseReturnValue:
    """Pay what waited by the new means, and try what was not paid."""
    try:
        waiting = commands.use_for_waiting(client_id, request_id, by=current_user(), at=clock.now())
    except RequestStateError as error:
        toast("error", error.message)
    else:
        toast("success", _used(waiting))
    return _to_request(client_id, request_id)


def _used(waiting: commands.Waiting) -> str:
    parts = []
    if waiting.subscriptions:
        parts.append("les abonnements sans moyen de paiement l’utilisent désormais")
    if waiting.charges:
        parts.append("les prélèvements en attente sont tentés")
    return f"C’est fait\u202f: {' et '.join(parts)}." if parts else "Rien n’attendait ce moyen de paiement."


def _state(client: Client, found: MeansRequest) -> dict[str, Any]:
    settings: Settings = current_app.extensions["settings"]
    link = settings.base_url + url_for("means_link.show", token=found.token_in_clear())
    return {
        "client": client,
        "asked": listing.describe(found),
        "link": link if found.status.is_open else None,
        "channels": sending.list_channels(client),
        "messages": list_about(found.id),
        "waiting": commands.find_waiting(found, at=clock.now()) if found.saved_method_id else None,
        "back": url_for("client.show", client_id=client.id, onglet=ClientTab.PAYMENTS),
    }


def _form_page(client: Client, written: Any, problem: DomainError | None = None) -> str:
    accounts, subscriptions = listing.list_accounts(), listing.list_subscriptions(client.id, at=clock.now())
    return render_template(
        "means_requests/form.html",
        client=client,
        written=written,
        demand=written.get("demande") or new_id(),
        problem=problem,
        accounts=[(str(entry.account.id), f"{entry.company} – {entry.account.provider.label}") for entry in accounts],
        subscriptions=[("", "Aucun en particulier"), *((str(row.id), row.label) for row in subscriptions)],
        payable=[row for row in subscriptions if row.to_pay is not None],
        chosen_account=written.get("compte") or listing.account_for(written.get("abonnement"), subscriptions, accounts),
        back=url_for("client.show", client_id=client.id, onglet=ClientTab.PAYMENTS),
    )


def _to_request(client_id: UUID, request_id: UUID) -> ResponseReturnValue:
    return redirect(url_for("means_requests.show", client_id=client_id, request_id=request_id), 303)
