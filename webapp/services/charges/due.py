"""Which cycles the engine takes up, and what a charge for one of them is made of."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, select

from webapp.extensions import db
from webapp.models.base import linked, new_id
from webapp.models.charges import Attention, Charge, ChargeStatus
from webapp.models.contracts import PaymentMethod
from webapp.models.money import INSURANCE_TAX
from webapp.models.subscriptions import Subscription, SubscriptionStatus
from webapp.services.subscriptions import scheduling
from webapp.services.subscriptions.means import DEBITED, Means
from webapp.services.subscriptions.terms import AskedCycle, Terms, load_terms

PAST_DUE = "L’abonnement est impayé\u202f: cette échéance n’est pas prélevée."
WISHED = "Sautée à la demande du client."
NOT_BEGUN = "Le premier prélèvement n’est pas payé\u202f: cette échéance n’est pas prélevée."

UNDER_WAY = frozenset({ChargeStatus.SENDING, ChargeStatus.UNKNOWN, ChargeStatus.PROCESSING})
REFUSED_BEFORE = frozenset(
    {
        ChargeStatus.SCHEDULED,
        ChargeStatus.RETRYING,
        ChargeStatus.AUTHENTICATING,
        ChargeStatus.FAILED,
        ChargeStatus.CANCELED,
        ChargeStatus.SKIPPED,
    }
)
"""States of an earlier charge in which a pending subscription has not begun: its later cycles are skipped."""


def lock_due(*, before: datetime, limit: int) -> list[Subscription]:
    """Lock subscriptions of the current organisation whose next cycle is due and free, the longest due first.

    What another worker holds is passed over.
    """
    statement = scheduling.due_statement(before=before, limit=limit).where(is_free())
    locked = statement.with_for_update(skip_locked=True, of=Subscription).execution_options(populate_existing=True)
    return list(db.session.scalars(locked))


def is_free() -> ColumnElement[bool]:
    """Whether a subscription's next cycle may be taken.

    It may not while a charge holds it, and, before a subscription has begun, while the result of its first one is
    awaited.
    """
    is_pending = Subscription.status == SubscriptionStatus.PENDING
    return and_(
        ~_has_charge(Charge.cycle_no == Subscription.cycle_no),
        ~and_(is_pending, _has_charge(Charge.status.in_(UNDER_WAY))),
    )


def is_not_begun() -> ColumnElement[bool]:
    """Whether a subscription is pending though it was charged: the charge was not paid, and nothing more is asked."""
    return and_(Subscription.status == SubscriptionStatus.PENDING, _has_charge(Charge.status.in_(REFUSED_BEFORE)))


def _has_charge(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether it has such a charge for one of its cycles: supplements hold up nothing."""
    return exists().where(linked(Subscription, Charge.subscription_id), Charge.cycle_no.is_not(None), condition)


def find_not_begun(subscriptions: Sequence[Subscription]) -> set[UUID]:
    """Those among ``subscriptions`` of which ``is_not_begun`` is true."""
    pending = [subscription.id for subscription in subscriptions if subscription.status is SubscriptionStatus.PENDING]
    if not pending:
        return set()
    return set(db.session.scalars(select(Subscription.id).where(Subscription.id.in_(pending), is_not_begun())))


class Prepared(NamedTuple):
    """A cycle that is due: what it asks for, the terms before and after it, and the columns of its charge."""

    subscription: Subscription
    agreed: Terms
    asked: AskedCycle
    after: Terms
    row: dict[str, Any]


def prepare(subscriptions: Sequence[Subscription], paid_by: Mapping[UUID, Means], *, at: datetime) -> list[Prepared]:
    """The next cycle of each subscription, in a fixed number of queries; nothing is written."""
    terms, not_begun = load_terms(subscriptions), find_not_begun(subscriptions)
    prepared = []
    for each in subscriptions:
        skipped = NOT_BEGUN if each.id in not_begun else _why_skipped(each, terms[each.id])
        asked, after = terms[each.id].ask(each.cycle_no, is_skipped=skipped is not None)
        row = charge_for(each, asked, paid_by[each.id], skipped=skipped, at=at)
        prepared.append(Prepared(each, terms[each.id], asked, after, row))
    return prepared


def _why_skipped(subscription: Subscription, terms: Terms) -> str | None:
    """Nothing more is asked of an unpaid subscription, but for premiums: they are owed while the insurance covers
    (article L113-3 of the insurance code), which it does until it is suspended.
    """
    if subscription.status is SubscriptionStatus.PAST_DUE and not _asks_premium(subscription, terms):
        return PAST_DUE
    return WISHED if subscription.skips_next else None


def _asks_premium(subscription: Subscription, terms: Terms) -> bool:
    asked, _ = terms.ask(subscription.cycle_no)
    return any(share.rate == INSURANCE_TAX for share in asked.totals.shares)


def reference_of(subscription: Subscription) -> str:
    """The readable reference of its next charge: the subscription and the instant at which the cycle fell due."""
    return f"{subscription.id}:{subscription.next_charge_at:%Y-%m-%dT%H:%MZ}"


def charge_for(
    subscription: Subscription, asked: AskedCycle, paid_by: Means, *, skipped: str | None, at: datetime
) -> dict[str, Any]:
    """The columns of the charge of its next cycle, amounts frozen, in the state in which it is to be kept:

    SENDING where the provider is to be asked; SKIPPED for the reason ``skipped``; else SCHEDULED, with ``attention``
    where a person is needed, and without where nothing is to be paid.
    """
    total = asked.totals
    status, attention, explanation = ChargeStatus.SKIPPED, None, skipped
    if skipped is None:
        status, attention, explanation = stand(subscription, total.with_tax, paid_by, at=at)
    return {
        "organisation_id": subscription.organisation_id,
        "id": new_id(),
        "subscription_id": subscription.id,
        "cycle_no": asked.cycle,
        "client_id": subscription.client_id,
        "company_id": subscription.company_id,
        "reference": reference_of(subscription),
        "due_on": subscription.next_charge_on or asked.period.start,
        "period_start": asked.period.start,
        "period_end": asked.period.end,
        "amount_before_tax": total.before_tax,
        "vat": total.as_json(),
        "amount": total.with_tax,
        "currency": subscription.currency,
        "lines": asked.lines,
        "payment_method": subscription.payment_method,
        "provider_account_id": subscription.provider_account_id,
        "status": status,
        "attention": attention,
        "attention_at": at if attention else None,
        "explanation": explanation,
        "settled_at": at if status.is_settled else None,
        "created_at": at,
    }


def stand(
    subscription: Subscription, amount: Decimal, paid_by: Means, *, at: datetime
) -> tuple[ChargeStatus, Attention | None, str | None]:
    """Where a new charge of ``amount`` stands: its state, why a person is needed, and a sentence on that."""
    if amount == 0:
        return ChargeStatus.SCHEDULED, None, None
    obstacle = paid_by.obstacle(scheduling.local_date(at, subscription.timezone))
    if obstacle is not None:
        return ChargeStatus.SCHEDULED, Attention.NO_PAYMENT_METHOD, obstacle
    if paid_by.method not in DEBITED:
        return ChargeStatus.SCHEDULED, Attention.BY_HAND, awaited(paid_by.method)
    return ChargeStatus.SENDING, None, None


def awaited(method: PaymentMethod | None) -> str:
    """Why a charge that the client pays without us is on a person's list."""
    how = method.label.lower() if method else "ses propres moyens"
    return f"Le client paie par {how}\u202f: notez le paiement quand il arrive."
