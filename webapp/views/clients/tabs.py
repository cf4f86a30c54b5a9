"""A client's page: a header, and one tab of it. Each tab has an address; HTMX swaps the tab alone."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any
from uuid import UUID

from flask import render_template, request, url_for

from webapp import clock
from webapp.errors import NotFoundError
from webapp.french import file_size
from webapp.models.base import new_id
from webapp.models.clients import Client
from webapp.models.consents import ConsentChannel
from webapp.models.covers import Trade
from webapp.models.identity import Role
from webapp.security import current_user
from webapp.services.charges import listing as charges
from webapp.services.clients import activities, documents, listing, payments, profile, timeline
from webapp.services.clients.listing import Neighbours
from webapp.services.clients.timeline import EventFilter
from webapp.services.consents import listing as consents
from webapp.services.consents import wordings
from webapp.services.covers import profile as covers
from webapp.services.dunning.listing import find_badge
from webapp.services.duplicates import pairs
from webapp.services.fulfilment import shipment_listing
from webapp.services.invoices import listing as invoices
from webapp.services.means_requests import listing as means_requests
from webapp.services.merging import listing as merges
from webapp.services.messages import listing as messages
from webapp.services.messages import suppressing
from webapp.services.messages.kinds import KINDS
from webapp.services.sales import listing as sales
from webapp.services.subscriptions import defaults
from webapp.services.subscriptions.listing import list_of_client
from webapp.services.woocommerce import client_orders
from webapp.views.clients import listing as clients
from webapp.views.clients.activity_form import ActivityForm
from webapp.views.dunning.listing import may_open
from webapp.views.layout import is_fragment_request
from webapp.views.lists import read

LONGEST_VIEW = 1000
MONEY_ROWS = 12
CHANNELS = [(each.value, each.label) for each in ConsentChannel if each is not ConsentChannel.IMPORT]
"""Where a client may have said something that a person notes."""


class ClientTab(StrEnum):
    """The tabs, as the address says them."""

    OVERVIEW = "apercu"
    PAYMENTS = "paiements"
    ACTIVITIES = "activites"
    DOCUMENTS = "documents"
    MESSAGES = "messages"
    CONSENTS = "consentements"
    COVERS = "couverture"

    @property
    def label(self) -> str:
        """The word on the screen."""
        return {"apercu": "Aperçu", "activites": "Activités"}.get(self.value, self.value.capitalize())


def page(client_id: UUID, tab: ClientTab, **given: Any) -> str:
    """The page on one of its tabs, or under HTMX the tab; ``given`` replaces what the tab shows by itself.

    Raises NotFoundError.
    """
    if tab is ClientTab.OVERVIEW:
        tab_values = profile.find_profile(client_id, viewer=current_user(), before=request.args.get("avant", type=UUID))
        sold = list_of_client(client_id)
        values: dict[str, Any] = {"header": tab_values, "profile": tab_values, "revealed": {}, "card_fields": None}
        values |= {"subscriptions": sold, "shipments": shipment_listing.list_latest_of_client(client_id)}
        values["bought"] = client_orders.list_of_client(client_id)
    else:
        header = profile.find_header(client_id, viewer=current_user())
        values = {"header": header, **_FILLERS[tab](header.client)}
    came_from = request.args.get("vue", "")[:LONGEST_VIEW]
    values |= {
        "client": values["header"].client,
        "client_id": client_id,
        "tab": tab,
        "tabs": list(ClientTab),
        "vue": came_from or None,
        "today": clock.today(),
        **given,
    }
    if tab is ClientTab.OVERVIEW or not is_fragment_request():
        client = values["client"]
        values["blocked"] = suppressing.find_standing([each for each in (client.email, client.phone) if each])
    if is_fragment_request():
        return render_template("clients/_tab.html", **values)
    around = _around(values["client"], came_from)
    badge = find_badge(client_id)
    may_open_case = badge is not None and may_open(values["client"])
    return render_template(
        "clients/show.html",
        **values,
        **around,
        dunning=badge,
        may_open_case=may_open_case,
        duplicates=pairs.list_of_client(client_id, by=current_user()),
        merges=merges.list_recent(client_id, at=clock.now()),
    )


def _payments(client: Client) -> dict[str, Any]:
    accounts, contracts, today = payments.list_accounts(client.id), payments.list_contracts(client.id), clock.today()
    return {
        "accounts": accounts,
        "revealed": {},
        "defaults": defaults.list_defaults(client.id, on=today),
        "charges": charges.list_latest_of_client(client.id, size=MONEY_ROWS),
        "invoices": invoices.list_latest_of_client(client.id, size=MONEY_ROWS),
        "balances": invoices.balances_of_client(client.id),
        "contracts": [(contract, payments.debit_problem(contract, accounts, on=today)) for contract in contracts],
        "problem_of": lambda mandate: mandate.fault(today),
        "saved_methods": means_requests.list_saved(client.id),
        "requests": means_requests.list_requests(client.id),
    }


def _activities(client: Client) -> dict[str, Any]:
    only = read(EventFilter, request.args.get("genre"))
    before = request.args.get("avant", type=UUID)
    return {
        "form": ActivityForm(formdata=None),
        "only": only,
        "filters": list(EventFilter),
        "tasks": activities.list_open_tasks(client.id),
        "done_tasks": activities.list_done_tasks(client.id),
        "timeline": timeline.list_events(client.id, only=only, before=before),
    }


def _documents(client: Client) -> dict[str, Any]:
    user, proofs = current_user(), documents.list_proofs(client.id)
    return {
        "documents": [
            (document, document.id not in proofs and documents.may_remove(document, user))
            for document in documents.list_documents(client.id)
        ],
        "contracts": documents.list_contracts_with_documents(client.id),
        "accepted": ",".join(documents.KINDS),
        "taken": documents.TAKEN,
        "limit": file_size(documents.SIZE_LIMIT),
        "room": documents.find_room(),
        "today": clock.today(),
        "problem": None,
    }


def _messages(client: Client) -> dict[str, Any]:
    page = messages.list_of_client(client.id, before=request.args.get("avant", type=UUID))
    return {
        "messages": page.rows,
        "kinds": KINDS,
        "next_page": page.next_before
        and url_for("client.show", client_id=client.id, onglet=ClientTab.MESSAGES, avant=page.next_before),
    }


def _consents(client: Client) -> dict[str, Any]:
    return {
        "present": consents.find_present(client.id),
        "wordings": {each.purpose: each for each in wordings.list_wordings(at=clock.now())},
        "history": consents.list_history(client.id),
        "proofs": [(str(each_id), name) for each_id, name in consents.list_possible_proofs(client.id)],
        "channels": CHANNELS,
        "accepted": ",".join(documents.KINDS),
        "taken": documents.TAKEN,
        "new_id": new_id,
        "may_edit_wordings": current_user().has_role(Role.ADMIN),
        "noted": None,
        "written": None,
        "problem": None,
    }


def _covers(client: Client) -> dict[str, Any]:
    trades = [(each.value, each.label) for each in Trade]
    return {
        "covers": covers.list_profiles(client.id, at=clock.now()),
        "open_sales": sales.list_open(client_id=client.id).sales,
        "trades": trades,
    }


_FILLERS: dict[ClientTab, Callable[[Client], dict[str, Any]]] = {
    ClientTab.PAYMENTS: _payments,
    ClientTab.ACTIVITIES: _activities,
    ClientTab.DOCUMENTS: _documents,
    ClientTab.MESSAGES: _messages,
    ClientTab.CONSENTS: _consents,
    ClientTab.COVERS: _covers,
}


def _around(client: Client, came_from: str) -> dict[str, Any]:
    """The way back to the list that one came from (else all of it), and to the clients before and after in it."""
    try:
        view, back = clients.view_of(came_from)
    except NotFoundError:  # a saved view that was deleted meanwhile
        view, back = clients.view_of("")
    neighbours: Neighbours = listing.find_neighbours(view, client)

    def address(neighbour: UUID | None) -> str | None:
        return url_for("client.show", client_id=neighbour, vue=came_from or None) if neighbour else None

    return {
        "back": back,
        "previous": address(neighbours.previous),
        "next": address(neighbours.next),
    }
