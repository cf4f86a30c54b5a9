"""« Souscriptions en cours »: what is not signed yet, for any colleague to go on with."""

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from webapp.security import current_user
from webapp.services.sales import listing
from webapp.views.rate_limits import paced

bp = Blueprint("sales", __name__, url_prefix="/souscriptions")


@bp.get("")
@paced
def index() -> ResponseReturnValue:
    """The open sales of all, or one's own (``?de=moi``)."""
    is_own = request.args.get("de") == "moi"
    found = listing.list_open(of=current_user() if is_own else None)
    return render_template("sales/list.html", found=found, is_own=is_own)
