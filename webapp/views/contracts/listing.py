"""The list of contracts: one address per view, which numbers everywhere link to."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from webapp.french import day
from webapp.models.contracts import ContractStatus
from webapp.models.saved_views import SavedList
from webapp.services.clients.selection import SourceFilter
from webapp.services.contracts import listing
from webapp.services.contracts.columns import COLUMNS
from webapp.services.contracts.selection import (
    NO_PRODUCT,
    NOBODY,
    SIGNED,
    ContractSort,
    ContractsView,
    OfTeam,
    Seller,
)
from webapp.services.winleadplus import config
from webapp.views.layout import is_fragment_request, list_part
from webapp.views.lists import IMPOSSIBLE_DAY, Chip, backwards, has_impossible_day, read, read_day
from webapp.views.rate_limits import paced
from webapp.views.shown_lists import ListPage, ShownList, list_values, open_page, page_values

bp = Blueprint("contracts", __name__)

PATH = "/contrats"
TEAM = "equipe-"
UNDATED = "sans-date"
WITHOUT = "sans"
YES = "oui"
DAYS = ("du", "au", "fin_du", "fin_au")
STATUSES = [
    ("", "Tous les statuts"),
    (SIGNED, "Signés (ni brouillons ni annulés)"),
    *((status.value, status.label) for status in ContractStatus),
]
SOURCES = [("", "Toutes les sources"), *((source.value, source.label) for source in SourceFilter)]
USUAL = ("reference", "client", "produit", "statut", "montant", "commercial", "signature", "fin")
"""The columns that each row holds; others are read where they are chosen."""


@bp.get(PATH)
@paced
def index() -> ResponseReturnValue:
    """The list of contracts as the address says: see ``ContractsView``. What cannot be read in it is ignored."""
    shown = open_page(PAGE)
    view, problem = read_view(shown.arguments)
    exact = shown.arguments.get("total") == "exact"
    contracts = listing.list_contracts(view, exact=exact)
    values = {**_list_values(view, shown, contracts, exact=exact), "problem": shown.problem or problem}
    if not is_fragment_request():
        return render_template("contracts/list.html", **values, **_form_values(view, shown), **page_values(shown))
    return list_part("contracts", render_template("contracts/_list.html", **values), address=shown.at(address(view)))


@bp.app_template_filter("contracts_address")
def exact_address(view: ContractsView) -> str:
    """Where a number leads: the list behind it, counted exactly."""
    return address(view, exact=True)


def address(view: ContractsView, *, exact: bool = False, **changes: Any) -> str:
    """The address of a view with ``changes``; what is as by default is left out."""
    target = replace(view, **changes)
    query: dict[str, Any] = {
        "q": target.search,
        "statut": target.status,
        "commercial": [_seller_word(seller) for seller in target.sold_by],
        "societe": target.company,
        "produit": target.product,
        "source": target.source,
        "signature": UNDATED if target.is_undated else None,
        "du": target.since,
        "au": target.until,
        "fin_du": target.ends_since,
        "fin_au": target.ends_until,
        "mandat": WITHOUT if target.lacks_mandate else None,
        "absents": YES if target.is_absent else None,
        "tri": target.sort if target.sort is not ContractSort.SIGNED_DESCENDING else None,
        "apres": target.cursor,
        "total": "exact" if exact else None,
    }
    given = {name: value for name, value in query.items() if value}
    return f"{PATH}?{urlencode(given, doseq=True)}" if given else PATH  # a page of figures has hundreds: not by url_for


def read_view(arguments: MultiDict[str, str]) -> tuple[ContractsView, str | None]:
    """The view that an address asks for; with a sentence where its dates contradict each other."""
    product, status = arguments.get("produit"), arguments.get("statut")
    sellers = [_read_seller(word) for word in arguments.getlist("commercial")]
    view = ContractsView(
        search=" ".join(arguments.get("q", "").split()),
        status=SIGNED if status == SIGNED else read(ContractStatus, status),
        sold_by=tuple(seller for seller in dict.fromkeys(sellers) if seller),
        company=read(UUID, arguments.get("societe")),
        product=NO_PRODUCT if product == NO_PRODUCT else read(UUID, product),
        source=read(SourceFilter, arguments.get("source")),
        since=read_day(arguments.get("du")),
        until=read_day(arguments.get("au")),
        is_undated=arguments.get("signature") == UNDATED,
        ends_since=read_day(arguments.get("fin_du")),
        ends_until=read_day(arguments.get("fin_au")),
        lacks_mandate=arguments.get("mandat") == WITHOUT,
        is_absent=arguments.get("absents") == YES,
        sort=read(ContractSort, arguments.get("tri")) or ContractSort.SIGNED_DESCENDING,
        cursor=arguments.get("apres", ""),
    )
    if view.is_undated:
        view = replace(view, since=None, until=None)
    problems = [IMPOSSIBLE_DAY] if has_impossible_day(*(arguments.get(name) for name in DAYS)) else []
    if problem := backwards(view.since, view.until):
        problems.append(problem)
        view = replace(view, since=None, until=None)
    if problem := backwards(view.ends_since, view.ends_until):
        problems.append(problem)
        view = replace(view, ends_since=None, ends_until=None)
    return view, " ".join(problems) or None


def _read_seller(word: str) -> Seller | None:
    if word == NOBODY:
        return NOBODY
    if word.startswith(TEAM):
        team_id = read(UUID, word.removeprefix(TEAM))
        return OfTeam(team_id) if team_id else None
    return read(UUID, word)


def _seller_word(seller: Seller) -> str:
    return f"{TEAM}{seller.id}" if isinstance(seller, OfTeam) else str(seller)


PAGE = ListPage(
    SavedList.CONTRACTS,
    plain=lambda arguments: address(replace(read_view(arguments)[0], cursor="")),
    columns=COLUMNS,
    usual=USUAL,
    fixed=USUAL[0],
    narrow=("client", "statut", "montant"),
)


def _list_values(
    view: ContractsView, shown: ShownList, contracts: listing.ContractList, *, exact: bool
) -> dict[str, Any]:
    page = contracts.page

    def page_address(cursor: str | None) -> str | None:
        return None if cursor is None else shown.at(address(view, exact=exact, cursor=cursor))

    return {
        "view": view,
        "rows": page.rows,
        "total": contracts.total,
        "headings": shown.headings(view.sort, _in_order(view, shown)),
        "cells": shown.cells[1:],
        "takes_prospects": not page.rows and not view.is_narrowed and config.is_switched_on(),
        "values": listing.read_cells([row.id for row in page.rows], shown.beside(USUAL)),
        "first_page": page_address("") if page.previous_cursor else None,
        "previous_page": page_address(page.previous_cursor),
        "next_page": page_address(page.next_cursor),
        "exact_total": shown.at(address(view, exact=True)) if contracts.total.is_capped else None,
        **list_values(shown, address(view, cursor="")),
    }


def _in_order(view: ContractsView, shown: ShownList) -> Callable[[Any], str]:
    return lambda sort: shown.at(address(view, sort=sort, cursor=""))


def _form_values(view: ContractsView, shown: ShownList) -> dict[str, Any]:
    choices = listing.list_choices()
    sellers = [
        ("", "Tous les commerciaux"),
        (NOBODY, "Sans commercial"),
        *((_seller_word(OfTeam(team_id)), f"Équipe\u202f: {name}") for team_id, name in choices.teams),
        *((str(commercial_id), name) for commercial_id, name in choices.commercials),
    ]
    names = dict(sellers)
    return {
        "statuses": STATUSES,
        "sources": SOURCES,
        "sellers": sellers,
        "sold_by": [_seller_word(seller) for seller in view.sold_by],
        "companies": [("", "Toutes les sociétés"), *((str(each), name) for each, name in choices.companies)],
        "products": [
            ("", "Tous les produits"),
            (NO_PRODUCT, "Sans produit"),
            *((str(each), name) for each, name in choices.products),
        ],
        "chips": list(_chips(view, shown, names)),
    }


def _chips(view: ContractsView, shown: ShownList, seller_names: dict[str, str]) -> Iterator[Chip]:
    if len(view.sold_by) > 1:
        words = [_seller_word(seller) for seller in view.sold_by]
        text = ", ".join(seller_names.get(word, "commercial inconnu") for word in words)
        yield Chip(text, [("commercial", word) for word in words], shown.at(address(view, sold_by=(), cursor="")))
    if view.ends_since or view.ends_until:
        bounds = [("fin_du", "à partir du", view.ends_since), ("fin_au", "jusqu’au", view.ends_until)]
        text = "Se terminant " + " ".join(f"{word} {day(limit)}" for _, word, limit in bounds if limit)
        query = [(name, str(limit)) for name, _, limit in bounds if limit]
        yield Chip(text, query, shown.at(address(view, ends_since=None, ends_until=None, cursor="")))
    if view.lacks_mandate:
        yield Chip("Sans mandat actif", [("mandat", WITHOUT)], shown.at(address(view, lacks_mandate=False, cursor="")))
