"""The list of cases. Managers and admins see all; a commercial those of the own clients, to read."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.models.clients import Client
from webapp.models.dunning import StepAction
from webapp.security import current_user
from webapp.services.clients.fields import find_own_commercial
from webapp.services.dunning import listing
from webapp.services.dunning.listing import CaseGroup, CaseOrder, CasesView
from webapp.services.organisations import list_companies
from webapp.views.layout import is_fragment_request, list_part
from webapp.views.lists import Chip, Column, heading, read, read_client
from webapp.views.rate_limits import paced

bp = Blueprint("dunning", __name__, url_prefix="/relances")

COLUMNS = (
    Column("Client"),
    Column("Montant dû", "num", CaseOrder.LARGEST),
    Column("Impayé depuis", "", CaseOrder.AGE),
    Column("Prochaine étape"),
    Column("État"),
)
STEPS = [("", "Toutes les étapes"), *((step.value, step.label) for step in StepAction if step is not StepAction.RESUME)]


def visible_commercials() -> frozenset[UUID] | None:
    """Whose clients' cases the signed-in user may see; None: everybody's."""
    user = current_user()
    if user.handles_charges:
        return None
    own = find_own_commercial(user)
    return frozenset({own} if own else ())


def may_open(client: Client) -> bool:
    """Whether the signed-in user may see the client's cases."""
    commercials = visible_commercials()
    return commercials is None or client.commercial_id in commercials


@bp.get("")
@paced
def index() -> ResponseReturnValue:
    """The list of cases as the address says. What cannot be read in it is ignored."""
    view, today = read_view(), clock.today()
    page = listing.list_cases(view, today=today)
    counts = listing.count_groups(view, today=today)
    values: dict[str, Any] = {
        "view": view,
        "cases": page.rows,
        "counts": counts,
        "groups": list(CaseGroup),
        "today": today,
        "headings": [heading(column, view.order, lambda order: _address(view, order=order)) for column in COLUMNS],
        "address_of": lambda group: _address(view, group=group),
        "first_page": _address(view) if view.cursor else None,
        "next_page": _address(view, cursor=page.next_cursor) if page.next_cursor else None,
    }
    if not is_fragment_request():
        return render_template("dunning/index.html", **values, **_form_values(view))
    return list_part("dunning", render_template("dunning/_list.html", **values), address=_address(view))


def read_view() -> CasesView:
    """The view that the address asks for. What cannot be read in it is ignored."""
    return CasesView(
        group=read(CaseGroup, request.args.get("groupe")) or CaseGroup.TO_DO,
        search=" ".join(request.args.get("q", "").split()),
        step=read(StepAction, request.args.get("etape")),
        company_id=read(UUID, request.args.get("societe")),
        client_id=read_client(request.args.get("client")),
        commercial_ids=visible_commercials(),
        order=read(CaseOrder, request.args.get("tri")) or CaseOrder.AGE,
        cursor=request.args.get("apres"),
    )


def _address(view: CasesView, **changes: Any) -> str:
    target = replace(view, **{"cursor": None, **changes})
    query: dict[str, Any] = {
        "groupe": target.group if target.group is not CaseGroup.TO_DO else None,
        "q": target.search,
        "etape": target.step,
        "societe": target.company_id,
        "client": target.client_id,
        "tri": target.order if target.order is not CaseOrder.AGE else None,
        "apres": target.cursor,
    }
    return url_for("dunning.index", **{name: value for name, value in query.items() if value})


def _form_values(view: CasesView) -> dict[str, Any]:
    without = _address(view, client_id=None)
    return {
        "step_choices": STEPS,
        "companies": [("", "Toutes les sociétés"), *((str(company.id), company.name) for company in list_companies())],
        "chips": [Chip("D’un seul client", [("client", str(view.client_id))], without)] if view.client_id else [],
    }
