"""Covers: the page of one, the form that lets a subscription give one, and what changes one."""

from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.french import read_number
from webapp.models.base import new_id
from webapp.models.covers import HomeKind, Occupancy, Trade
from webapp.models.subscriptions import Subscription
from webapp.security import current_user
from webapp.services.claims import doubting
from webapp.services.covers import changing, homes, loading, plans, profile, renouncing, selling
from webapp.services.covers.changing import PlanChange
from webapp.services.covers.decisions import Decision
from webapp.services.covers.homes import HomeFields
from webapp.services.covers.selling import CoverRequest, CoverStateError
from webapp.services.plan_changes.changing import OtherAmountError
from webapp.services.sales.listing import find_of_cover
from webapp.services.subscriptions import lifecycle
from webapp.views.covers import wording
from webapp.views.layout import is_fragment_request, toast
from webapp.views.lists import read, read_day
from webapp.views.subscriptions.form import asked_day

bp = Blueprint("cover", __name__)

HOME_KINDS = [("", "Choisir…"), *((each.value, each.label) for each in HomeKind)]
OCCUPANCIES = [("", "Choisir…"), *((each.value, each.label) for each in Occupancy)]
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


@bp.post("/couvertures/<uuid:cover_id>/options")
def add_option(cover_id: UUID) -> ResponseReturnValue:
    """Add an option of the plan."""
    try:
        since = asked_day("depuis", field="since")
        cover = selling.add_option(
            cover_id, request.form.get("option", ""), since=since, by=current_user(), at=clock.now()
        )
    except (InvalidInputError, CoverStateError) as error:
        return _page(cover_id, problem=error), error.status
    return _done(cover.id, "Option ajoutée.")


@bp.post("/couvertures/<uuid:cover_id>/options/<uuid:option_id>/fin")
def end_option(cover_id: UUID, option_id: UUID) -> ResponseReturnValue:
    """Let an option end with the next cycle."""
    try:
        selling.end_option(cover_id, option_id, by=current_user(), at=clock.now())
    except CoverStateError as error:
        return _page(cover_id, problem=error), error.status
    return _done(cover_id, "L’option prend fin avec la prochaine échéance.")


@bp.route("/couvertures/<uuid:cover_id>/formule", methods=["GET", "POST"])
def change_plan(cover_id: UUID) -> ResponseReturnValue:
    """Other plans; what the chosen one comes to (``?formule=…``); and the change."""
    asked = read(UUID, request.values.get("formule"))
    try:
        if request.method == "POST":
            cover = changing.change_plan(cover_id, asked, **_confirmed(), by=current_user(), at=clock.now())
            return _done(cover.id, "La formule change.")
        change = changing.preview_plan(cover_id, asked, at=clock.now()) if asked else None
    except NotFoundError:
        raise
    except DomainError as error:
        return _plans_page(cover_id, problem=error), error.status
    return _plans_page(cover_id, change=change)


def _confirmed() -> dict[str, Any]:
    change_id = read(UUID, request.form.get("changement"))
    if change_id is None:
        raise OtherAmountError("Vérifiez ce que le changement coûte, puis confirmez.")
    amount = read_number(request.form.get("montant", "")) or Decimal(0)
    return {"shown": amount, "adjustment_id": change_id, "version": read(int, request.form.get("version")) or 0}


def _plans_page(cover_id: UUID, *, change: PlanChange | None = None, problem: DomainError | None = None) -> str:
    shown = profile.find_profile(cover_id, at=clock.now())
    choices = changing.list_choices(shown.cover)
    return render_template(
        "covers/change.html",
        shown=shown,
        cover=shown.cover,
        choices=choices,
        promises={version.id: wording.in_a_line(version) for version in choices},
        change=change,
        change_id=new_id(),
        problem=problem,
    )


@bp.route("/couvertures/<uuid:cover_id>/renonciation", methods=["GET", "POST"])
def renounce(cover_id: UUID) -> ResponseReturnValue:
    """What giving the cover up comes to, and doing it."""
    cover, found = loading.find_cover(cover_id), None
    try:
        if request.method == "POST":
            renouncing.renounce(cover_id, by=current_user(), at=clock.now())
            return _done(cover_id, "Renonciation enregistrée\u202f: la couverture est terminée.")
        found = renouncing.preview_renunciation(cover_id, at=clock.now())
    except NotFoundError:
        raise
    except DomainError as error:
        return render_template("covers/renounce.html", cover=cover, renunciation=None, problem=error), error.status
    return render_template("covers/renounce.html", cover=cover, renunciation=found, problem=None)


@bp.route("/couvertures/<uuid:cover_id>/logement", methods=["GET", "POST"])
def move(cover_id: UUID) -> ResponseReturnValue:
    """The form of another home, and the change."""
    cover = loading.find_cover(cover_id)
    if request.method == "GET":
        return _move_form(cover_id)
    try:
        since = asked_day("depuis", field="since") or clock.today()
        selling.move_home(cover_id, _written(), since=since, by=current_user(), at=clock.now())
        doubting.look_again(cover_id, at=clock.now())
    except (InvalidInputError, CoverStateError) as error:
        return _move_form(cover_id, error), error.status
    return _done(cover.id, "Le logement couvert change.")


def _written() -> CoverRequest:
    form = request.form
    home = HomeFields(
        kind=read(HomeKind, form.get("type")),
        occupancy=read(Occupancy, form.get("occupation")),
        occupied_since=asked_day("occupe_depuis", field="occupied_since"),
        address_line1=form.get("adresse", ""),
        address_line2=form.get("complement", ""),
        postcode=form.get("code_postal", ""),
        city=form.get("ville", ""),
        access_notes=form.get("acces", ""),
    )
    return CoverRequest(
        version_id=read(UUID, form.get("formule")),
        option_codes=frozenset(form.getlist("option")),
        home_id=read(UUID, form.get("logement")),
        home=home,
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
        homes=homes.list_homes(client.id),
        written=_as_sent(HomeFields.of_client(client), max(clock.today(), subscription.anchor_date)),
        problem=problem,
        home_kinds=HOME_KINDS,
        occupancies=OCCUPANCIES,
    )


def _move_form(cover_id: UUID, problem: DomainError | None = None) -> str:
    shown = profile.find_profile(cover_id, at=clock.now())
    return render_template(
        "covers/move.html",
        shown=shown,
        homes=[home for home in homes.list_homes(shown.cover.client_id) if home.id != shown.home.id],
        written=_as_sent(HomeFields(), clock.today()),
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
