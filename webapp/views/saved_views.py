"""Saved views: keeping what a list shows under a name, and the page where one names, shares, pins and deletes them."""

from urllib.parse import parse_qsl
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from webapp import clock
from webapp.errors import InvalidInputError, NotFoundError
from webapp.models.saved_views import SavedList
from webapp.security import current_user
from webapp.services import saved_views
from webapp.services.saved_views import QUERY_LENGTH, ViewState
from webapp.views import invoices
from webapp.views.charges import listing as charges
from webapp.views.clients import listing as clients
from webapp.views.contracts import listing as contracts
from webapp.views.layout import toast
from webapp.views.lists import read
from webapp.views.shown_lists import ListPage, address_of
from webapp.views.subscriptions import listing as subscriptions

bp = Blueprint("saved_views", __name__, url_prefix="/vues/<of_list>")

PAGES = {page.of: page for page in (clients.PAGE, contracts.PAGE, subscriptions.PAGE, charges.PAGE, invoices.PAGE)}


def _page(of_list: str) -> ListPage:
    """Raises NotFoundError."""
    known = read(SavedList, of_list)
    if known is None:
        raise NotFoundError
    return PAGES[known]


def _state(page: ListPage) -> ViewState:
    """What the list showed when the form was made, as far as it can be read."""
    written = request.form.get("etat", "")
    if len(written) > 2 * QUERY_LENGTH:
        raise InvalidInputError("Cette vue a trop de filtres pour être enregistrée.", field="nom")
    return page.state_of(MultiDict(parse_qsl(written)))


@bp.get("")
def index(of_list: str) -> ResponseReturnValue:
    """The views of a list that the user sees."""
    return _index(_page(of_list))


def _index(page: ListPage, refused: UUID | None = None, problem: InvalidInputError | None = None) -> str:
    views = saved_views.list_visible(page.of, by=current_user())
    return render_template(
        "saved_views/list.html",
        page=page,
        views=[(view, address_of(page, view.slug)) for view in views],
        back=page.plain(MultiDict()),
        refused=refused,
        problem=problem,
        written=request.form,
    )


@bp.post("")
def create(of_list: str) -> ResponseReturnValue:
    """Keep what the list shows under a new name, and go there; with a sentence where the name will not do."""
    page, form = _page(of_list), request.form
    try:
        view = saved_views.create(
            page.of,
            _state(page),
            name=form.get("nom", ""),
            is_shared="partagee" in form,
            is_pinned="1" in form.getlist("onglet"),
            is_default="defaut" in form,
            by=current_user(),
            at=clock.now(),
        )
    except InvalidInputError as error:
        return render_template("saved_views/new.html", page=page, written=form, problem=error), error.status
    toast("success", f"Vue «\u00a0{view.name}\u00a0» enregistrée.")
    return redirect(address_of(page, view.slug), 303)


@bp.post("/<uuid:view_id>/etat")
def keep(of_list: str, view_id: UUID) -> ResponseReturnValue:
    """Let a view keep what the list shows."""
    page = _page(of_list)
    view = saved_views.keep_state(page.of, view_id, _state(page), by=current_user())
    toast("success", f"Vue «\u00a0{view.name}\u00a0» enregistrée.")
    return redirect(address_of(page, view.slug), 303)


@bp.post("/<uuid:view_id>")
def rename(of_list: str, view_id: UUID) -> ResponseReturnValue:
    """Another name, shared or not; with a sentence at the field where the name will not do."""
    page, form = _page(of_list), request.form
    try:
        saved_views.rename(page.of, view_id, name=form.get("nom", ""), is_shared="partagee" in form, by=current_user())
    except InvalidInputError as error:
        return _index(page, view_id, error), error.status
    return _back(page, "Vue modifiée.")


@bp.post("/<uuid:view_id>/suppression")
def remove(of_list: str, view_id: UUID) -> ResponseReturnValue:
    """Delete it."""
    page = _page(of_list)
    name = saved_views.remove(page.of, view_id, by=current_user())
    return _back(page, f"Vue «\u00a0{name}\u00a0» supprimée.")


@bp.post("/<uuid:view_id>/onglet")
def pin(of_list: str, view_id: UUID) -> ResponseReturnValue:
    """A tab over the user's list, or no more."""
    page, is_pinned = _page(of_list), request.form.get("valeur") == "oui"
    view = saved_views.pin(page.of, view_id, is_pinned=is_pinned, by=current_user())
    said = "est en onglet" if is_pinned else "n’est plus en onglet"
    return _back(page, f"La vue «\u00a0{view.name}\u00a0» {said}.")


@bp.post("/<uuid:view_id>/defaut")
def set_default(of_list: str, view_id: UUID) -> ResponseReturnValue:
    """What the user's list opens with, or no more."""
    page, is_default = _page(of_list), request.form.get("valeur") == "oui"
    view = saved_views.set_default(page.of, view_id, is_default=is_default, by=current_user())
    said = "ouvre désormais la liste" if is_default else "n’ouvre plus la liste"
    return _back(page, f"La vue «\u00a0{view.name}\u00a0» {said}.")


def _back(page: ListPage, said: str) -> ResponseReturnValue:
    toast("success", said)
    return redirect(url_for("saved_views.index", of_list=page.of.value), 303)
