"""Charges: started, followed, looked into, and decided on by a person where the application cannot. For managers.

Each address also answers without HTMX, as a page of its own or by a redirect, so that nothing here needs a script.
"""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, g, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock, french
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import limiter
from webapp.french import read_number
from webapp.models.base import new_id
from webapp.models.charges import Attention, Charge, ChargeRun, ChargeStatus
from webapp.models.contracts import PaymentMethod
from webapp.models.identity import Role
from webapp.models.runs import RunStatus, RunTrigger
from webapp.security import current_user, requires
from webapp.services import outbox
from webapp.services.charges import decisions, listing, resuming, runs
from webapp.services.charges.decisions import Action
from webapp.services.charges.listing import ChargesView
from webapp.services.charges.preview import preview
from webapp.services.invoices.listing import find_invoice_of_charge
from webapp.services.refunds import commands
from webapp.services.refunds.commands import Refundable
from webapp.views.layout import Kind, is_fragment_request, toast
from webapp.views.lists import paced, read, read_day

bp = Blueprint("charges", __name__, url_prefix="/prelevements")

START_LIMIT = "10 per minute"
EVENTS_SHOWN = 50
TOAST_KINDS: dict[RunStatus, Kind] = {
    RunStatus.SUCCESS: "success",
    RunStatus.PARTIAL: "warning",
    RunStatus.FAILED: "error",
}
WORDS = {
    "reessayer": Action.RETRY,
    "paye": Action.MARK_PAID,
    "abandonner": Action.GIVE_UP,
    "interroger": Action.LOOK_UP,
    "non-recu": Action.DECLARE_LOST,
    "rembourser": Action.REFUND,
    "avoir": Action.CREDIT,
    "classer": Action.DISMISS,
}
"""The actions as the addresses say them."""
DONE = {
    Action.RETRY: "Nouvelle tentative demandée pour {code}\u202f: elle part dans un instant.",
    Action.MARK_PAID: "Paiement noté pour {code}.",
    Action.GIVE_UP: "Prélèvement {code} abandonné.",
    Action.LOOK_UP: "Le prestataire va être interrogé sur {code}.",
    Action.DECLARE_LOST: "Prélèvement {code} déclaré non reçu\u202f: il peut être réessayé.",
    Action.REFUND: "Remboursement de {code} enregistré\u202f: s’il faut un avoir, il suit dès que l’argent est rendu.",
    Action.CREDIT: "Avoir établi pour {code}\u202f: son numéro est attribué dans un instant.",
    Action.DISMISS: "Écart de {code} classé.",
}
BY_PROVIDER = "prestataire"
METHODS = [(each.value, each.label) for each in (PaymentMethod.TRANSFER, PaymentMethod.CHEQUE, PaymentMethod.CARD)]

REFRESH_CHARGES = json.dumps({"charges:refresh": {"target": "body"}})
"""The list of charges listens for this event and fetches its present view again."""

for_managers = requires(Role.MANAGER, Role.ADMIN)


def _requester() -> str:
    return f"user:{g.user.id}"


@bp.get("")
@for_managers
@paced
def index() -> ResponseReturnValue:
    """What a run would do now, what needs a person, and the charges by state."""
    view = _read_view()
    shown = listing.list_charges(view)
    values: dict[str, Any] = {
        "view": view,
        "filters": _filters(view),
        "charges": shown.rows,
        "counts": listing.count_by_status(view),
        "statuses": list(ChargeStatus),
        "first_page": _address(view, None) if view.cursor else None,
        "next_page": _address(view, shown.next_cursor) if shown.next_cursor else None,
        "address_of": lambda status: _address(view, None, statut=status),
    }
    if not is_fragment_request():
        return render_template("charges/index.html", **values, **_situation())
    response = make_response(render_template("charges/_list.html", **values))
    if request.headers.get("HX-Source") == "form#charges-filters":
        response.headers["HX-Push-Url"] = _address(view, None)
    return response


def _situation() -> dict[str, Any]:
    """What stands above the list of charges."""
    history, at = runs.list_runs(), clock.now()
    run = next((each for each in history if not each.is_finished), None)
    return {
        "preview": preview(at=at),
        "run": run,
        "standing": run and runs.standing(run, at=at),
        "runs": history,
        "needing": decisions.count_needing_person(),
    }


def _read_view() -> ChargesView:
    return ChargesView(
        search=" ".join(request.args.get("q", "").split()),
        status=read(ChargeStatus, request.args.get("statut")),
        client_id=read(UUID, request.args.get("client")),
        subscription_id=read(UUID, request.args.get("abonnement")),
        due_from=read_day(request.args.get("du")),
        due_until=read_day(request.args.get("au")),
        cursor=request.args.get("apres"),
    )


