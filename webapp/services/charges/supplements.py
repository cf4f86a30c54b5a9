"""Supplements: what a change of plan asks for apart from the cycles. A charge like any other, without a cycle."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from webapp import queue, tenancy
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.charges import Attention, Charge, ChargeStatus
from webapp.models.money import Totals
from webapp.models.subscriptions import Subscription
from webapp.services.charges import due, sweeping
from webapp.services.invoices import drafting
from webapp.services.subscriptions import scheduling
from webapp.services.subscriptions.means import load_means
from webapp.services.subscriptions.terms import Line, totals_of


def ask(
    subscription: Subscription,
    cause_id: UUID,
    lines: Sequence[Line],
    *,
    since: date,
    until: date,
    at: datetime,
    total: Totals | None = None,
) -> Charge:
    """Ask for ``lines``, which pay for the days from ``since`` to ``until`` (excluded), in the caller's transaction.

    The sweeper takes it up at once; without means of payment, or where the client pays by other means, it waits for a
    person as a cycle does. ``total`` is what the lines come to where that is a part of something with totals of its
    own.
    """
    total = total or totals_of(lines)
    paid_by = load_means([subscription])[subscription.id]
    status, attention, explanation = due.stand(subscription, total.with_tax, paid_by, at=at)
    charge = Charge(
        id=new_id(),
        subscription_id=subscription.id,
        client_id=subscription.client_id,
        company_id=subscription.company_id,
        reference=f"{subscription.id}:{cause_id}",
        due_on=scheduling.local_date(at, subscription.timezone),
        period_start=since,
        period_end=until,
        amount_before_tax=total.before_tax,
        vat=total.as_json(),
        amount=total.with_tax,
        currency=subscription.currency,
        lines=list(lines),
        payment_method=subscription.payment_method,
        provider_account_id=subscription.provider_account_id,
        status=ChargeStatus.SCHEDULED,
        next_attempt_at=at if status is ChargeStatus.SENDING else None,
        attention=attention,
        attention_at=at if attention else None,
        explanation=explanation,
        created_at=at,
    )
    db.session.add(charge)
    db.session.flush()
    if attention is Attention.BY_HAND:
        drafting.draft_for_charge(charge, at=at)  # the client is sent the invoice to pay
    elif charge.next_attempt_at is not None:
        queue.enqueue_once_after_commit(sweeping.JOB, tenancy.current_organisation_id(), on="charges")
    return charge
