"""The clients page: one address per view of the list, with and without HTMX."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product, starmap
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit
from uuid import UUID

from flask import Blueprint, make_response, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from webapp import clock
from webapp.models.clients import ClientStatus
from webapp.models.consents import ConsentPurpose
from webapp.models.identity import Role
from webapp.security import current_user
from webapp.services import teams
from webapp.services.clients import listing
from webapp.services.clients.selection import (
    WITHOUT_COMMERCIAL,
    ClientSort,
    ClientsView,
    ConsentFilter,
    ConsentStanding,
    SourceFilter,
)
from webapp.services.clients.suggesting import suggest
from webapp.services.winleadplus import status
from webapp.views.layout import is_fragment_request
from webapp.views.lists import Chip, Column, heading, read
from webapp.views.rate_limits import paced

bp = Blueprint("clients", __name__)

EVERY_SOURCE = "tous"
WITHOUT_CONTACT = "sans"
YES = "oui"


CONSENTS = [
    ("", "Consentements\u202f: tous"),
    *((each.value, each.label) for each in starmap(ConsentFilter, product(ConsentPurpose, ConsentStanding))),
]
COLUMNS = (
    Column("Nom", sort=ClientSort.NAME),
    Column("E-mail", "wide-only"),
    Column("Téléphone"),
    Column("Ville", "wide-only", ClientSort.CITY),
    Column("Commercial", "wide-only"),
    Column("Statut"),
    Column("Contrats", "num wide-only", ClientSort.CONTRACTS_DESCENDING),
    Column("Modifié", "wide-only", ClientSort.CHANGED_DESCENDING),
)


@bp.get("/clients")
@paced
def index() -> ResponseReturnValue:
    """The list of clients as the address says: see ``ClientsView``. What cannot be read in it is ignored."""
    view, exact = read_view(request.args), request.args.get("total") == "exact"
    clients = listing.list_clients(view, exact=exact)
    values = _list_values(view, clients, exact=exact)
    if not is_fragment_request():
        return render_template("clients/list.html", **values, **_page_values(view))
    response = make_response(render_template("clients/_list.html", **values))
    if request.headers.get("HX-Source") == "form#clients-filters":
        response.headers["HX-Push-Url"] = address(view)  # without the filters that filter nothing
    return response


def read_view(arguments: MultiDict[str, str]) -> ClientsView:
    """The view that an address asks for. What cannot be read in it is ignored."""
    commercial = arguments.get("commercial", "")
    return ClientsView(
        search=" ".join(arguments.get("q", "").split()),
        source=read(SourceFilter, arguments.get("source")),
        status=read(ClientStatus, arguments.get("statut")),
        commercial=WITHOUT_COMMERCIAL if commercial == WITHOUT_COMMERCIAL else read(UUID, commercial),
        team=read(UUID, arguments.get("equipe")),
        lacks_contact=arguments.get("contact") == WITHOUT_CONTACT,
        consent=read(ConsentFilter.of, arguments.get("consentement")),
        archived=arguments.get("archives") == YES,
        absent=arguments.get("absents") == YES,
        sort=read(ClientSort, arguments.get("tri")) or ClientSort.NAME,
        cursor=arguments.get("apres", ""),
    )


def view_of(query: str) -> ClientsView:
    """The view whose address had this query string."""
    return read_view(MultiDict(parse_qsl(query)))


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
        "commercial": target.commercial,
        "equipe": target.team,
        "contact": WITHOUT_CONTACT if target.lacks_contact else None,
        "consentement": target.consent.value if target.consent else None,
        "archives": YES if target.archived else None,
        "absents": YES if target.absent else None,
        "tri": target.sort if target.sort is not ClientSort.NAME else None,
        "apres": target.cursor,
        "total": "exact" if exact else None,
    }
    return url_for("clients.index", **{name: value for name, value in query.items() if value})


def _list_values(view: ClientsView, clients: listing.ClientList, *, exact: bool) -> dict[str, Any]:
    page = clients.page

    def page_address(cursor: str | None) -> str | None:
        return None if cursor is None else address(view, exact=exact, cursor=cursor)

    here = address(view, exact=exact)
    suggestion = suggest(view.search) if view.search and not clients.total.number else None
    return {
        "view": view,
        "rows": page.rows,
        "total": clients.total,
        "headings": [heading(column, view.sort, _in_order(view)) for column in COLUMNS],
        "here": here,
        "vue": (query := urlsplit(here).query),
        "from_here": f"?vue={quote(query, safe='')}" if query else "",
        "first_page": page_address("") if page.previous_cursor else None,
        "previous_page": page_address(page.previous_cursor),
        "next_page": page_address(page.next_cursor),
        "exact_total": address(view, exact=True) if clients.total.is_capped else None,
        "suggestion": suggestion,
        "suggestion_address": suggestion and address(view, search=suggestion, cursor=""),
    }


def _in_order(view: ClientsView) -> Callable[[Any], str]:
    return lambda sort: address(view, sort=sort, cursor="")


def _page_values(view: ClientsView) -> dict[str, Any]:
    return {
        "sources": [(EVERY_SOURCE, "Tous"), *((source.value, source.label) for source in SourceFilter)],
        "statuses": [("", "Tous les statuts"), *((each.value, each.label) for each in ClientStatus)],
        "commercials": [
            ("", "Tous les commerciaux"),
            (WITHOUT_COMMERCIAL, "Sans commercial"),
            *((str(each_id), name) for each_id, name in listing.list_all_commercials()),
        ],
        "consents": CONSENTS,
        "chips": list(_chips(view)),
        "sync": status.overview(at=clock.now()),
        "may_import": current_user().has_role(Role.MANAGER, Role.ADMIN),
    }


def _chips(view: ClientsView) -> Iterator[Chip]:
    """The filters that only a number's link sets."""
    if view.team:
        name = teams.find_name(view.team) or "inconnue"
        yield Chip(f"Équipe\u202f: {name}", [("equipe", str(view.team))], address(view, team=None, cursor=""))
    if view.archived:
        yield Chip("Archivés", [("archives", YES)], address(view, archived=False, cursor=""))
    if view.absent:
        yield Chip("Absents de WinLeadPlus", [("absents", YES)], address(view, absent=False, cursor=""))
    if view.lacks_contact:
        yield Chip("Sans contact", [("contact", WITHOUT_CONTACT)], address(view, lacks_contact=False, cursor=""))
