"""Pre-notification: a SEPA debit is announced to its debtor, 14 calendar days ahead (SEPA Core rulebook).

The notice is an event in the outbox; whoever sends mail listens to it. One per subscription and cycle.
"""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import select

from webapp import clock, tenancy
from webapp.extensions import db
from webapp.models.charges import Charge, ChargeAttempt
from webapp.models.money import totals
from webapp.models.outbox import OutboxEvent, OutboxKind
from webapp.models.payments import Provider, ProviderAccount
from webapp.models.subscriptions import Subscription, SubscriptionLine, SubscriptionStatus
from webapp.services import outbox
from webapp.transactions import transaction

NOTICE = timedelta(days=14)
BATCH = 500


def announce_due(*, at: datetime) -> int:
    """Announce every debit by bank file that falls due within the notice period; returns how many notices."""
    today = at.astimezone(clock.PARIS).date()
    with tenancy.across_organisations():
        organisations = db.session.scalars(
            select(ProviderAccount.organisation_id)
            .where(ProviderAccount.provider == Provider.SEPA_FILE, ProviderAccount.is_active)
            .distinct()
        ).all()
    announced = 0
    for organisation_id in organisations:
        with tenancy.organisation(organisation_id):
            while done := _announce_batch(today, at=at):
                announced += done
    return announced


def _announce_batch(today: date, *, at: datetime) -> int:
    """Announce some of what is not announced yet; each in the transaction that reads it."""
    is_announced = (
        select(OutboxEvent.id)
        .where(
            OutboxEvent.organisation_id == Subscription.organisation_id,
            OutboxEvent.subject_id == Subscription.id,
            OutboxEvent.kind == OutboxKind.SEPA_PRENOTIFICATION,
            OutboxEvent.payload["cycle_no"].as_integer() == Subscription.cycle_no,
        )
        .exists()
    )
    with transaction():
        due = db.session.scalars(
            select(Subscription)
            .join(
                ProviderAccount,
                (ProviderAccount.organisation_id == Subscription.organisation_id)
                & (ProviderAccount.id == Subscription.provider_account_id),
            )
            .where(
                ProviderAccount.provider == Provider.SEPA_FILE,
                Subscription.status.in_((SubscriptionStatus.PENDING, SubscriptionStatus.ACTIVE)),
                Subscription.next_charge_on <= today + NOTICE,
                ~is_announced,
            )
            .order_by(Subscription.id)
            .limit(BATCH)
            .with_for_update(of=Subscription, skip_locked=True)
        ).all()
        amounts = _amounts(each.id for each in due)
        for each in due:
            due_on = each.next_charge_on or today
            _announce(each.id, each.cycle_no, due_on, amounts.get(each.id, Decimal("0.00")), each.currency, at=at)
    return len(due)


def _amounts(subscription_ids: Iterable[UUID]) -> dict[UUID, Decimal]:
    """What each will be charged, with tax."""
    lines: dict[UUID, list[tuple[Decimal, Decimal]]] = {}
    statement = select(SubscriptionLine).where(SubscriptionLine.subscription_id.in_(list(subscription_ids)))
    for line in db.session.scalars(statement):
        lines.setdefault(line.subscription_id, []).append((line.vat_rate, line.amount))
    return {subscription_id: totals(pairs).with_tax for subscription_id, pairs in lines.items()}


def announce_attempt(charge: Charge, attempt: ChargeAttempt, *, at: datetime) -> date:
    """Announce a debit that nobody announced in time; the first day on which it may be collected."""
    return _announce(charge.subscription_id, charge.cycle_no, charge.due_on, attempt.amount, attempt.currency, at=at)


def _announce(
    subscription_id: UUID, cycle_no: int, due_on: date, amount: Decimal, currency: str, *, at: datetime
) -> date:
    collect_on = max(due_on, at.astimezone(clock.PARIS).date() + NOTICE)
    payload = {
        "cycle_no": cycle_no,
        "due_on": due_on.isoformat(),
        "collect_on": collect_on.isoformat(),
        "amount": str(amount),
        "currency": currency,
    }
    outbox.emit(OutboxKind.SEPA_PRENOTIFICATION, subscription_id, at=at, payload=payload)
    return collect_on
