"""Pre-notification: a SEPA debit is announced to its debtor, 14 calendar days ahead (SEPA Core rulebook).

The notice is an event in the outbox; whoever sends mail listens to it. One per subscription and cycle.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Date, ScalarSelect, Text, cast, func, or_, select

from webapp import clock, tenancy
from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.charges import Charge, ChargeAttempt
from webapp.models.outbox import OutboxEvent, OutboxKind
from webapp.models.providers import Provider, ProviderAccount
from webapp.models.subscriptions import Subscription, SubscriptionStatus
from webapp.services import outbox
from webapp.services.subscriptions.terms import load_terms
from webapp.transactions import transaction

NOTICE = timedelta(days=14)
BATCH = 500


def announce_due(*, at: datetime) -> int:
    """Announce every debit by bank file that falls due within the notice period, and those that wait unannounced.

    Returns how many notices.
    """
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
            announced += announce_waiting(at=at)
    return announced


def _announce_batch(today: date, *, at: datetime) -> int:
    """Announce some of what is not announced yet; each in the transaction that reads it."""
    is_announced = (
        select(OutboxEvent.id)
        .where(
            linked(Subscription, OutboxEvent.subject_id),
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
                linked(ProviderAccount, Subscription.provider_account_id),
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
        amounts = _amounts(due)
        for subscription in due:
            due_on = subscription.next_charge_on or today
            _announce(
                subscription.id, subscription.cycle_no, due_on, amounts[subscription.id], subscription.currency, at=at
            )
    return len(due)


def _amounts(subscriptions: Sequence[Subscription]) -> dict[UUID, Decimal]:
    """What the next cycle of each will ask for, with tax."""
    terms = load_terms(subscriptions)
    return {each.id: terms[each.id].ask(each.cycle_no)[0].totals.with_tax for each in subscriptions}


def announce_waiting(*, at: datetime) -> int:
    """Announce what waits for a bank file and nobody announced in time; returns how many notices."""
    announced = 0
    while done := _announce_waiting_batch(at=at):
        announced += done
    return announced


def _announce_waiting_batch(*, at: datetime) -> int:
    """Read once more under the lock: what another one announced in the meantime is known by then."""
    unannounced = (
        select(
            Charge.subscription_id,
            Charge.cycle_no,
            Charge.due_on,
            ChargeAttempt.amount,
            ChargeAttempt.currency,
            Charge.id.label("charge_id"),
        )
        .join(
            ChargeAttempt,
            linked(Charge, ChargeAttempt.charge_id),
        )
        .where(ChargeAttempt.waits_for_file(), collection_day().is_(None))
    )
    some = unannounced.with_only_columns(Charge.id).order_by(Charge.id).limit(BATCH)
    with transaction():
        locked = db.session.scalars(some.with_for_update(of=Charge, skip_locked=True)).all()
        rows = db.session.execute(unannounced.where(Charge.id.in_(locked))).all()
        for row in rows:
            _announce(*row[:-1], at=at, charge_id=None if row.cycle_no is not None else row.charge_id)
    return len(rows)


def collection_day() -> ScalarSelect[date]:
    """In a statement on charges: from which day the cycle may be collected, as it was announced; NULL if it was not."""
    return (
        select(cast(func.max(OutboxEvent.payload["collect_on"].astext), Date))
        .where(
            OutboxEvent.organisation_id == Charge.organisation_id,
            OutboxEvent.subject_id == Charge.subscription_id,
            OutboxEvent.kind == OutboxKind.SEPA_PRENOTIFICATION,
            or_(
                OutboxEvent.payload["cycle_no"].as_integer() == Charge.cycle_no,
                OutboxEvent.payload["charge_id"].astext == cast(Charge.id, Text),  # a supplement is of no cycle
            ),
        )
        .correlate(Charge)
        .scalar_subquery()
    )


def _announce(
    subscription_id: UUID,
    cycle_no: int | None,
    due_on: date,
    amount: Decimal,
    currency: str,
    *,
    at: datetime,
    charge_id: UUID | None = None,
) -> None:
    collect_on = max(due_on, at.astimezone(clock.PARIS).date() + NOTICE)
    payload = {
        "cycle_no": cycle_no,
        "due_on": due_on.isoformat(),
        "collect_on": collect_on.isoformat(),
        "amount": str(amount),
        "currency": currency,
    }
    if charge_id is not None:
        payload["charge_id"] = str(charge_id)
    outbox.emit(OutboxKind.SEPA_PRENOTIFICATION, subscription_id, at=at, payload=payload)
