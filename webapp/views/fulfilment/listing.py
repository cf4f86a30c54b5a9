"""The batches: what fills up for each company, and those of the past. Everybody reads."""

from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock, french
from webapp.errors import DomainError, NotFoundError
from webapp.models.identity import Role
from webapp.security import current_user, requires
from webapp.services.fulfilment import catching_up, listing
from webapp.views.layout import is_fragment_request, toast
from webapp.views.lists import read_day

bp = Blueprint("batches", __name__, url_prefix="/lots")

for_managers = requires(Role.MANAGER, Role.ADMIN)


@bp.get("")
def index() -> ResponseReturnValue:
    """Every company's open batch, and the locked ones, the latest first."""
    if is_fragment_request() and request.headers.get("HX-Target", "").endswith("#batches-open"):
        return render_template("fulfilment/_open.html", **_open_values())
    return _page()


@bp.post("/<uuid:company_id>/reprise")
@for_managers
def take_up(company_id: UUID) -> ResponseReturnValue:
    """Have what was paid since a day join the company's open batch, which is empty."""
    try:
        added = catching_up.take_up(company_id, since=read_day(request.form.get("depuis")), at=clock.now())
    except NotFoundError:
        raise
    except DomainError as error:
        return _page(company_id, error), error.status
    toast("success" if added else "info", f"{french.counted(added, 'ligne reprise', 'lignes reprises')}.")
    return redirect(url_for("batches.index"), 303)


def _page(refused_company: UUID | None = None, problem: DomainError | None = None) -> str:
    past = listing.list_past(request.args.get("apres"))
    return render_template(
        "fulfilment/index.html",
        past=past.rows,
        next_page=past.next_cursor and url_for("batches.index", apres=past.next_cursor),
        refused_company=refused_company,
        problem=problem,
        written=request.form,
        **_open_values(),
    )


def _open_values() -> dict[str, object]:
    return {
        "open_batches": listing.list_open(),
        "now": clock.now(),
        "until": french.until,
        "may_act": current_user().handles_charges,
    }
