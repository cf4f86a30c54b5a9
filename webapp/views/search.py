"""Search everywhere: a page, and under HTMX the options of the dialog that Ctrl-K opens."""

from flask import Blueprint, render_template, request, url_for

from webapp.services.search import search_everywhere
from webapp.views.layout import is_fragment_request
from webapp.views.lists import paced

bp = Blueprint("search", __name__)


@bp.get("/recherche")
@paced
def show() -> str:
    """What matches ``?q=``, best first; without one, what changed last."""
    typed = " ".join(request.args.get("q", "").split())
    found = search_everywhere(typed)
    groups = [
        ("Clients", "user", [(url_for("client.show", client_id=hit.id), hit) for hit in found.clients]),
        ("Contrats", "file-text", [(url_for("contract.show", contract_id=hit.id), hit) for hit in found.contracts]),
        (
            "Commerciaux",
            "users-group",
            [(url_for("commercials.show", commercial_id=hit.id), hit) for hit in found.commercials],
        ),
    ]
    groups = [group for group in groups if group[2]]
    template = "search/_options.html" if is_fragment_request() else "search/show.html"
    return render_template(template, typed=typed, found=found, groups=groups)
