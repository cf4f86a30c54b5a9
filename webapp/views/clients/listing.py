"""The clients page: one address per view of the list, with and without HTMX."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product, starmap
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit
from uuid import UUID

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from webapp import clock
from webapp.models.clients import ClientStatus
from webapp.models.consents import ConsentPurpose
from webapp.models.identity import Role
from webapp.models.operations import ListedIn
from webapp.models.saved_views import SavedList
from webapp.security import current_user
from webapp.services.clients import columns as offered
from webapp.services.clients import listing
from webapp.services.clients.selection import (
    EVER,
    WITHOUT_COMMERCIAL,
    Asset,
    ClientSort,
    ClientsView,
    ConsentFilter,
    ConsentStanding,
    Days,
    Holder,
    SourceFilter,
)
from webapp.services.clients.suggesting import suggest
from webapp.services.winleadplus import config, status
from webapp.views.clients.chips import WITHOUT_CONTACT, YES, chips_of, words_of
from webapp.views.layout import is_fragment_request, list_part
from webapp.views.lists import IMPOSSIBLE_DAY, backwards, has_impossible_day, read, read_day
from webapp.views.rate_limits import paced
from webapp.views.shown_lists import ListPage, ShownList, list_values, open_list, open_page, page_values

bp = Blueprint("clients", __name__)

PATH = "/clients"
EVERY_SOURCE = "tous"
WITH, WITHOUT = "avec", "sans"
ASSETS = [("", "Avec ou sans"), (WITH, "Avec"), (WITHOUT, "Sans")]
PERIODS = {"created": "cree", "changed": "modifie", "contacted": "contact"}
"""Days that a view limits, and how the address calls them: cree_du, cree_au."""
SILENT = "sans_contact_depuis"
DAYS = (*(f"{name}_{end}" for name in PERIODS.values() for end in ("du", "au")), SILENT)
PLACE_LENGTH = 60


CONSENTS = [
    ("", "Tous"),
    *((each.value, each.label) for each in starmap(ConsentFilter, product(ConsentPurpose, ConsentStanding))),
]


@bp.get(PATH)
@paced
def index() -> ResponseReturnValue:
    """The list of clients as the address says: see ``ClientsView``. What cannot be read in it is ignored."""
    shown = open_page(PAGE)
    (view, problem), exact = read_view(shown.arguments), shown.arguments.get("total") == "exact"
    clients = listing.list_clients(view, columns=shown.columns, exact=exact)
    values = _list_values(view, shown, clients, exact=exact) | {"problem": shown.problem or problem}
    if not is_fragment_request():
        return render_template("clients/list.html", **values, **_page_values(view), **page_values(shown))
    return list_part("clients", render_template("clients/_list.html", **values), address=shown.at(address(view)))


def read_view(arguments: MultiDict[str, str]) -> tuple[ClientsView, str | None]:
    """The view that an address asks for; with a sentence where its days are impossible."""
    holders = tuple(dict.fromkeys(holder for word in arguments.getlist("commercial") if (holder := _holder(word))))
    assets = {asset: arguments.get(asset.value) for asset in Asset}
    view = ClientsView(
        search=" ".join(arguments.get("q", "").split()),
        source=read(SourceFilter, arguments.get("source")),
        status=read(ClientStatus, arguments.get("statut")),
        commercial=holders[0] if len(holders) == 1 else None,
        among=tuple(sorted(holders, key=str)) if len(holders) > 1 else (),
        team=read(UUID, arguments.get("equipe")),
        lacks_contact=arguments.get("contact") == WITHOUT_CONTACT,
        consent=read(ConsentFilter.of, arguments.get("consentement")),
        archived=arguments.get("archives") == YES,
        absent=arguments.get("absents") == YES,
        place=_printable(arguments.get("lieu", ""))[:PLACE_LENGTH],
        silent_since=read_day(arguments.get(SILENT)),
        having=frozenset(asset for asset, word in assets.items() if word == WITH),
        lacking=frozenset(asset for asset, word in assets.items() if word == WITHOUT),
        sort=read(ClientSort, arguments.get("tri")) or ClientSort.NAME,
        cursor=arguments.get("apres", ""),
    )
    problems = [IMPOSSIBLE_DAY] if has_impossible_day(*(arguments.get(name) for name in DAYS)) else []
    periods: dict[str, Any] = {}
    for field, name in PERIODS.items():
        days = Days(read_day(arguments.get(f"{name}_du")), read_day(arguments.get(f"{name}_au")))
        problem = backwards(*days)
        problems += [problem] if problem else []
        periods[field] = EVER if problem else days
    return replace(view, **periods), " ".join(problems) or None


def _holder(word: str) -> Holder | None:
    return WITHOUT_COMMERCIAL if word == WITHOUT_COMMERCIAL else read(UUID, word)


def _printable(text: str) -> str:
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


def view_of(query: str) -> tuple[ClientsView, str]:
    """The view whose address had this query string, and that address.

    Raises NotFoundError where it is a saved view that is gone: what is done to all of its clients is done to no others.
    """
    shown = open_list(PAGE, MultiDict(parse_qsl(query)))
    view, _ = read_view(shown.arguments)
    return view, shown.at(address(view))


def listed_in(query: str) -> ListedIn:
    """The same view as an operation names it: by its filters, which stay as they are. Raises NotFoundError."""
    shown = open_list(PAGE, MultiDict(parse_qsl(query)))
    view, _ = read_view(shown.arguments)
    name = [shown.saved.name] if shown.saved and shown.saved.is_shared else []
    return ListedIn(" · ".join([*name, *words_of(view)]), address(view, cursor=""))


@bp.app_template_filter("clients_address")
def exact_address(view: ClientsView) -> str:
    """Where a number leads: the list behind it, counted exactly."""
    return address(view, exact=True)


def address(view: ClientsView, *, exact: bool = False, **changes: Any) -> str:
    """The address of a view with ``changes``; what is as by default is left out."""
    target = replace(view, **changes)
    query: dict[str, Any] = {
        "q": target.search,
        "source": target.source,
        "statut": target.status,
        "commercial": target.commercial or list(target.among),
        "equipe": target.team,
        "contact": WITHOUT_CONTACT if target.lacks_contact else None,
        "consentement": target.consent.value if target.consent else None,
        "archives": YES if target.archived else None,
        "absents": YES if target.absent else None,
        "lieu": target.place,
        **{
            f"{name}_{end}": limit
            for field, name in PERIODS.items()
            for end, limit in zip(("du", "au"), getattr(target, field), strict=True)
        },
        SILENT: target.silent_since,
        **{asset.value: WITH for asset in Asset if asset in target.having},
        **{asset.value: WITHOUT for asset in Asset if asset in target.lacking},
        "tri": target.sort if target.sort is not ClientSort.NAME else None,
        "apres": target.cursor,
        "total": "exact" if exact else None,
    }
    given = {name: value for name, value in query.items() if value}
    return f"{PATH}?{urlencode(given, doseq=True)}" if given else PATH  # a page has a dozen: url_for would take longer


PAGE = ListPage(
    SavedList.CLIENTS,
    plain=lambda arguments: address(replace(read_view(arguments)[0], cursor="")),
    columns=offered.COLUMNS,
    usual=offered.DEFAULT,
    fixed=offered.NAME,
    narrow=("telephone", "statut"),
)


def _list_values(view: ClientsView, shown: ShownList, clients: listing.ClientList, *, exact: bool) -> dict[str, Any]:
    page = clients.page

    def page_address(cursor: str | None) -> str | None:
        return None if cursor is None else shown.at(address(view, exact=exact, cursor=cursor))

    here = shown.at(address(view, exact=exact))
    suggestion = suggest(view.search) if view.search and not clients.total.number else None
    return {
        "view": view,
        "rows": page.rows,
        "total": clients.total,
        "headings": shown.headings(view.sort, _in_order(view, shown)),
        "cells": shown.cells[1:],
        "here": here,
        "vue": (query := urlsplit(here).query),
        "from_here": f"?vue={quote(query, safe='')}" if query else "",
        "first_page": page_address("") if page.previous_cursor else None,
        "previous_page": page_address(page.previous_cursor),
        "next_page": page_address(page.next_cursor),
        "exact_total": shown.at(address(view, exact=True)) if clients.total.is_capped else None,
        "how_to_begin": None if page.rows or view.is_narrowed else _how_to_begin(),
        "suggestion": suggestion,
        "suggestion_address": suggestion and shown.at(address(view, search=suggestion, cursor="")),
        "chips": list(chips_of(view, lambda **changes: shown.at(address(view, cursor="", **changes)))),
        **list_values(shown, address(view, cursor="")),
    }


def _how_to_begin() -> str:
    """What brings the first client, of all that whoever reads it may do."""
    ways = ["Créez le premier"]
    if current_user().has_role(Role.MANAGER, Role.ADMIN):
        ways.append("importez une liste")
    if config.is_switched_on():
        ways.append("reprenez vos prospects avec «\u202fSync WinLeadPlus\u202f»")
    return ", ou ".join([", ".join(ways[:-1]), ways[-1]] if len(ways) > 1 else ways) + "."


def _in_order(view: ClientsView, shown: ShownList) -> Callable[[Any], str]:
    return lambda sort: shown.at(address(view, sort=sort, cursor=""))


def _page_values(view: ClientsView) -> dict[str, Any]:
    commercials = [
        (WITHOUT_COMMERCIAL, "Sans commercial"),
        *((str(each_id), name) for each_id, name in listing.list_all_commercials()),
    ]
    return {
        "sources": [(EVERY_SOURCE, "Tous"), *((source.value, source.label) for source in SourceFilter)],
        "statuses": [("", "Tous les statuts"), *((each.value, each.label) for each in ClientStatus)],
        "commercials": [("", "Plusieurs commerciaux" if view.among else "Tous les commerciaux"), *commercials],
        "several_commercials": commercials,
        "among": [str(holder) for holder in view.among],
        "consents": CONSENTS,
        "assets": [(asset, ASSETS, _asset_word(view, asset)) for asset in Asset],
        "periods": [
            ("cree", "Créé", view.created),
            ("modifie", "Modifié", view.changed),
            ("contact", "Dernier contact", view.contacted),
        ],
        "sync": status.overview(at=clock.now()),
        "may_import": current_user().has_role(Role.MANAGER, Role.ADMIN),
    }


def _asset_word(view: ClientsView, asset: Asset) -> str:
    return WITH if asset in view.having else WITHOUT if asset in view.lacking else ""
