"""Commercials: the list, and everything about one in four tabs, each a page of its own."""

from enum import StrEnum
from typing import Any
from uuid import UUID

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.models.commercials import Commercial
from webapp.security import current_user
from webapp.services.contracts.listing import list_contracts
from webapp.services.contracts.selection import ContractsView
from webapp.services.figures.activity import Activities, list_activities
from webapp.services.figures.scope import figures_scope
from webapp.services.pages import commercial_page, commercials_page
from webapp.views.figures.periods import read_period
from webapp.views.lists import read
from webapp.views.tabs import asked_tab

bp = Blueprint("commercials", __name__, url_prefix="/commerciaux")


class CommercialTab(StrEnum):
    """The tabs of a commercial's page, as the address says them."""

    OVERVIEW = "apercu"
    CONTRACTS = "contrats"
    ACTIVITY = "activites"
    DOCUMENTS = "documents"

    @property
    def label(self) -> str:
        """The word on the screen."""
        return {"apercu": "Aperçu", "contrats": "Contrats", "activites": "Activités", "documents": "Documents"}[
            self.value
        ]


@bp.get("")
def index() -> ResponseReturnValue:
    """Everybody; figures of the period for those in the reader's scope."""
    bar = read_period(request.args, "commercials.index", today=clock.today())
    scope = figures_scope(current_user())
    entries = list(commercials_page.list_commercials(scope, bar.period))
    return render_template("commercials/list.html", bar=bar, scope=scope, entries=entries)


@bp.get("/<uuid:commercial_id>")
def show(commercial_id: UUID) -> ResponseReturnValue:
    """A tab of a commercial's page; an unknown one gives the first, and says so."""
    commercial, team = commercial_page.find_commercial(commercial_id)
    tab = asked_tab(CommercialTab)
    values = {
        CommercialTab.OVERVIEW: _overview,
        CommercialTab.CONTRACTS: _contracts,
        CommercialTab.ACTIVITY: _activity,
        CommercialTab.DOCUMENTS: _documents,
    }[tab](commercial)
    return render_template(
        f"commercials/{tab}.html",
        commercial=commercial,
        team=team,
        tab=tab,
        tabs=list(CommercialTab),
        **values,
    )


def _overview(commercial: Commercial) -> dict[str, Any]:
    """Figures outside the reader's scope are left out, the page is not."""
    bar = read_period(request.args, "commercials.show", today=clock.today(), commercial_id=str(commercial.id))
    is_seen = figures_scope(current_user()).includes(commercial.id)
    overview = commercial_page.find_overview(commercial, bar.period, today=clock.today()) if is_seen else None
    return {"bar": bar, "overview": overview}


def _contracts(commercial: Commercial) -> dict[str, Any]:
    view = ContractsView(sold_by=(commercial.id,), cursor=request.args.get("apres", ""))
    contracts = list_contracts(view)

    def page_address(cursor: str | None) -> str | None:
        return None if cursor is None else _address(commercial, CommercialTab.CONTRACTS, apres=cursor or None)

    return {
        "view": view,
        "rows": contracts.page.rows,
        "total": contracts.total,
        "first_page": page_address("") if contracts.page.previous_cursor else None,
        "previous_page": page_address(contracts.page.previous_cursor),
        "next_page": page_address(contracts.page.next_cursor),
    }


def _activity(commercial: Commercial) -> dict[str, Any]:
    before = read(UUID, request.args.get("avant"))
    activities = list_activities(by=commercial.user_id, before=before) if commercial.user_id else Activities([], None)
    older = _address(commercial, CommercialTab.ACTIVITY, avant=activities.older) if activities.older else None
    return {"activities": activities, "older": older}


def _documents(commercial: Commercial) -> dict[str, Any]:
    return {"contracts": commercial_page.list_documents(commercial.id), "shown": commercial_page.DOCUMENTS_SHOWN}


def _address(commercial: Commercial, tab: CommercialTab, **query: Any) -> str:
    return url_for("commercials.show", commercial_id=commercial.id, onglet=tab, **query)
