"""What a person gives back or lets go: a refund through the provider or by hand, the credit note of one that was made
at the provider's own site, a commercial gesture on what is not paid yet.

Never more goes back than was captured, less what went back or is about to. Each form brings an id of its own for what
it makes: sent twice, it is done once.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import and_, func, select
from sqlalchemy.orm import aliased

from webapp import french, queue, tenancy
from webapp.clock import PARIS
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.charges import AttemptStatus, Charge, ChargeAttempt, ChargeStatus, Refund, RefundStatus
from webapp.models.contracts import PaymentMethod
from webapp.models.identity import User
from webapp.models.invoices import Invoice, InvoiceStatus
from webapp.models.money import Totals, cents
from webapp.models.payments import Payment, PaymentKind
from webapp.models.providers import Provider
from webapp.services.charges import decisions, effects
from webapp.services.charges.decisions import Decision, NotAllowedError
from webapp.services.contact import clean_text
from webapp.services.invoices import crediting
from webapp.services.refunds import sending
from webapp.services.subscriptions import lifecycle, scheduling
from webapp.transactions import transaction

REFERENCE_LENGTH = 100
WAIVABLE = frozenset({ChargeStatus.SCHEDULED, ChargeStatus.FAILED, ChargeStatus.REVERSED, ChargeStatus.CANCELED})
"""States of a charge in which nobody is being asked for the money."""
NOTHING = Decimal("0.00")


class Refundable(NamedTuple):
    """What may still go back of a charge, with tax: in all, and of each attempt whose provider gives money back."""

    in_all: Decimal
    by_attempt: dict[UUID, Decimal]

    @property
    def by_provider(self) -> Decimal:
        """At most how much may go back in one refund through a provider."""
        return min(self.in_all, max(self.by_attempt.values(), default=NOTHING))


def find_refundable(charge: Charge) -> Refundable:
    """What may go back of the charge now: nothing while it was not captured, or once all of it went back."""
    on_its_way = _find_on_its_way(charge)
    in_all = max(effects.balance_of(charge) - sum(on_its_way.values()), NOTHING)
    by_attempt = {attempt_id: kept - on_its_way.get(attempt_id, 0) for attempt_id, kept in _find_kept(charge).items()}
    return Refundable(in_all, by_attempt)


def _find_on_its_way(charge: Charge) -> dict[UUID, Decimal]:
    """What providers were asked to give back and nobody knows to have come to its end, by attempt."""
    statement = select(Refund.attempt_id, func.sum(Refund.amount)).where(
        Refund.charge_id == charge.id, Refund.next_attempt_at.is_not(None)
    )
    return dict(db.session.execute(statement.group_by(Refund.attempt_id)).all())


def _find_kept(charge: Charge) -> dict[UUID, Decimal]:
    """What the ledger holds of each captured attempt whose provider gives money back."""
    paid_by = linked(ChargeAttempt, Payment.attempt_id)
    statement = (
        select(ChargeAttempt.id, func.sum(Payment.amount))
        .join(Payment, paid_by)
        .where(
            ChargeAttempt.charge_id == charge.id,
            ChargeAttempt.status == AttemptStatus.SUCCEEDED,
            ChargeAttempt.provider != Provider.SEPA_FILE,
        )
        .group_by(ChargeAttempt.id)
        .order_by(ChargeAttempt.id)
    )
    return dict(db.session.execute(statement).all())


def may_refund(charge: Charge) -> bool:
    """Whether something of the charge may go back."""
    return Decision.REFUND in decisions.actions_of(charge) and find_refundable(charge).in_all > 0


def list_not_given_back(charge_id: UUID) -> list[Refund]:
    """Refunds of a charge that the provider was asked for and that are not in the ledger, the first first."""
    booked = (RefundStatus.SUCCEEDED, RefundStatus.FAILED)
    statement = select(Refund).where(Refund.charge_id == charge_id, Refund.status.not_in(booked))
    return list(db.session.scalars(statement.order_by(Refund.id)))


class GivenBack(NamedTuple):
    """A refund of the ledger, the row that undoes it where it failed, and the one of ours that asked for it."""

    payment: Payment
    failure: Payment | None
    refund: Refund | None

    @property
    def status(self) -> RefundStatus:
        """What has become of it."""
        return RefundStatus.FAILED if self.failure else RefundStatus.SUCCEEDED


def list_given_back(charge_id: UUID) -> list[GivenBack]:
    """What went back of a charge, whoever saw to it, the first first, and what came back of that."""
    failure = aliased(Payment)
    undoes = linked(Payment, failure.undoes_id)
    statement = (
        select(Payment, failure, Refund)
        .outerjoin(failure, undoes)
        .outerjoin(Refund, and_(Refund.charge_id == charge_id, Refund.external_id == Payment.external_id))
        .where(Payment.charge_id == charge_id, Payment.kind == PaymentKind.REFUND)
        .order_by(Payment.happened_at, Payment.id)
    )
    return [GivenBack(*row) for row in db.session.execute(statement)]


def refund(
    charge_id: UUID,
    *,
    refund_id: UUID,
    amount: Decimal,
    reason: str,
    by: User,
    at: datetime,
    wanted: Totals | None = None,
) -> None:
    """Have the provider give ``amount`` (with tax) of a paid charge back: it is asked in a moment, outside of this.

    ``wanted`` is what its credit note takes back of each VAT rate; by default it is of all in proportion.
    Raises NotFoundError, NotAllowedError; InvalidInputError for an amount beyond what may go back, or without a reason.
    """
    reason = decisions.checked_reason(reason)
    with decisions.deciding(charge_id, Decision.REFUND) as (charge, _):
        if db.session.scalar(select(Refund.id).where(Refund.id == refund_id)) is not None:
            return
        refundable = find_refundable(charge)
        _check_amount(amount, refundable.by_provider)
        asked = Refund(
            id=refund_id,
            charge_id=charge.id,
            attempt_id=next(each for each, rest in refundable.by_attempt.items() if rest >= amount),
            amount=amount,
            currency=charge.currency,
            reason=reason,
            vat=wanted.as_json() if wanted else None,
            next_attempt_at=at,
            created_at=at,
            requested_by_id=by.id,
        )
        db.session.add(asked)
        db.session.flush()
        if charge.attention in effects.REFUNDS:
            effects.set_attention(charge, None, at=at)
            charge.explanation = None
        decisions.tell(charge, Decision.REFUND, reason, by=by, at=at, amount=amount, refund=asked.code)
        queue.enqueue_once_after_commit(sending.JOB, tenancy.current_organisation_id(), on="payments")


def _check_amount(amount: Decimal, limit: Decimal) -> None:
    if limit <= 0:
        raise InvalidInputError("Il n’y a plus rien à rembourser de cette façon.", field="amount")
    if amount.is_finite() and amount > limit:
        raise InvalidInputError(f"C’est trop\u202f: {french.amount(limit)} au plus.", field="amount")
    if not amount.is_finite() or amount <= 0 or amount != cents(amount):
        raise InvalidInputError("Indiquez un montant au-dessus de zéro, avec deux décimales au plus.", field="amount")


def note_refund(
    charge_id: UUID,
    *,
    refund_id: UUID,
    amount: Decimal,
    method: PaymentMethod,
    paid_on: date,
    reference: str,
    reason: str,
    by: User,
    at: datetime,
) -> None:
    """Note that ``amount`` (with tax) went back by hand on ``paid_on``, under the bank's ``reference``.

    Raises NotFoundError, NotAllowedError; InvalidInputError naming the field.
    """
    decisions.check_day(paid_on, at=at)
    reason = decisions.checked_reason(reason)
    reference = _checked_reference(reference)
    with decisions.deciding(charge_id, Decision.REFUND) as (charge, _):
        if db.session.scalar(select(Payment.id).where(Payment.id == refund_id)) is not None:
            return
        _check_amount(amount, find_refundable(charge).in_all)
        payment = Payment(
            id=refund_id,
            company_id=charge.company_id,
            client_id=charge.client_id,
            charge_id=charge.id,
            kind=PaymentKind.REFUND,
            amount=-amount,
            currency=charge.currency,
            method=method,
            external_id=reference,
            reason=reason,
            happened_at=scheduling.instant_of(paid_on, datetime.min.time(), PARIS.key),
            recorded_at=at,
        )
        db.session.add(payment)
        effects.settle_refund(charge, payment, reason=reason, by_id=by.id, at=at)
        decisions.tell(charge, Decision.REFUND, reason, by=by, at=at, amount=amount)


def _checked_reference(reference: str) -> str:
    reference = clean_text(reference)
    if not reference:
        raise InvalidInputError("Indiquez la référence du virement ou du chèque.", field="reference")
    if len(reference) > REFERENCE_LENGTH:
        raise InvalidInputError(f"C’est trop long\u202f: {REFERENCE_LENGTH} caractères au plus.", field="reference")
    return reference


def credit_refunds(charge_id: UUID, *, reason: str, by: User, at: datetime) -> None:
    """Make the credit notes of what was given back at the provider's own site; the charge leaves the list.

    Raises NotFoundError, NotAllowedError; InvalidInputError without a reason.
    """
    reason = decisions.checked_reason(reason)
    with decisions.deciding(charge_id, Decision.CREDIT) as (charge, _):
        for payment in crediting.list_waiting_refunds(charge.id):
            effects.settle_refund(charge, payment, reason=reason, by_id=by.id, at=at)
        decisions.tell(charge, Decision.CREDIT, reason, by=by, at=at)


def waivable_of(invoice: Invoice, charge: Charge) -> Decimal:
    """How much of a charge's invoice a gesture may take off: what remains to be paid, while nobody is asked for it."""
    is_asked = charge.status not in WAIVABLE or charge.lease_until or charge.next_attempt_at
    if is_asked or invoice.status is not InvoiceStatus.ISSUED:
        return NOTHING
    return max(min(invoice.balance, invoice.total - invoice.credited), NOTHING)


