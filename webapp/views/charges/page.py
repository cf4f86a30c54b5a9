"""One charge: its attempts, and what a person decides where the application cannot. For managers."""

from collections.abc import Callable
from decimal import Decimal
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import InvalidInputError, NotFoundError
from webapp.french import read_number
from webapp.models.base import new_id
from webapp.models.charges import Charge
from webapp.models.contracts import PaymentMethod
from webapp.models.identity import Role
from webapp.security import current_user, requires
from webapp.services.bank_files import listing as bank_files
from webapp.services.charges import decisions
from webapp.services.charges.decisions import Decision
from webapp.services.charges.listing import list_movements
from webapp.services.invoices.listing import find_invoice_of_charge
from webapp.services.refunds import commands
from webapp.services.refunds.commands import Refundable
from webapp.views.layout import toast
from webapp.views.lists import read, read_day

bp = Blueprint("charge", __name__, url_prefix="/prelevements")

WORDS = {
    "reessayer": Decision.RETRY,
    "paye": Decision.MARK_PAID,
    "abandonner": Decision.GIVE_UP,
    "interroger": Decision.LOOK_UP,
    "non-recu": Decision.DECLARE_LOST,
    "rembourser": Decision.REFUND,
    "avoir": Decision.CREDIT,
    "classer": Decision.DISMISS,
}
"""The actions as the addresses say them."""
DONE = {
    Decision.RETRY: "Nouvelle tentative demandée pour {code}\u202f: elle part dans un instant.",
    Decision.MARK_PAID: "Paiement noté pour {code}.",
    Decision.GIVE_UP: "Prélèvement {code} abandonné.",
    Decision.LOOK_UP: "Le prestataire va être interrogé sur {code}.",
    Decision.DECLARE_LOST: "Prélèvement {code} déclaré non reçu\u202f: il peut être réessayé.",
    Decision.REFUND: "Remboursement de {code} enregistré\u202f: l’avoir, s’il en faut un, suit l’argent.",
    Decision.CREDIT: "Avoir établi pour {code}\u202f: son numéro est attribué dans un instant.",
    Decision.DISMISS: "Écart de {code} classé.",
}
BY_PROVIDER = "prestataire"
METHODS = [
    (method.value, method.label) for method in (PaymentMethod.TRANSFER, PaymentMethod.CHEQUE, PaymentMethod.CARD)
]

for_managers = requires(Role.MANAGER, Role.ADMIN)


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
    return redirect(url_for("charge.show", charge_id=charge_id), 303)


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


_DO: dict[Decision, Callable[[UUID], object]] = {
    Decision.RETRY: _retry,
    Decision.MARK_PAID: _mark_paid,
    Decision.GIVE_UP: _give_up,
    Decision.LOOK_UP: _look_up,
    Decision.DECLARE_LOST: _declare_lost,
    Decision.REFUND: _refund,
    Decision.CREDIT: _credit,
    Decision.DISMISS: _dismiss,
}


def _charge_page(charge_id: UUID, *, asked: Decision | None, problem: InvalidInputError | None = None) -> str:
    charge = decisions.find_charge(charge_id)
    refundable, invoice = commands.find_refundable(charge), find_invoice_of_charge(charge.id)
    actions = [each for each in decisions.actions_of(charge) if each is not Decision.REFUND or refundable.in_all]
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
        movements=list_movements(charge),
        waiting=bank_files.find_waiting(charge.id),
        today=clock.today(),
    )


def _ways(refundable: Refundable) -> list[tuple[str, str]]:
    """How money may go back: through the provider where it has some of it, or by hand, done already."""
    by_provider = [(BY_PROVIDER, "Par le prestataire de paiement")] if refundable.by_provider else []
    by_hand = ((PaymentMethod.TRANSFER, "Virement déjà fait"), (PaymentMethod.CHEQUE, "Chèque déjà envoyé"))
    return [*by_provider, *((method.value, words) for method, words in by_hand)]
