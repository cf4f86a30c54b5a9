"""What the tables of subscriptions, charges and money hold together by themselves."""

from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy import delete, select, text, update
from sqlalchemy.exc import IntegrityError, ProgrammingError

from tests import factories
from tests.conftest import NOW, Cast
from tests.woocommerce_rows import make_shop
from webapp import clock
from webapp.extensions import db
from webapp.gateways.providers import registry
from webapp.models import charges, invoices, subscriptions
from webapp.models.charges import AttemptStatus, Charge, ChargeAttempt, ChargeStatus
from webapp.models.payments import Payment, PaymentKind
from webapp.models.providers import Provider
from webapp.models.subscriptions import (
    PER_YEAR,
    RHYTHMS,
    Collector,
    Frequency,
    Rhythm,
    ShopPeriod,
    Subscription,
    SubscriptionStatus,
)


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


# --- what a shop collects ---


@pytest.fixture
def held(organisation_id: UUID) -> Subscription:
    held: Subscription = factories.ShopSubscriptionFactory(client_id=factories.ClientFactory().id)
    return held


def test_every_state_of_a_shops_charge_has_its_row_and_nothing_leaves_what_is_paid() -> None:
    states = {
        ChargeStatus.SCHEDULED,
        ChargeStatus.PROCESSING,
        ChargeStatus.FAILED,
        ChargeStatus.CANCELED,
        ChargeStatus.SUCCEEDED,
    }
    assert set(charges.SHOP_TRANSITIONS) == states
    for old in states:
        for new in ChargeStatus:
            charge = Charge(status=old, collected_by=Collector.SHOP)
            is_led_to = new in states and new is not old and old is not ChargeStatus.SUCCEEDED
            assert charge.can_become(new) is is_led_to, (old, new)
    assert Charge(status=ChargeStatus.SUCCEEDED).can_become(ChargeStatus.REVERSED)


@pytest.mark.parametrize("status", [each for each in ChargeStatus if each not in charges.SHOP_TRANSITIONS])
def test_a_shops_charge_cannot_stand_in_a_state_of_ours(held: Subscription, status: ChargeStatus) -> None:
    with pytest.raises(IntegrityError, match="shop_collects_by_itself"):
        factories.ShopChargeFactory(subscription_id=held.id, client_id=held.client_id, status=status)


@pytest.mark.parametrize(
    "values",
    [
        {"next_attempt_at": NOW},
        {"lease_until": NOW},
        {"first_refused_at": NOW},
        {"attempts_count": 1},
        {"waived": Decimal(1)},
    ],
)
def test_the_database_lets_no_engine_take_a_shops_charge_up(held: Subscription, values: dict[str, object]) -> None:
    with pytest.raises(IntegrityError, match="shop_collects_by_itself"):
        factories.ShopChargeFactory(subscription_id=held.id, client_id=held.client_id, **values)


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("next_charge_at = now(), next_charge_on = '2026-02-01'", "shop_collects_by_itself"),
        ("means_inherited = true", "shop_collects_by_itself"),
        ("skips_cycle = 1", "shop_collects_by_itself"),
        ("resume_on = '2026-02-01'", "shop_collects_by_itself"),
        ("shop_period = NULL", "shop_fields"),
        ("shop_interval = NULL", "shop_fields"),
        ("shop_interval = 0", "shop_interval"),
        ("collected_by = 'crm', frequency = 'weekly'", "shop_fields"),
    ],
)
def test_the_database_holds_to_what_a_shop_collects(held: Subscription, statement: str, constraint: str) -> None:
    with pytest.raises(IntegrityError, match=constraint):
        db.session.execute(text(f"UPDATE subscriptions SET {statement} WHERE id = :id"), {"id": held.id})


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("expected_at = now()", "shop_fields"),
        ("shop_period = 'week', shop_interval = 3", "shop_fields"),
        ("frequency = 'other'", "other_rhythms_are_of_shops"),
    ],
)
def test_the_database_keeps_what_is_a_shops_from_ours(
    subscription: Subscription, statement: str, constraint: str
) -> None:
    with pytest.raises(IntegrityError, match=constraint):
        db.session.execute(
            text(f"UPDATE subscriptions SET {statement} WHERE id = :id"),
            {"id": subscription.id},
        )


@pytest.mark.parametrize(
    ("period", "interval", "words"),
    [
        (ShopPeriod.DAY, 1, "Tous les jours"),
        (ShopPeriod.DAY, 10, "Tous les 10 jours"),
        (ShopPeriod.WEEK, 3, "Toutes les 3 semaines"),
        (ShopPeriod.MONTH, 4, "Tous les 4 mois"),
        (ShopPeriod.YEAR, 2, "Tous les 2 ans"),
    ],
)
def test_another_rhythm_is_told_by_the_shops_own_pair(
    held: Subscription, period: ShopPeriod, interval: int, words: str
) -> None:
    held.shop_period, held.shop_interval = period, interval
    db.session.flush()
    db.session.refresh(held)
    assert (held.rhythm_label, held.annual_amount, held.revenue_per_year) == (words, None, 0)
    held.frequency = Frequency.MONTHLY
    assert held.rhythm_label == "Mensuel"


def _movement(held: Subscription, **values: object) -> Payment:
    known = {
        "company_id": held.company_id,
        "client_id": held.client_id,
        "shop_id": UUID(int=7),
        "kind": PaymentKind.CAPTURE,
        "amount": Decimal(24),
        "provider": Provider.WOOCOMMERCE,
        "external_id": "order 12",
    }
    payment = Payment(**(known | values))
    db.session.add(payment)
    db.session.flush()
    return payment


def test_a_movement_that_a_shop_tells_of_is_written_once(held: Subscription) -> None:
    shop_id = make_shop(1).id
    payment = _movement(held, shop_id=shop_id)
    _movement(held, shop_id=make_shop(2).id)
    _movement(held, shop_id=shop_id, kind=PaymentKind.REFUND, amount=Decimal(-24))
    _movement(held, shop_id=shop_id, kind=PaymentKind.REFUND_FAILURE, undoes_id=payment.id)
    _movement(held, shop_id=shop_id, external_id="order 13")
    with pytest.raises(IntegrityError, match="uq_payments_shop"):
        _movement(held, shop_id=shop_id)


@pytest.mark.parametrize("values", [{"shop_id": None}, {"provider": Provider.STRIPE}, {"provider": None}])
def test_a_movement_of_a_shop_names_its_shop_and_no_other_does(held: Subscription, values: dict[str, object]) -> None:
    with pytest.raises(IntegrityError, match="of_a_shop"):
        _movement(held, **values)


def test_shops_have_no_accounts_and_are_called_by_nobody() -> None:
    assert not Provider.WOOCOMMERCE.is_online
    assert not Provider.WOOCOMMERCE.has_accounts
    assert not registry.is_offered(Provider.WOOCOMMERCE)
