"""Daily reconciliation, both ways: what the provider says happened and we do not know of, and what we say and it does
not. Webhooks may be lost for ever; this is what finds their news.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from uuid import UUID

import structlog
from sqlalchemy import select

from webapp import queue, tenancy
from webapp.extensions import db
from webapp.gateways.providers import protocol
from webapp.gateways.providers.protocol import KnownPayment, PaymentState, ProviderError
from webapp.models.charges import AttemptStatus, Attention, Charge, ChargeAttempt
from webapp.models.providers import Provider, ProviderAccount
from webapp.services import each_organisation
from webapp.services.charges import calling, effects, recording
from webapp.services.providers.accounts import provider_of
from webapp.transactions import transaction

log = structlog.get_logger()

JOB = "jobs.charges.reconcile"
LOOKS_BACK = timedelta(days=3)
MARGIN = timedelta(hours=2)
"""What moved so lately may be on one side only, with nothing wrong."""
PAGE = 200
NOT_THERE = "Le prestataire ne connaît pas ce paiement que nous avons noté comme encaissé."

SAME = {
    PaymentState.SUCCEEDED: AttemptStatus.SUCCEEDED,
    PaymentState.REVERSED: AttemptStatus.REVERSED,
    PaymentState.REFUSED: AttemptStatus.REFUSED,
    PaymentState.CANCELED: AttemptStatus.CANCELED,
    PaymentState.PROCESSING: AttemptStatus.PROCESSING,
    PaymentState.AUTHENTICATION_REQUIRED: AttemptStatus.AUTHENTICATING,
}


@dataclass
class Differences:
    """What a reconciliation found: recorded now, missing there (left to a person), and none of ours."""

    recorded: int = 0
    missing: int = 0
    strange: int = 0


def ring(*, at: datetime) -> int:
    """Ring for every organisation that collects through a provider; returns how many."""
    collecting = select(ProviderAccount.organisation_id).where(ProviderAccount.provider != Provider.SEPA_FILE)
    return each_organisation.ring(JOB, collecting, on="charges")


def reconcile(organisation_id: UUID, *, at: datetime) -> Differences:
    """Compare the last days of each account of the organisation with its provider's."""
    queue.heard(JOB, organisation_id)
    differences = Differences()
    with tenancy.organisation(organisation_id):
        for account_id in _find_accounts():
            try:
                _reconcile_account(account_id, differences, at=at)
            except ProviderError as error:  # tomorrow's covers these days once more
                log.warning("reconciliation_failed", account_id=str(account_id), exc_type=type(error).__name__)
        log.info("reconciled", recorded=differences.recorded, missing=differences.missing, strange=differences.strange)
    return differences


def _find_accounts() -> Sequence[UUID]:
    with transaction():
        statement = select(ProviderAccount.id).where(ProviderAccount.provider != Provider.SEPA_FILE)
        return db.session.scalars(statement.order_by(ProviderAccount.id)).all()


def _reconcile_account(account_id: UUID, differences: Differences, *, at: datetime) -> None:
    with transaction():
        provider = provider_of(calling.find_account(account_id))
    since, listed = at - LOOKS_BACK, set()
    for page in _pages(provider.list_payments(since=since, until=at)):
        listed |= {payment.attempt_id for payment in page}
        _take_over(page, differences, at=at)
    for attempt_id, payment_id in _find_captured(account_id, since + MARGIN, at - MARGIN):
        if attempt_id not in listed:
            _make_sure(provider, attempt_id, payment_id, differences, at=at)


def _pages(payments: Iterator[KnownPayment]) -> Iterator[list[KnownPayment]]:
    while page := list(islice(payments, PAGE)):
        yield page


def _take_over(page: Iterable[KnownPayment], differences: Differences, *, at: datetime) -> None:
    """Record what the provider knows and we do not, or otherwise."""
    reported = {payment.attempt_id: payment.outcome for payment in page if payment.attempt_id is not None}
    with transaction():
        statement = select(ChargeAttempt.id, ChargeAttempt.status).where(ChargeAttempt.id.in_(reported))
        ours = {row.id: row.status for row in db.session.execute(statement)}
    differences.strange += sum(payment.attempt_id not in ours for payment in page)
    for attempt_id, status in ours.items():
        outcome = reported[attempt_id]
        if SAME.get(outcome.state) is not status or outcome.refunds:
            recording.apply_outcome(attempt_id, outcome, at=at)
            differences.recorded += 1


def _find_captured(account_id: UUID, since: datetime, until: datetime) -> list[tuple[UUID, str | None]]:
    with transaction():
        statement = select(ChargeAttempt.id, ChargeAttempt.provider_payment_id).where(
            ChargeAttempt.provider_account_id == account_id,
            ChargeAttempt.status == AttemptStatus.SUCCEEDED,
            ChargeAttempt.settled_at.between(since, until),
        )
        return [(row.id, row.provider_payment_id) for row in db.session.execute(statement)]


def _make_sure(
    provider: protocol.PaymentProvider,
    attempt_id: UUID,
    payment_id: str | None,
    differences: Differences,
    *,
    at: datetime,
) -> None:
    """A list may leave things out: only what the provider does not know when it is asked is a difference."""
    if provider.find_payment(attempt_id, provider_payment_id=payment_id) is not None:
        return
    with transaction():
        owner = select(ChargeAttempt.charge_id).where(ChargeAttempt.id == attempt_id).scalar_subquery()
        charge = db.session.scalars(select(Charge).where(Charge.id == owner).with_for_update()).one()
        effects.set_attention(charge, Attention.MISMATCH, at=at)
        charge.explanation = NOT_THERE
    differences.missing += 1
