"""The list of charges, what a run would do now, and what needs a person. For managers.

Each address also answers without HTMX, as a page of its own or by a redirect, so that nothing here needs a script.
"""

from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from webapp import clock, french
from webapp.models.charges import Attention, ChargeStatus
from webapp.models.saved_views import SavedList
from webapp.models.subscriptions import Collector
from webapp.security import current_user
from webapp.services.charges import decisions, listing, resuming
from webapp.services.charges.columns import COLUMNS
from webapp.services.charges.listing import ChargesView
from webapp.views.charges.page import WORDS, for_managers
from webapp.views.charges.runs import situation
from webapp.views.layout import is_fragment_request, list_part, toast
from webapp.views.lists import read, read_client, read_day
from webapp.views.rate_limits import paced
from webapp.views.shown_lists import ListPage, list_values, open_page, page_values

COLLECTORS = [("", "CRM et boutiques"), *((collector.value, collector.label) for collector in Collector)]
USUAL = ("echeance", "client", "statut", "montant", "tentatives")
"""The columns that each row holds; others are read where they are chosen."""

bp = Blueprint("charges", __name__, url_prefix="/prelevements")


@bp.get("")
@for_managers
@paced
def index() -> ResponseReturnValue:
    """What a run would do now, what needs a person, and the charges by state."""
    shown = open_page(PAGE)
    view = read_view(shown.arguments)
    page = listing.list_charges(view)
    values: dict[str, Any] = {
        "view": view,
        "filters": _filters(view),
        "charges": page.rows,
        "headings": shown.headings(),
        "cells": shown.cells[1:],
        "values": listing.read_cells([row.id for row in page.rows], shown.beside(USUAL)),
        "counts": listing.count_by_status(view),
        "statuses": list(ChargeStatus),
        "collectors": COLLECTORS,
        "here": shown.at(_address(view, view.cursor)),
        "problem": shown.problem,
        "first_page": shown.at(_address(view, None)) if view.cursor else None,
        "next_page": page.next_cursor and shown.at(_address(view, page.next_cursor)),
        "address_of": lambda status: shown.at(_address(view, None, statut=status)),
        **list_values(shown, _address(view, None)),
    }
    if not is_fragment_request():
        return render_template("charges/index.html", **values, **situation(), **page_values(shown))
    return list_part("charges", render_template("charges/_list.html", **values), address=shown.at(_address(view, None)))


def read_view(arguments: MultiDict[str, str]) -> ChargesView:
    """The view that an address asks for. What cannot be read in it is ignored."""
    return ChargesView(
        search=" ".join(arguments.get("q", "").split()),
        status=read(ChargeStatus, arguments.get("statut")),
        collected_by=read(Collector, arguments.get("encaissement")),
        client_id=read_client(arguments.get("client")),
        subscription_id=read(UUID, arguments.get("abonnement")),
        due_from=read_day(arguments.get("du")),
        due_until=read_day(arguments.get("au")),
        cursor=arguments.get("apres"),
    )


def _address(view: ChargesView, cursor: str | None, **changes: Any) -> str:
    query = {"q": view.search, **_filters(view), "apres": cursor} | changes
    return url_for("charges.index", **{name: value for name, value in query.items() if value})


def _filters(view: ChargesView) -> dict[str, Any]:
    """What narrows the view beside its search, as the address says it."""
    return {
        "statut": view.status,
        "encaissement": view.collected_by,
        "client": view.client_id,
        "abonnement": view.subscription_id,
        "du": view.due_from,
        "au": view.due_until,
    }


PAGE = ListPage(
    SavedList.CHARGES,
    plain=lambda arguments: _address(read_view(arguments), None),
    columns=COLUMNS,
    usual=USUAL,
    fixed=USUAL[0],
    narrow=("client", "statut", "montant"),
    in_words=frozenset({"tentatives"}),
)


@bp.get("/a-traiter")
@for_managers
def needing_person() -> ResponseReturnValue:
    """The charges that need a person, the longest waiting first."""
    chosen = read(Attention, request.args.get("motif"))
    page = listing.list_needing_person(attention=chosen, cursor=request.args.get("apres"))
    return render_template(
        "charges/to_decide.html",
        charges=page.rows,
        actions_of=decisions.actions_of,
        words={action: word for word, action in WORDS.items()},
        counts=decisions.count_needing_person(),
        chosen=chosen,
        next_page=page.next_cursor
        and url_for("charges.needing_person", motif=chosen and chosen.value, apres=page.next_cursor),
    )


@bp.post("/a-traiter/reprise")
@for_managers
def resume() -> ResponseReturnValue:
    """Try again what waited for a means of payment and has one by now."""
    resumed, waiting = resuming.resume_all(by=current_user(), at=clock.now())
    toast("success" if resumed else "info", _resumed_sentence(resumed, waiting))
    return redirect(url_for("charges.needing_person", motif=Attention.NO_PAYMENT_METHOD.value), 303)


def _resumed_sentence(resumed: int, waiting: int) -> str:
    again = {0: "Aucun prélèvement n’a reçu de moyen de paiement", 1: "Un prélèvement repris"}.get(
        resumed, f"{french.whole(resumed)} prélèvements repris"
    )
    left = {0: "", 1: "\u202f; un attend encore"}.get(waiting, f"\u202f; {french.whole(waiting)} attendent encore")
    return f"{again}{left}."