def _address(view: ChargesView, cursor: str | None, **changes: Any) -> str:
    query = {"q": view.search, **_filters(view), "apres": cursor} | changes
    return url_for("charges.index", **{name: value for name, value in query.items() if value})


def _filters(view: ChargesView) -> dict[str, Any]:
    """What narrows the view beside its search, as the address says it."""
    return {
        "statut": view.status,
        "client": view.client_id,
        "abonnement": view.subscription_id,
        "du": view.due_from,
        "au": view.due_until,
    }


@bp.get("/a-traiter")
@for_managers
def needing_person() -> ResponseReturnValue:
    """The charges that need a person, the longest waiting first."""
    chosen = read(Attention, request.args.get("motif"))
    shown = listing.list_needing_person(attention=chosen, cursor=request.args.get("apres"))
    return render_template(
        "charges/to_decide.html",
        charges=shown.rows,
        actions_of=decisions.actions_of,
        words={action: word for word, action in WORDS.items()},
        counts=decisions.count_needing_person(),
        chosen=chosen,
        next_page=shown.next_cursor
        and url_for("charges.needing_person", motif=chosen and chosen.value, apres=shown.next_cursor),
    )


@bp.post("/a-traiter/reprise")
@for_managers
def resume() -> ResponseReturnValue:
    """Try again what waited for a means of payment and has one by now."""
    resumed, waiting = resuming.resume_all(by=current_user(), at=clock.now())
    toast("success" if resumed else "info", _resumed_sentence(resumed, waiting))
    return redirect(url_for("charges.needing_person", motif=Attention.NO_PAYMENT_METHOD.value), 303)


def _resumed_sentence(resumed: int, waiting: int) -> str:
    again = {0: "Aucun prélèvement n’a reçu de moyen de paiement", 1: "Un prélèvement repris"}.get(
        resumed, f"{french.whole(resumed)} prélèvements repris"
    )
    left = {0: "", 1: "\u202f; un attend encore"}.get(waiting, f"\u202f; {french.whole(waiting)} attendent encore")
    return f"{again}{left}."


@bp.get("/<uuid:charge_id>")
@for_managers
def show(charge_id: UUID) -> ResponseReturnValue:
    """One charge with its attempts; with ``?action=…`` that action's form is open on it."""
    return _charge_page(charge_id, asked=WORDS.get(request.args.get("action", "")))


@bp.post("/<uuid:charge_id>/<word>")
@for_managers
def act(charge_id: UUID, word: str) -> ResponseReturnValue:
    """Do one of the actions; where what was written is refused, its form again with the reason."""
    action = WORDS.get(word)
    if action is None:
        raise NotFoundError
    try:
        _DO[action](charge_id)
    except InvalidInputError as error:
        return _charge_page(charge_id, asked=action, problem=error), error.status
    toast("success", DONE[action].format(code=decisions.find_charge(charge_id).code))
    return redirect(url_for("charges.show", charge_id=charge_id), 303)


def _retry(charge_id: UUID) -> Charge:
    return decisions.retry(charge_id, by=current_user(), at=clock.now())


def _mark_paid(charge_id: UUID) -> Charge:
    method = read(PaymentMethod, request.form.get("mode"))
    paid_on = read_day(request.form.get("date"))
    if method is None:
        raise InvalidInputError("Choisissez comment le client a payé.", field="method")
    if paid_on is None:
        raise InvalidInputError("Indiquez la date du paiement.", field="paid_on")
    return decisions.mark_paid(
        charge_id, method=method, paid_on=paid_on, reason=_reason(), by=current_user(), at=clock.now()
    )


def _give_up(charge_id: UUID) -> Charge:
    return decisions.give_up(charge_id, reason=_reason(), by=current_user(), at=clock.now())


def _look_up(charge_id: UUID) -> Charge:
    return decisions.look_up(charge_id, by=current_user(), at=clock.now())


def _declare_lost(charge_id: UUID) -> Charge:
    return decisions.declare_lost(charge_id, reason=_reason(), by=current_user(), at=clock.now())


def _refund(charge_id: UUID) -> None:
    refund_id = read(UUID, request.form.get("demande")) or new_id()
    amount = read_number(request.form.get("montant", "")) or Decimal(0)
    by, at = current_user(), clock.now()
    if request.form.get("moyen") == BY_PROVIDER:
        commands.refund(charge_id, refund_id=refund_id, amount=amount, reason=_reason(), by=by, at=at)
        return
    method, paid_on = read(PaymentMethod, request.form.get("moyen")), read_day(request.form.get("date"))
    if method is None:
        raise InvalidInputError("Choisissez comment le client est remboursé.", field="method")
    if paid_on is None:
        raise InvalidInputError("Indiquez la date du remboursement.", field="paid_on")
    commands.note_refund(
        charge_id,
        refund_id=refund_id,
        amount=amount,
        method=method,
        paid_on=paid_on,
        reference=request.form.get("reference", ""),
        reason=_reason(),
        by=by,
        at=at,
    )


