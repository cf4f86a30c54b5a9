"""Plans in instalments: what a case holds is replaced by charges of their own, each asked for on its day.

Nothing is asked for twice: the charges that a plan replaces are canceled, an invoice that was issued for one is
credited, and each instalment is invoiced as it is paid. Taken together the instalments come to what they replaced, by
rate of VAT.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise
from uuid import UUID

from dateutil.relativedelta import relativedelta
from sqlalchemy import func, select, update

from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.charges import Attention, Charge, ChargeStatus
from webapp.models.dunning import ClaimOutcome, DunningCase, DunningInstalment
from webapp.models.identity import User
from webapp.models.invoices import Invoice, InvoiceStatus
from webapp.models.money import Totals, VatShare, cents, part_of
from webapp.services.charges import effects, supplements
from webapp.services.dunning import cases, days
from webapp.services.dunning.cases import CaseStateError, Held
from webapp.services.invoices import crediting
from webapp.services.subscriptions import lifecycle
from webapp.services.subscriptions.terms import Line, plain_line
from webapp.transactions import transaction

MOST_INSTALMENTS = 24
LEAST_INSTALMENT = Decimal(1)
FARTHEST_MONTHS = 36
HANDED_OVER = "Remis au contentieux."
DISPUTED = "Contesté par le client."
REPLACED = "Remplacé par l’échéancier du dossier {code}."
UNDER_WAY = "Un paiement est en cours sur ce dossier\u202f: attendez son résultat."
FREE = frozenset({ChargeStatus.SCHEDULED, ChargeStatus.RETRYING, ChargeStatus.FAILED, ChargeStatus.REVERSED})
"""States of a charge in which nobody is at work on it."""
INSTALMENT = "instalment"


@dataclass(frozen=True)
class Owed:
    """What is owed of one subscription: its totals, and the days that it was for."""

    totals: Totals
    since: date
    until: date


def check_free(held: Iterable[Held]) -> None:
    """Raise CaseStateError while money may be on its way for something that a case holds."""
    for each in held:
        if each.charge.status not in FREE or each.charge.lease_until is not None:
            raise CaseStateError(UNDER_WAY)


def hold_retries(charges: Iterable[Charge], explanation: str, *, at: datetime) -> None:
    """No locked charge is tried again by itself: it waits for a person."""
    for charge in charges:
        if charge.status is ChargeStatus.RETRYING:
            subscription = lifecycle.find_for_update(charge.subscription_id)
            effects.leave_to_person(charge, subscription, Attention.REFUSED, explanation, at=at)


def dates_of(first: date, count: int, *, fortnightly: bool) -> list[date]:
    """The days of a plan: monthly from the first one, or every two weeks."""
    step = relativedelta(weeks=2) if fortnightly else relativedelta(months=1)
    return [first + step * position for position in range(count)]


def check_dates(dates: Sequence[date], *, at: datetime) -> None:
    """Raise InvalidInputError for days that make no plan."""
    today = days.local(at)
    if not 2 <= len(dates) <= MOST_INSTALMENTS:
        raise InvalidInputError(f"Un échéancier a de 2 à {MOST_INSTALMENTS} échéances.", field="count")
    if dates[0] < today:
        raise InvalidInputError("La première échéance ne peut pas être passée.", field="first_on")
    if any(later <= earlier for earlier, later in pairwise(dates)):
        raise InvalidInputError("Les échéances se suivent.", field="first_on")
    if dates[-1] > today + relativedelta(months=FARTHEST_MONTHS):
        raise InvalidInputError(f"Un échéancier finit dans {FARTHEST_MONTHS} mois au plus.", field="first_on")


def replace_by_instalments(
    case: DunningCase, held: Sequence[Held], dates: Sequence[date], *, by: User, at: datetime
) -> list[DunningInstalment]:
    """Cancel what a locked case holds and plan as much in instalments, in the caller's transaction.

    Raises CaseStateError where money may be on its way; InvalidInputError where the parts would be too small.
    """
    check_free(held)
    owed = sum((each.charge.owed for each in held), Decimal(0))
    if owed / len(dates) < LEAST_INSTALMENT:
        raise InvalidInputError("Chaque échéance doit être d’un euro au moins.", field="count")
    by_subscription = _owed_by_subscription(held)
    plan = 1 + (
        db.session.scalar(select(func.max(DunningInstalment.plan)).where(DunningInstalment.case_id == case.id)) or 0
    )
    instalments = [
        instalment
        for subscription_id, each in by_subscription.items()
        for instalment in _split(case, plan, subscription_id, each, dates, at=at)
    ]
    db.session.add_all(instalments)
    for each in held:
        _cancel(each.charge, case, by=by, at=at)
        cases.release(each, ClaimOutcome.REPLACED, case, at=at)
    db.session.flush()
    for charge in (each.charge for each in held):
        effects.go_on_if_clear(charge, lifecycle.find_for_update(charge.subscription_id), at=at, by=by)
    return instalments


def _owed_by_subscription(held: Iterable[Held]) -> dict[UUID, Owed]:
    found: dict[UUID, Owed] = {}
    for each in held:
        charge = each.charge
        part = part_of(Totals.from_json(charge.vat), charge.owed) if charge.vat else _untaxed(charge.owed)
        known = found.get(charge.subscription_id, Owed(Totals(()), charge.period_start, charge.period_end))
        found[charge.subscription_id] = Owed(
            _sum(known.totals, part), min(known.since, charge.period_start), max(known.until, charge.period_end)
        )
    return found


def _untaxed(amount: Decimal) -> Totals:
    return Totals((VatShare(Decimal(0), amount, Decimal("0.00")),))


def _sum(one: Totals, other: Totals) -> Totals:
    rates: dict[Decimal, VatShare] = {}
    for share in (*one.shares, *other.shares):
        known = rates.get(share.rate, VatShare(share.rate, Decimal("0.00"), Decimal("0.00")))
        rates[share.rate] = VatShare(share.rate, known.base + share.base, known.tax + share.tax)
    return Totals(tuple(rates[rate] for rate in sorted(rates)))


def _less(one: Totals, other: Totals) -> Totals:
    return Totals(tuple(share for share in _sum(one, -other).shares if share.base or share.tax))


def _split(
    case: DunningCase, plan: int, subscription_id: UUID, owed: Owed, dates: Sequence[date], *, at: datetime
) -> Iterable[DunningInstalment]:
    """The instalments of one subscription; in a plan of many cents a day may have none."""
    for position, part in enumerate(split(owed.totals, len(dates))):
        if part.with_tax > 0:
            yield DunningInstalment(
                id=new_id(),
                case_id=case.id,
                plan=plan,
                position=position,
                subscription_id=subscription_id,
                due_on=dates[position],
                period_start=owed.since,
                period_end=owed.until,
                amount=part.with_tax,
                vat=part.as_json(),
                created_at=at,
            )


def split(whole: Totals, count: int) -> Iterable[Totals]:
    """Equal parts in cents; the last takes what is left, of each rate of VAT."""
    left, each = whole, cents(whole.with_tax / count)
    for position in range(count):
        part = left if position == count - 1 or left.with_tax <= each else part_of(left, each)
        yield part
        left = _less(left, part)


def _cancel(charge: Charge, case: DunningCase, *, by: User, at: datetime) -> None:
    """A locked charge is asked for no more, by the engine or by a person; its invoice, if one was issued, is
    credited.
    """
    reason = REPLACED.format(code=case.code)
    if db.session.scalar(select(Invoice.id).where(Invoice.charge_id == charge.id)) is not None:
        invoice = crediting.lock_invoice_of(charge.id)
        if invoice.status is InvoiceStatus.DRAFT:
            raise CaseStateError(
                "Une facture de ce dossier n’a pas encore de numéro. Réessayez dans quelques instants."
            )
        if invoice.balance > 0:
            crediting.credit(invoice, invoice.balance, reason=reason, by_id=by.id, at=at)
    effects.move(charge, ChargeStatus.CANCELED, at=at)
    effects.set_attention(charge, None, at=at)
    charge.explanation = reason


def ask_due(*, at: datetime) -> int:
    """Ask for the instalments of the current organisation whose day has come; returns how many."""
    due = select(DunningInstalment.case_id).where(
        DunningInstalment.due_on <= days.local(at),
        DunningInstalment.charge_id.is_(None),
        DunningInstalment.canceled_at.is_(None),
    )
    asked = 0
    for case_id in db.session.scalars(due.distinct()).all():
        with transaction():
            case = cases.lock_case(case_id)
            asked += ask(case, until=days.local(at), at=at)
            cases.restate(case, at=at)
    return asked


def ask(case: DunningCase, *, until: date, at: datetime) -> int:
    """Ask for the instalments of a locked case that are due by ``until``, in the caller's transaction; returns how
    many.
    """
    waiting = db.session.scalars(
        select(DunningInstalment)
        .where(
            DunningInstalment.case_id == case.id,
            DunningInstalment.due_on <= until,
            DunningInstalment.charge_id.is_(None),
            DunningInstalment.canceled_at.is_(None),
        )
        .order_by(DunningInstalment.position, DunningInstalment.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    for instalment in waiting:
        subscription = lifecycle.find_for_update(instalment.subscription_id)
        total = Totals.from_json(instalment.vat)
        charge = supplements.ask(
            subscription,
            instalment.id,
            _lines(case, instalment, total),
            since=instalment.period_start,
            until=instalment.period_end,
            at=at,
            total=total,
        )
        instalment.charge_id = charge.id
        cases.hold(case, charge, since=days.local(at), at=at)
    return len(waiting)


def _lines(case: DunningCase, instalment: DunningInstalment, total: Totals) -> list[Line]:
    label = f"Échéancier {case.code}, échéance n° {instalment.position + 1}"
    return [plain_line(label, share.rate, share.base, INSTALMENT) for share in total.shares]


def cancel_pending(case: DunningCase, *, at: datetime) -> None:
    """Ask for no further instalment of a locked case."""
    db.session.execute(
        update(DunningInstalment)
        .where(
            DunningInstalment.case_id == case.id,
            DunningInstalment.charge_id.is_(None),
            DunningInstalment.canceled_at.is_(None),
        )
        .values(canceled_at=at)
        .execution_options(synchronize_session="fetch")
    )


def list_instalments(case_id: UUID) -> Sequence[DunningInstalment]:
    """The instalments of a case's plans, in order."""
    statement = select(DunningInstalment).where(DunningInstalment.case_id == case_id)
    order = (DunningInstalment.plan, DunningInstalment.position, DunningInstalment.id)
    return db.session.scalars(statement.order_by(*order)).all()
