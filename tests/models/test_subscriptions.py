"""What the tables of subscriptions, charges and money hold together by themselves."""

from decimal import Decimal

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError, ProgrammingError

from tests import factories
from tests.conftest import Cast
from webapp import clock
from webapp.extensions import db
from webapp.models import charges, invoices, subscriptions
from webapp.models.charges import AttemptStatus, Charge, ChargeAttempt
from webapp.models.payments import Payment, PaymentKind
from webapp.models.providers import Provider
from webapp.models.subscriptions import PER_YEAR, RHYTHMS, Rhythm, Subscription, SubscriptionStatus


@pytest.fixture
def subscription(cast: Cast) -> Subscription:
    return factories.SubscriptionFactory(client_id=factories.ClientFactory().id)


@pytest.fixture
def charge(subscription: Subscription) -> Charge:
    return factories.ChargeFactory(subscription_id=subscription.id, client_id=subscription.client_id)


def _attempt(charge: Charge, number: int, **values: object) -> ChargeAttempt:
    account = db.session.scalar(select(factories.ProviderAccount)) or factories.ProviderAccountFactory()
    attempt = ChargeAttempt(
        charge_id=charge.id,
        number=number,
        provider_account_id=account.id,
        provider=Provider.SANDBOX,
        amount=charge.amount,
        **values,
    )
    db.session.add(attempt)
    db.session.flush()
    return attempt


def _payment(charge: Charge, attempt: ChargeAttempt, kind: PaymentKind, amount: str, **values: object) -> Payment:
    payment = Payment(
        company_id=charge.company_id,
        client_id=charge.client_id,
        charge_id=charge.id,
        attempt_id=attempt.id,
        kind=kind,
        amount=Decimal(amount),
        **values,
    )
    db.session.add(payment)
    db.session.flush()
    return payment


@pytest.mark.parametrize("module", [subscriptions, charges, invoices])
def test_every_state_has_its_row_in_the_table_of_transitions_and_a_french_word(module: object) -> None:
    table = module.TRANSITIONS  # type: ignore[attr-defined]
    states = type(next(iter(table)))
    assert set(table) == set(states)
    assert all(state.label for state in states)


@pytest.mark.parametrize("frequency", RHYTHMS)
def test_a_years_amount_follows_the_frequency(subscription: Subscription, frequency: Rhythm) -> None:
    subscription.frequency, subscription.recurring_amount = frequency, Decimal("10.01")
    db.session.flush()
    db.session.refresh(subscription)
    assert subscription.annual_amount == Decimal("10.01") * PER_YEAR[frequency]


@pytest.mark.parametrize("status", [SubscriptionStatus.PAUSED, SubscriptionStatus.CANCELED, SubscriptionStatus.EXPIRED])
def test_nothing_falls_due_in_a_state_that_is_not_charged(
    subscription: Subscription, status: SubscriptionStatus
) -> None:
    subscription.status = status
    subscription.next_charge_on, subscription.next_charge_at = subscription.anchor_date, clock.now()
    with pytest.raises(IntegrityError, match="only_scheduled_fall_due"):
        db.session.flush()


def test_a_cycle_cannot_be_charged_twice(charge: Charge) -> None:
    with pytest.raises(IntegrityError, match="uq_charges_organisation_id_subscription_id_cycle_no"):
        factories.ChargeFactory(
            subscription_id=charge.subscription_id, client_id=charge.client_id, cycle_no=charge.cycle_no
        )


@pytest.mark.parametrize("status", [AttemptStatus.SENDING, AttemptStatus.UNKNOWN, AttemptStatus.PROCESSING])
def test_no_new_attempt_while_the_last_one_may_still_succeed(charge: Charge, status: AttemptStatus) -> None:
    _attempt(charge, 1, status=status)
    with pytest.raises(IntegrityError, match="uq_charge_attempts_open"):
        _attempt(charge, 2)


def test_a_refused_attempt_makes_room_for_the_next_which_has_a_key_of_its_own(charge: Charge) -> None:
    first, second = _attempt(charge, 1, status=AttemptStatus.REFUSED), _attempt(charge, 2)
    assert first.idempotency_key != second.idempotency_key
    assert str(first.id) in first.idempotency_key


def test_an_attempt_is_captured_once_and_refunded_as_often_as_the_provider_says(charge: Charge) -> None:
    attempt = _attempt(charge, 1)
    _payment(charge, attempt, PaymentKind.CAPTURE, "24.00")
    refunds = [_payment(charge, attempt, PaymentKind.REFUND, "-1.00", external_id=name) for name in ("re_1", "re_2")]
    for refund in refunds:
        _payment(charge, attempt, PaymentKind.REFUND_FAILURE, "1.00", undoes_id=refund.id)
    with pytest.raises(IntegrityError, match="uq_payments_attempt_kind"):
        _payment(charge, attempt, PaymentKind.CAPTURE, "24.00")


def test_a_refund_told_twice_is_one(charge: Charge) -> None:
    attempt = _attempt(charge, 1)
    _payment(charge, attempt, PaymentKind.REFUND, "-1.00", external_id="re_1")
    with pytest.raises(IntegrityError, match="uq_payments_refund"):
        _payment(charge, attempt, PaymentKind.REFUND, "-1.00", external_id="re_1")


def test_a_refund_fails_once(charge: Charge) -> None:
    attempt = _attempt(charge, 1)
    refund = _payment(charge, attempt, PaymentKind.REFUND, "-1.00", external_id="re_1")
    _payment(charge, attempt, PaymentKind.REFUND_FAILURE, "1.00", undoes_id=refund.id)
    with pytest.raises(IntegrityError, match="uq_payments_undoes"):
        _payment(charge, attempt, PaymentKind.REFUND_FAILURE, "1.00", undoes_id=refund.id)


def test_a_failure_names_the_refund_that_it_undoes(charge: Charge) -> None:
    with pytest.raises(IntegrityError, match="failures_undo"):
        _payment(charge, _attempt(charge, 1), PaymentKind.REFUND_FAILURE, "1.00")


@pytest.mark.parametrize("statement", [update(Payment).values(amount=Decimal(1)), delete(Payment)])
def test_the_ledger_is_only_ever_added_to(charge: Charge, statement: object) -> None:
    _payment(charge, _attempt(charge, 1), PaymentKind.CAPTURE, "24.00")
    with pytest.raises(ProgrammingError, match="payments is only ever added to"):
        db.session.execute(statement)  # type: ignore[call-overload]


def test_a_providers_credentials_are_sealed(cast: Cast) -> None:
    account = factories.ProviderAccount(company_id=factories.default_company().id, provider=Provider.STRIPE)
    account.keep_credentials({"secret_key": "sk_test_very_secret"})
    db.session.add(account)
    db.session.flush()
    db.session.expire(account)
    assert account.credentials
    assert b"very_secret" not in account.credentials
    assert account.credentials_in_clear() == {"secret_key": "sk_test_very_secret"}
