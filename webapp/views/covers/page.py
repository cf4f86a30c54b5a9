"""Covers: the page of one, the forms that sell one, and another home for it."""

from datetime import date
from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import DomainError, InvalidInputError
from webapp.french import read_number
from webapp.models.base import new_id
from webapp.models.covers import Trade
from webapp.models.subscriptions import Subscription
from webapp.security import current_user
from webapp.services.claims import moving as claims
from webapp.services.concurrent_edits import EditConflictError
from webapp.services.covers import homes, loading, moving, plans, profile, selling
from webapp.services.covers.decisions import Decision
from webapp.services.covers.homes import HomeFields
from webapp.services.covers.moving import Move, ShownMove
from webapp.services.covers.recording import CoverStateError
from webapp.services.covers.selling import CoverRequest
from webapp.services.plan_changes.changing import OtherAmountError
from webapp.services.sales.listing import find_of_cover
from webapp.services.subscriptions import lifecycle
from webapp.views.covers import wording
from webapp.views.covers.changes import read_confirmed
from webapp.views.covers.home_form import HOME_KINDS, OCCUPANCIES, read_home
from webapp.views.layout import is_fragment_request, toast
from webapp.views.lists import read, read_day
from webapp.views.subscriptions.form import asked_day

bp = Blueprint("cover", __name__)

TRADES = [(each.value, each.label) for each in Trade]


@bp.get("/couvertures/<uuid:cover_id>")
def show(cover_id: UUID) -> ResponseReturnValue:
    """How a cover stands, what is used of it, its line of time, and what can be done."""
    return _page(cover_id)


@bp.get("/couvertures/<uuid:cover_id>/verifier")
def check(cover_id: UUID) -> ResponseReturnValue:
    """« Est-ce couvert ? »: what would be decided, without a file."""
    cover, problem, decision = loading.find_cover(cover_id), None, None
    try:
        decision = _asked_decision(cover_id)
    except InvalidInputError as error:
        problem = error
    status = problem.status if problem else 200
    if is_fragment_request():
        values = {"cover": cover, "written": request.args, "problem": problem, "decision": decision, "trades": TRADES}
        return render_template("covers/_check.html", **values, today=clock.today()), status
    return _page(cover_id, problem=problem, decision=decision), status


def _asked_decision(cover_id: UUID) -> Decision:
    trade = read(Trade, request.args.get("metier"))
    if trade is None:
        raise InvalidInputError("Choisissez un métier.", field="trade")
    written = request.args.get("jour", "").strip()
    day = read_day(written) if written else clock.today()
    if day is None:
        raise InvalidInputError("Indiquez une date valable.", field="event_on")
    asked = read_number(request.args.get("montant", ""))
    return profile.would_be_covered(cover_id, trade=trade, event_on=day, asked=asked, at=clock.now())


@bp.route("/abonnements/<uuid:subscription_id>/couverture", methods=["GET", "POST"])
def new(subscription_id: UUID) -> ResponseReturnValue:
    """The form that lets a subscription give a cover, and doing it."""
    subscription = lifecycle.find_subscription(subscription_id)
    standing = loading.find_of_subscription(subscription_id)
    if standing is not None:
        return redirect(url_for("cover.show", cover_id=standing.id), 303)
    if request.method == "GET":
        return _form(subscription)
    try:
        cover = selling.add_cover(subscription_id, _written(), by=current_user(), at=clock.now())
    except (InvalidInputError, CoverStateError) as error:
        return _form(subscription, error), error.status
    toast("success", f"Couverture {cover.code} créée.")
    return redirect(url_for("cover.show", cover_id=cover.id), 303)


@bp.route("/couvertures/<uuid:cover_id>/logement", methods=["GET", "POST"])
def move(cover_id: UUID) -> ResponseReturnValue:
    """The form of another home; what it comes to; and the change, once that was shown."""
    if request.method == "GET":
        return _move_form(cover_id)
    try:
        wished, shown = asked_day("depuis", field="since"), _shown_move()
        if shown.since is None:
            found = moving.preview_move(cover_id, _written(), wished=wished, at=clock.now())
            return _move_form(cover_id, found=found)
        claims.move(cover_id, _written(), wished=wished, shown=shown, by=current_user(), at=clock.now())
    except (InvalidInputError, CoverStateError, OtherAmountError, EditConflictError) as error:
        # Whoever is asked to agree to the price still has it, and the box to tick, before them.
        is_to_agree = isinstance(error, InvalidInputError) and error.field == "agreed"
        again = moving.preview_move(cover_id, _written(), wished=wished, at=clock.now()) if is_to_agree else None
        return _move_form(cover_id, error, again), error.status
    return _done(cover_id, "Le logement couvert change.")


def _shown_move() -> ShownMove:
    """What the form showed, where it showed something."""
    form = request.form
    return ShownMove(
        since=read_day(form.get("montre", "")),
        monthly=read_number(form.get("prix_montre", "")),
        confirmed=read_confirmed() if "changement" in form else None,
        is_agreed=form.get("accord") == "1",
    )


def _written() -> CoverRequest:
    form = request.form
    return CoverRequest(
        version_id=read(UUID, form.get("formule")),
        option_codes=frozenset(form.getlist("option")),
        home_id=read(UUID, form.get("logement")),
        home=read_home(),
        concluded_on=asked_day("conclu", field="concluded_on"),
        effective_on=asked_day("effet", field="effective_on"),
    )


def _as_sent(home: HomeFields, effective_on: date) -> dict[str, Any]:
    if request.method == "POST":
        return {**request.form.to_dict(), "option": request.form.getlist("option")}
    return {
        "adresse": home.address_line1,
        "complement": home.address_line2,
        "code_postal": home.postcode,
        "ville": home.city,
        "conclu": clock.today().isoformat(),
        "effet": effective_on.isoformat(),
        "option": [],
    }


def _form(subscription: Subscription, problem: DomainError | None = None) -> str:
    """The form of a cover that a subscription is to give."""
    client, sold = subscription.client, plans.list_sold(subscription.company_id)
    return render_template(
        "covers/new.html",
        subscription=subscription,
        client=client,
        sold=sold,
        promises={version.id: wording.in_a_line(version) for version in sold},
        prices={version.id: wording.price(version) for version in sold},
        homes=homes.list_homes(client.id),
        written=_as_sent(HomeFields.of_client(client), max(clock.today(), subscription.anchor_date)),
        problem=problem,
        home_kinds=HOME_KINDS,
        occupancies=OCCUPANCIES,
    )


def _move_form(cover_id: UUID, problem: DomainError | None = None, found: Move | None = None) -> str:
    shown = profile.find_profile(cover_id, at=clock.now())
    return render_template(
        "covers/move.html",
        shown=shown,
        homes=[home for home in homes.list_homes(shown.cover.client_id) if home.id != shown.home.id],
        written=_as_sent(HomeFields(), clock.today()),
        found=found,
        change_id=new_id(),
        problem=problem,
        home_kinds=HOME_KINDS,
        occupancies=OCCUPANCIES,
    )


def _page(cover_id: UUID, problem: DomainError | None = None, decision: Decision | None = None) -> str:
    shown = profile.find_profile(cover_id, at=clock.now())
    return render_template(
        "covers/show.html",
        sale=find_of_cover(cover_id),
        shown=shown,
        cover=shown.cover,
        problem=problem,
        decision=decision,
        written=request.args if request.args else request.form,
        trades=TRADES,
        today=clock.today(),
    )


def _done(cover_id: UUID, sentence: str) -> ResponseReturnValue:
    toast("success", sentence)
    return redirect(url_for("cover.show", cover_id=cover_id), 303)