def waive(invoice_id: UUID, *, note_id: UUID, amount: Decimal, reason: str, by: User, at: datetime) -> None:
    """A commercial gesture: a credit note of ``amount`` (with tax) lowers what remains to be paid of an invoice.

    Where nothing remains, nobody is asked for it any more. Raises NotFoundError, NotAllowedError; InvalidInputError.
    """
    reason = decisions.checked_reason(reason)
    with transaction():
        charge, invoice = _lock(invoice_id)
        if db.session.scalar(select(Invoice.id).where(Invoice.id == note_id)) is not None:
            return
        waivable = waivable_of(invoice, charge)
        if not waivable:
            raise NotAllowedError("Cette facture n’a rien à payer pour l’instant, ou son paiement est en cours.")
        _check_amount(amount, waivable)
        crediting.credit(invoice, amount, reason=reason, by_id=by.id, at=at, note_id=note_id)
        _waive_charge(charge, invoice, amount, by=by, at=at)


def _lock(invoice_id: UUID) -> tuple[Charge, Invoice]:
    """The invoice and its charge; the charge first, as everybody locks it first."""
    owner = select(Invoice.charge_id).where(Invoice.id == invoice_id).scalar_subquery()
    statement = select(Charge).where(Charge.id == owner).with_for_update()
    charge = db.session.scalar(statement.execution_options(populate_existing=True))
    if charge is None:
        raise NotFoundError("Cette facture n’existe pas ou plus.")
    return charge, crediting.lock_invoice_of(charge.id)


def _waive_charge(charge: Charge, invoice: Invoice, amount: Decimal, *, by: User, at: datetime) -> None:
    """The charge asks for so much less, and for nothing where nothing remains."""
    charge.waived = min(charge.waived + amount, charge.amount)
    effects.tell_settled(charge, at=at)
    if invoice.balance > 0 or charge.status is ChargeStatus.CANCELED:
        return
    effects.move(charge, ChargeStatus.CANCELED, at=at)
    effects.set_attention(charge, None, at=at)
    charge.explanation = "Crédité par un avoir."
    db.session.flush()
    subscription = lifecycle.find_for_update(charge.subscription_id)
    effects.go_on_if_clear(charge, subscription, at=at, by=by)
