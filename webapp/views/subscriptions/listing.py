"""The list of subscriptions: one address per view, with what the view brings in a month."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from flask import Blueprint, render_template, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from webapp.models.saved_views import SavedList
from webapp.models.subscriptions import Frequency, SubscriptionStatus
from webapp.services import teams
from webapp.services.contracts.listing import list_choices
from webapp.services.subscriptions import listing
from webapp.services.subscriptions.columns import COLUMNS
from webapp.services.subscriptions.listing import ANY_RECURRING, WITHOUT_COMMERCIAL, SubscriptionSort, SubscriptionsView
from webapp.views.layout import is_fragment_request, list_part
from webapp.views.lists import Chip, read, read_client
from webapp.views.rate_limits import paced
from webapp.views.shown_lists import ListPage, ShownList, list_values, open_page, page_values

bp = Blueprint("subscriptions", __name__)

STATUSES = [
    ("", "Tous les statuts"),
    (ANY_RECURRING, "Actifs et impayés"),
    *((status.value, status.label) for status in SubscriptionStatus),
]
FREQUENCIES = [("", "Toutes les fréquences"), *((frequency.value, frequency.label) for frequency in Frequency)]
SORTS = [
    (SubscriptionSort.NEWEST.value, "Les plus récents d’abord"),
    (SubscriptionSort.NEXT_CHARGE.value, "Par prochaine échéance"),
]
USUAL = ("client", "vendu", "statut", "frequence", "montant", "prochaine-echeance")
"""The columns that each row holds; others are read where they are chosen."""


@bp.get("/abonnements")
@paced
def index() -> ResponseReturnValue:
    """The list of subscriptions as the address says. What cannot be read in it is ignored."""
    shown = open_page(PAGE)
    view = read_view(shown.arguments)
    subscriptions = listing.list_subscriptions(view)
    values: dict[str, Any] = {
        "view": view,
        "rows": subscriptions.page.rows,
        "totals": subscriptions.totals,
        "headings": shown.headings(),
        "cells": shown.cells[1:],
        "values": listing.read_cells([row.id for row in subscriptions.page.rows], shown.beside(USUAL)),
        "problem": shown.problem,
        "first_page": shown.at(address(view, cursor="")) if view.cursor else None,
        "next_page": (cursor := subscriptions.page.next_cursor) and shown.at(address(view, cursor=cursor)),
        **list_values(shown, address(view, cursor="")),
    }
    if not is_fragment_request():
        return render_template("subscriptions/list.html", **values, **_form_values(view, shown), **page_values(shown))
    return list_part(
        "subscriptions", render_template("subscriptions/_list.html", **values), address=shown.at(address(view))
    )


@bp.app_template_filter("subscriptions_address")
def address(view: SubscriptionsView, **changes: Any) -> str:
    """The address of a view with ``changes``; what is as by default is left out."""
    target = replace(view, **changes)
    query: dict[str, Any] = {
        "q": target.search,
        "statut": target.status,
        "frequence": target.frequency,
        "commercial": target.commercial,
        "equipe": target.team,
        "societe": target.company_id,
        "client": target.client_id,
        "contrat": target.contract_id,
        "tri": target.sort if target.sort is not SubscriptionSort.NEWEST else None,
        "apres": target.cursor,
    }
    return url_for("subscriptions.index", **{name: value for name, value in query.items() if value})


def read_view(arguments: MultiDict[str, str]) -> SubscriptionsView:
    """The view that an address asks for. What cannot be read in it is ignored."""
    commercial, status = arguments.get("commercial"), arguments.get("statut")
    return SubscriptionsView(
        search=" ".join(arguments.get("q", "").split()),
        status="recurrents" if status == ANY_RECURRING else read(SubscriptionStatus, status),
        frequency=read(Frequency, arguments.get("frequence")),
        commercial="sans-commercial" if commercial == WITHOUT_COMMERCIAL else read(UUID, commercial),
        team=read(UUID, arguments.get("equipe")),
        company_id=read(UUID, arguments.get("societe")),
        client_id=read_client(arguments.get("client")),
        contract_id=read(UUID, arguments.get("contrat")),
        sort=read(SubscriptionSort, arguments.get("tri")) or SubscriptionSort.NEWEST,
        cursor=arguments.get("apres", ""),
    )


PAGE = ListPage(
    SavedList.SUBSCRIPTIONS,
    plain=lambda arguments: address(replace(read_view(arguments), cursor="")),
    columns=COLUMNS,
    usual=USUAL,
    fixed=USUAL[0],
    narrow=("statut", "montant"),
)


def _form_values(view: SubscriptionsView, shown: ShownList) -> dict[str, Any]:
    choices = list_choices()
    chips = []
    if view.team:
        name = teams.find_name(view.team) or "inconnue"
        without = shown.at(address(view, team=None, cursor=""))
        chips.append(Chip(f"Équipe\u202f: {name}", [("equipe", str(view.team))], without))
    if view.client_id:
        without = shown.at(address(view, client_id=None, cursor=""))
        chips.append(Chip("D’un seul client", [("client", str(view.client_id))], without))
    if view.contract_id:
        without = shown.at(address(view, contract_id=None, cursor=""))
        chips.append(Chip("D’un seul contrat", [("contrat", str(view.contract_id))], without))
    return {
        "statuses": STATUSES,
        "frequencies": FREQUENCIES,
        "sorts": SORTS,
        "commercials": [
            ("", "Tous les commerciaux"),
            (WITHOUT_COMMERCIAL, "Sans commercial"),
            *((str(commercial), name) for commercial, name in choices.commercials),
        ],
        "companies": [("", "Toutes les sociétés"), *((str(each), name) for each, name in choices.companies)],
        "chips": chips,
    }