def _credit(charge_id: UUID) -> None:
    commands.credit_refunds(charge_id, reason=_reason(), by=current_user(), at=clock.now())


def _dismiss(charge_id: UUID) -> Charge:
    return decisions.dismiss(charge_id, reason=_reason(), by=current_user(), at=clock.now())


def _reason() -> str:
    return request.form.get("motif", "")


_DO: dict[Action, Callable[[UUID], object]] = {
    Action.RETRY: _retry,
    Action.MARK_PAID: _mark_paid,
    Action.GIVE_UP: _give_up,
    Action.LOOK_UP: _look_up,
    Action.DECLARE_LOST: _declare_lost,
    Action.REFUND: _refund,
    Action.CREDIT: _credit,
    Action.DISMISS: _dismiss,
}


def _charge_page(charge_id: UUID, *, asked: Action | None, problem: InvalidInputError | None = None) -> str:
    charge = decisions.find_charge(charge_id)
    refundable, invoice = commands.find_refundable(charge), find_invoice_of_charge(charge.id)
    actions = [each for each in decisions.actions_of(charge) if each is not Action.REFUND or refundable.in_all]
    return render_template(
        "charges/show.html",
        charge=charge,
        actions=actions,
        words={action: word for word, action in WORDS.items()},
        asked=asked if asked in actions else None,
        problem=problem,
        written=request.form,
        methods=METHODS,
        refundable=refundable,
        overpaid=invoice.overpaid if invoice else Decimal(0),
        ways=_ways(refundable),
        demand=request.form.get("demande") or new_id(),
        refunds=commands.list_not_given_back(charge.id),
        given_back=commands.list_given_back(charge.id),
        invoice=invoice,
        today=clock.today(),
    )


def _ways(refundable: Refundable) -> list[tuple[str, str]]:
    """How money may go back: through the provider where it has some of it, or by hand, done already."""
    by_provider = [(BY_PROVIDER, "Par le prestataire de paiement")] if refundable.by_provider else []
    by_hand = ((PaymentMethod.TRANSFER, "Virement déjà fait"), (PaymentMethod.CHEQUE, "Chèque déjà envoyé"))
    return [*by_provider, *((method.value, words) for method, words in by_hand)]


@bp.post("/lancements")
@for_managers
@limiter.limit(START_LIMIT, key_func=_requester)
def start() -> ResponseReturnValue:
    """Start a run, or join the one under way."""
    run_id, _is_new = runs.start(trigger=RunTrigger.MANUAL, by=current_user().id, at=clock.now())
    address = url_for("charges.show_run", run_id=run_id)
    if not is_fragment_request():
        return redirect(address, 303)
    response = _follow(_find_run(run_id))
    response.status_code = 202
    response.headers["Location"] = address
    return response


@bp.get("/lancements/<uuid:run_id>")
@for_managers
def show_run(run_id: UUID) -> ResponseReturnValue:
    """How far a run is; at its end, the sentence that says how it went."""
    run = _find_run(run_id)
    if is_fragment_request():
        return _follow(run)
    return render_template(
        "charges/run.html", run=run, sentence=runs.sentence(run), standing=runs.standing(run, at=clock.now())
    )


def _follow(run: ChargeRun) -> Response:
    """The progress, and once the run has ended what on the page depends on it."""
    if not run.is_finished:
        standing = runs.standing(run, at=clock.now())
        return make_response(render_template("charges/_started.html", run=run, standing=standing))
    sentence = runs.sentence(run)
    toast(TOAST_KINDS[run.status], sentence)
    values = _situation() | {"run": None}
    page = render_template("charges/_ended.html", ended=run, sentence=sentence, **values)
    return make_response(page, {"HX-Trigger": REFRESH_CHARGES})


def _find_run(run_id: UUID) -> ChargeRun:
    run = runs.find_run(run_id)
    if run is None:
        raise NotFoundError("Ces prélèvements n’existent pas ou plus.")
    return run


@bp.get("/evenements")
@requires(Role.ADMIN)
def events() -> ResponseReturnValue:
    """The outbox: what happened, and whether its subscribers have heard of it."""
    found = outbox.list_latest(before=read(UUID, request.args.get("avant")), limit=EVENTS_SHOWN + 1)
    shown, has_more = found[:EVENTS_SHOWN], len(found) > EVENTS_SHOWN
    return render_template(
        "charges/events.html",
        events=shown,
        undelivered=outbox.count_undelivered(),
        next_page=url_for("charges.events", avant=shown[-1].id) if has_more else None,
    )
