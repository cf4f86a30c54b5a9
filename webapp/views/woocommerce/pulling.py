"""« Tester », « Relever maintenant », « Reprendre depuis le … »: a shop read by its REST API.

Admins ask for it; managers see how far it is.
"""

from datetime import date
from uuid import UUID

from flask import Blueprint, Response, g, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.extensions import limiter
from webapp.gateways.woocommerce import ShopError
from webapp.models.runs import RunStatus, RunTrigger
from webapp.models.woocommerce import PullScope, WooCommercePull
from webapp.security import current_user
from webapp.services.woocommerce import pulls, shops, trying
from webapp.services.woocommerce.pulls import PullRefusedError
from webapp.views.layout import Kind, accepted, is_fragment_request, toast
from webapp.views.lists import IMPOSSIBLE_DAY, read_day
from webapp.views.woocommerce.shops import for_admins, for_managers, page, pull_values

bp = Blueprint("shop_pulls", __name__, url_prefix="/integrations/woocommerce/<uuid:shop_id>")

LIMIT = "10 per minute"
TOAST_KINDS: dict[RunStatus, Kind] = {
    RunStatus.SUCCESS: "success",
    RunStatus.PARTIAL: "warning",
    RunStatus.FAILED: "error",
}


def _requester() -> str:
    return f"user:{g.user.id}"


@bp.post("/essai")
@for_admins
@limiter.limit(LIMIT, key_func=_requester)
def test(shop_id: UUID) -> ResponseReturnValue:
    """Ask the shop whether it answers, and what it can be asked."""
    try:
        findings = trying.try_shop(shop_id, at=clock.now())
    except (ShopError, PullRefusedError) as error:
        toast("error", error.message)
    else:
        toast("warning" if findings.disabled_topics else "success", findings.sentence())
    return redirect(url_for("shops.show", shop_id=shop_id), 303)


@bp.get("/releves")
@for_admins
def index(shop_id: UUID) -> ResponseReturnValue:
    """Where a form leaves its address: the page that it stands in."""
    shop = shops.find_shop(shop_id)
    return redirect(url_for("shops.show", shop_id=shop.id), 303)


@bp.post("/releves")
@for_admins
@limiter.limit(LIMIT, key_func=_requester)
def create(shop_id: UUID) -> ResponseReturnValue:
    """Read what is new, or join the pull that is under way."""
    pull_id, _is_new = pulls.start(
        shop_id, scope=PullScope.RECENT, trigger=RunTrigger.MANUAL, by=current_user().id, at=clock.now()
    )
    address = url_for("shop_pulls.show", shop_id=shop_id, pull_id=pull_id)
    return accepted(address, lambda: _follow(_find(shop_id, pull_id)))


@bp.post("/reprise")
@for_admins
@limiter.limit(LIMIT, key_func=_requester)
def take_over(shop_id: UUID) -> ResponseReturnValue:
    """Read everything since a day (``depuis``)."""
    try:
        since = clock.start_of(_day(request.form.get("depuis")))
        pull_id, _is_new = pulls.start(
            shop_id, scope=PullScope.FIRST, trigger=RunTrigger.MANUAL, by=current_user().id, since=since, at=clock.now()
        )
    except InvalidInputError as error:
        return _refused(shop_id, error)
    return redirect(url_for("shop_pulls.show", shop_id=shop_id, pull_id=pull_id), 303)


def _day(text: str | None) -> date:
    day = read_day(text)
    if day is None:
        raise InvalidInputError(
            IMPOSSIBLE_DAY if text else "Choisissez la date à partir de laquelle reprendre.", field="since"
        )
    return day


def _refused(shop_id: UUID, error: DomainError) -> ResponseReturnValue:
    return page(shop_id, problem=error), error.status


@bp.get("/reprise")
@for_admins
def show_taking_over(shop_id: UUID) -> ResponseReturnValue:
    """Where a refused form leaves its address: the page that it stands in."""
    shop = shops.find_shop(shop_id)
    return redirect(url_for("shops.show", shop_id=shop.id), 303)


@bp.get("/releves/<uuid:pull_id>")
@for_managers
def show(shop_id: UUID, pull_id: UUID) -> ResponseReturnValue:
    """How far a pull is; at its end, what came of it. Without script, the page of the shop, which shows it."""
    pull = _find(shop_id, pull_id)
    return _follow(pull) if is_fragment_request() else page(shop_id)


def _find(shop_id: UUID, pull_id: UUID) -> WooCommercePull:
    pull = pulls.find_pull(pull_id)
    if pull is None or pull.shop_id != shop_id:
        raise NotFoundError("Ce relevé n’existe pas ou plus.")
    return pull


def _follow(pull: WooCommercePull) -> Response:
    if pull.is_finished:
        toast(TOAST_KINDS[pull.status], pulls.sentence(pull))
    values = pull_values(pull.shop_id) if pull.is_finished else {"sentence_of": pulls.sentence}
    return make_response(render_template("woocommerce/_followed.html", run=pull, **values))
