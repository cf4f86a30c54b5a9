"""A client's page, and the forms that create and change one."""

from collections.abc import Sequence
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response

from webapp import clock
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import limiter
from webapp.models.clients import Client
from webapp.security import current_user
from webapp.services.clients import archiving, banking, creation, editing, identity_card, timeline
from webapp.services.clients.duplicates import SimilarClient, SimilarClientsError, list_similar
from webapp.services.clients.fields import ClientFields, find_own_commercial
from webapp.services.clients.timeline import EventFilter
from webapp.services.concurrent_edits import Difference, EditConflictError
from webapp.services.contact import normalise_email, normalise_phone
from webapp.views.clients import tabs
from webapp.views.clients.form import ClientForm
from webapp.views.layout import is_fragment_request, toast
from webapp.views.lists import read
from webapp.views.tabs import asked_tab

bp = Blueprint("client", __name__, url_prefix="/clients")

REVEALS = "10 per minute; 100 per day"
CHECKED = ("email", "phone", "postcode", "delivery_postcode", "iban", "bic", "birth_date")

Page = str | Response | tuple[str, int]


@bp.get("/<uuid:client_id>")
def show(client_id: UUID) -> Page:
    """A tab of the client's page; under HTMX with ``?avant=``, the next part of its timeline."""
    tab, before = asked_tab(tabs.ClientTab), request.args.get("avant", type=UUID)
    if not (before and is_fragment_request()):
        return tabs.page(client_id, tab)
    client, only = editing.find_client(client_id), read(EventFilter, request.args.get("genre"))
    events = timeline.list_events(client.id, only=only, before=before)
    return render_template("clients/_events.html", client_id=client.id, timeline=events, tab=tab, only=only)


@bp.route("/nouveau", methods=["GET", "POST"])
def new() -> Page:
    """The form of a new client, and its creation."""
    form = ClientForm()
    form.offer_choices(ClientFields())
    if request.method == "GET":
        form.commercial_id.process(None, find_own_commercial(current_user()))
        return _form_page(form, None)
    return _save(form, None)


@bp.route("/<uuid:client_id>/modifier", methods=["GET", "POST"])
def edit(client_id: UUID) -> Page:
    """The form of a client, and its change."""
    client = editing.find_client(client_id)
    form = ClientForm()
    form.offer_choices(ClientFields.of(client))
    if request.method == "GET":
        form.show(ClientFields.of(client), version=client.version)
        return _form_page(form, client)
    return _save(form, client)


@bp.post("/<uuid:client_id>/archiver")
def archive(client_id: UUID) -> Response:
    """Take the client out of the lists."""
    archiving.archive(client_id, by=current_user(), at=clock.now())
    toast("success", "Client archivé.")
    return redirect(url_for("client.show", client_id=client_id), 303)


@bp.post("/<uuid:client_id>/desarchiver")
def restore(client_id: UUID) -> Response:
    """Put the client back into the lists."""
    archiving.restore(client_id, by=current_user(), at=clock.now())
    toast("success", "Client sorti des archives.")
    return redirect(url_for("client.show", client_id=client_id), 303)


@bp.post("/controle/<field>")
def check(field: str) -> str:
    """One field of the form with its error, if it has one, and the clients that have the same e-mail or telephone."""
    if field not in CHECKED:
        raise NotFoundError
    form = ClientForm()
    form.offer_choices(ClientFields())
    form.validate()
    client_id = request.args.get("client_id", type=UUID)
    similar = None
    if field in ("email", "phone"):
        similar = list_similar(
            email=normalise_email(form.email.data) if form.email.data and not form.email.errors else None,
            phone=normalise_phone(form.phone.data) if form.phone.data and not form.phone.errors else None,
            besides=client_id,
        )
    return render_template("clients/_checked.html", form=form, field=field, client_id=client_id, similar=similar)


@bp.post("/<uuid:client_id>/comptes/<uuid:account_id>/iban")
@limiter.limit(REVEALS, key_func=lambda: str(session.get("user_id")))
def reveal_iban(client_id: UUID, account_id: UUID) -> Page:
    """The account with its IBAN in clear; the timeline tells who looked."""
    revealed = banking.reveal(client_id, account_id, by=current_user(), at=clock.now())
    if not is_fragment_request():
        return tabs.page(client_id, asked_tab(tabs.ClientTab), revealed={account_id: revealed})
    return render_template(
        "clients/_revealed.html",
        account=banking.find_account(client_id, account_id),
        revealed=revealed,
        timeline=timeline.list_events(client_id),
        tab=tabs.ClientTab.OVERVIEW,
        only=None,
    )


@bp.get("/<uuid:client_id>/comptes/<uuid:account_id>")
def hide_iban(client_id: UUID, account_id: UUID) -> Page:
    """The account with its IBAN masked again."""
    account = banking.find_account(client_id, account_id)
    if not is_fragment_request():
        return redirect(url_for("client.show", client_id=client_id))
    return render_template("clients/_iban.html", account=account, revealed=None, may_reveal=True)


@bp.post("/<uuid:client_id>/piece-identite")
@limiter.limit(REVEALS, key_func=lambda: str(session.get("user_id")))
def reveal_identity_card(client_id: UUID) -> Page:
    """The identity card in clear; the timeline tells who looked."""
    fields = identity_card.reveal(client_id, by=current_user(), at=clock.now())
    if not is_fragment_request():
        return tabs.page(client_id, tabs.ClientTab.OVERVIEW, card_fields=fields)
    return render_template(
        "clients/_card_revealed.html",
        card_fields=fields,
        client_id=client_id,
        timeline=timeline.list_events(client_id),
        tab=tabs.ClientTab.OVERVIEW,
        only=None,
    )


@bp.get("/<uuid:client_id>/piece-identite")
def hide_identity_card(client_id: UUID) -> Page:
    """The identity card hidden again."""
    editing.find_client(client_id)
    if not is_fragment_request():
        return redirect(url_for("client.show", client_id=client_id))
    return render_template("clients/_card.html", client_id=client_id, card_fields=None, may_reveal=True)


def _form_page(
    form: ClientForm,
    client: Client | None,
    *,
    similar: Sequence[SimilarClient] = (),
    differences: Sequence[Difference] | None = None,
) -> str:
    return render_template("clients/form.html", form=form, client=client, similar=similar, differences=differences)


def _save(form: ClientForm, client: Client | None) -> Page:
    """Create or change the client; where that is refused, the form again, as it was filled in, with the reason."""
    if not form.validate_on_submit():
        return _form_page(form, client), 422
    written, bank, confirmed = form.written(), form.bank(), "confirmed" in request.form
    by, at = current_user(), clock.now()
    try:
        if client is None:
            saved = creation.create_client(written, bank=bank, confirmed=confirmed, by=by, at=at)
            toast("success", f"{saved.full_name} a été créé.")
        else:
            saved = editing.edit_client(
                client.id, written, version=form.version.data or 0, bank=bank, confirmed=confirmed, by=by, at=at
            )
            toast("success", f"{saved.full_name}\u202f: modifications enregistrées.")
    except InvalidInputError as error:
        form.show_refusal(error)
        return _form_page(form, client), error.status
    except SimilarClientsError as error:
        return _form_page(form, client, similar=error.clients), error.status
    except EditConflictError as error:
        differences = form.show_merged(error.theirs, version=error.version)
        return _form_page(form, client, differences=differences), error.status
    return redirect(url_for("client.show", client_id=saved.id), code=303)
