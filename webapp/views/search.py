"""Search everywhere: a page, and under HTMX the options of the dialog that Ctrl-K opens."""

from collections.abc import Callable
from uuid import UUID

from flask import Blueprint, render_template, request, url_for

from webapp.security import current_user
from webapp.services.search import Hit, SearchResults, search_everywhere
from webapp.views.layout import is_fragment_request
from webapp.views.rate_limits import paced

bp = Blueprint("search", __name__)


PAGES: dict[str, Callable[[UUID], str]] = {
    "S": lambda row_id: url_for("subscription.show", subscription_id=row_id),
    "P": lambda row_id: url_for("charge.show", charge_id=row_id),
    "R": lambda row_id: url_for("charge.show", charge_id=row_id),
    "B": lambda row_id: url_for("bank_files.show", file_id=row_id),
    "I": lambda row_id: url_for("dunning_case.show", case_id=row_id),
}
"""Where each kind of number leads; all but subscriptions are for those who handle charges."""


@bp.get("/recherche")
@paced
def show() -> str:
    """What matches ``?q=``, best first; without one, what changed last."""
    typed = " ".join(request.args.get("q", "").split())
    results = search_everywhere(typed)
    groups = [
        ("Clients", "user", [(url_for("client.show", client_id=hit.id), hit) for hit in results.clients]),
        ("Contrats", "file-text", [(url_for("contract.show", contract_id=hit.id), hit) for hit in results.contracts]),
        (
            "Commerciaux",
            "users-group",
            [(url_for("commercials.show", commercial_id=hit.id), hit) for hit in results.commercials],
        ),
    ]
    groups = [("Numéros", "hash", _numbered(results)), *groups]
    groups = [group for group in groups if group[2]]
    template = "search/_options.html" if is_fragment_request() else "search/show.html"
    return render_template(template, typed=typed, results=results, groups=groups)


def _numbered(results: SearchResults) -> list[tuple[str, Hit]]:
    may_see = {"S"} if not current_user().handles_charges else PAGES.keys()
    hits = [hit for hit in results.numbered if hit.kind in may_see]
    return [(PAGES[hit.kind](hit.id), Hit(hit.id, hit.title, hit.detail)) for hit in hits]
