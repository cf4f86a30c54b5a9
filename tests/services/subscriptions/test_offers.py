"""Coupons, trials and set-up fees: what cycles ask for, when the revenue moves, what is refused."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import factories
from tests.conftest import Cast
from tests.services.charges.conftest import ledger, world
from tests.services.charges.world import World
from webapp import clock, tenancy
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.coupons import Coupon
from webapp.models.money import VAT_RATES, line_amount
from webapp.models.subscriptions import Frequency, Subscription, SubscriptionStatus
from webapp.services.charges import preview
from webapp.services.subscriptions import coupons, forecasting, history, metrics, opening
from webapp.services.subscriptions.coupons import CouponFields, UsedCouponError
from webapp.services.subscriptions.creation import create_subscription
from webapp.services.subscriptions.fields import (
    CheckedLine,
    Opening,
    SubscriptionFields,
    SubscriptionLineFields,
)
from webapp.services.subscriptions.means import PaymentFields
from webapp.services.subscriptions.opening import AlreadyChargedError
from webapp.services.subscriptions.terms import COUPON, Terms

__all__ = ["ledger", "world"]

NOEL = CouponFields(code="noel-20", label="Noël", percent=Decimal(20), cycles=2)
BOX = SubscriptionLineFields(label="Coffret", unit_price=Decimal("30.00"))


@pytest.fixture
def june(world: World) -> World:
    """The first of June."""
    world.move_to(datetime.fromisoformat("2026-06-01T08:00+02:00"))
    return world


def _coupon(cast: Cast, **values: Any) -> Coupon:
    return coupons.create_coupon(replace(NOEL, **values), by=cast.manager, at=clock.now())


def _sell(world: World, **values: Any) -> Subscription:
    """A new subscription at 30 €, paid by a card."""
    client = factories.ClientFactory()
    saved = factories.SavedPaymentMethodFactory(client_id=client.id, provider_account_id=world.account.id)
    fields = SubscriptionFields(
        client_id=client.id,
        frequency="monthly",
        anchor_date=date(2026, 6, 1),
        lines=[BOX],
        payment=PaymentFields(method="card", saved_method_id=saved.id),
        **values,
    )
    subscription = create_subscription(fields, by=None, at=clock.now())
    db.session.commit()
    return subscription


def _run_months(world: World, *months: int) -> None:
    for month in months:
        world.move_to(datetime(2026, month, 1, 8, tzinfo=clock.PARIS))
        world.run()


def _amounts(world: World, subscription: Subscription) -> list[Decimal]:
    return [charge.amount for charge in world.charges(subscription)]


def test_a_coupon_lasts_its_cycles_and_its_end_is_an_expansion(june: World, cast: Cast) -> None:
    _coupon(cast)
    subscription = _sell(june, coupon="NOEL-20")
    _run_months(june, 6, 7)
    assert june.reload(subscription).recurring_amount == Decimal("24.00")
    shown = forecasting.forecast(subscription, at=clock.now(), months=3)
    assert [(each.amount, each.has_coupon) for each in shown] == [(Decimal("30.00"), False)] * 2
    before = clock.now() + timedelta(hours=1)
    _run_months(june, 8)
    assert _amounts(june, subscription) == [Decimal("28.80"), Decimal("28.80"), Decimal("36.00")]
    moved = metrics.movements(since=before, until=clock.now() + timedelta(days=1))
    assert (moved.start, moved.expansion, moved.end) == (Decimal("24.00"), Decimal("6.00"), Decimal("30.00"))
    ended = history.list_history(subscription.id)[0]
    assert ended.changes == {"recurring_amount": ["24.00", "30.00"], "coupon": ["NOEL-20", None]}
    assert june.reload(subscription).coupon_id is None


def test_a_coupon_for_a_charged_subscription_counts_from_its_next_cycle(june: World, cast: Cast) -> None:
    _coupon(cast)
    subscription = _sell(june)
    _run_months(june, 6)
    version = june.reload(subscription).version
    coupons.apply_coupon(subscription.id, " noel-20 ", version=version, by=cast.manager, at=clock.now())
    assert june.reload(subscription).recurring_amount == Decimal("30.00")
    june.move_to(datetime(2026, 7, 1, 8, tzinfo=clock.PARIS))
    assert preview.preview(at=clock.now()).amounts == {"EUR": Decimal("28.80")}
    june.run()
    assert _amounts(june, subscription) == [Decimal("36.00"), Decimal("28.80")]
    coupons.remove_coupon(subscription.id, version=june.reload(subscription).version, by=cast.manager, at=clock.now())
    _run_months(june, 8)
    assert _amounts(june, subscription)[-1] == Decimal("36.00")


def test_a_coupon_over_the_price_asks_for_nothing_and_never_less(june: World, cast: Cast) -> None:
    _coupon(cast, percent=None, amount=Decimal("100.00"), cycles=None)
    subscription = _sell(june, coupon="NOEL-20")
    _run_months(june, 6, 7)
    assert _amounts(june, subscription) == [Decimal("0.00"), Decimal("0.00")]
    assert june.reload(subscription).recurring_amount == 0


@given(
    prices=st.lists(st.tuples(st.decimals(0, 999, places=2), st.sampled_from(VAT_RATES)), min_size=1, max_size=4),
    amount=st.decimals("0.01", 2000, places=2) | st.none(),
    percent=st.decimals("0.01", 100, places=2),
)
def test_no_coupon_takes_more_off_a_rate_than_there_is(
    prices: list[tuple[Decimal, Decimal]], amount: Decimal | None, percent: Decimal
) -> None:
    lines = [
        CheckedLine(
            label="x", unit_price=price, quantity=Decimal(1), vat_rate=rate, discount=Decimal(0), product_id=None
        )
        for price, rate in prices
    ]
    coupon = Coupon(code="X", label="x", amount=amount, percent=None if amount else percent)
    terms = Terms(lines=tuple(lines), frequency=Frequency.MONTHLY, anchor_date=date(2026, 1, 1), coupon=coupon)
    asked = terms.ask(0)[0]
    assert all(share.base >= 0 for share in asked.totals.shares)
    off = -sum(Decimal(line["amount"]) for line in asked.lines if line.get("kind") == COUPON)
    whole = sum((line_amount(Decimal(1), price) for price, _ in prices), Decimal(0))
    if amount is not None:
        assert off == min(amount, whole)
    assert 0 <= asked.recurring == whole - off


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"valid_from": date(2026, 6, 2)}, "pas encore valable"),
        ({"valid_until": date(2026, 5, 31)}, "n’est plus valable"),
        ({"code": "AUTRE"}, "n’existe pas"),
    ],
)
def test_a_coupon_that_cannot_be_given_is_refused(
    june: World, cast: Cast, values: dict[str, Any], sentence: str
) -> None:
    _coupon(cast, **values)
    with pytest.raises(InvalidInputError, match=sentence) as refusal:
        _sell(june, coupon="NOEL-20")
    assert refusal.value.field == "coupon"


def test_uses_are_counted_and_limited_and_a_disabled_one_is_refused(june: World, cast: Cast) -> None:
    coupon = _coupon(cast, max_uses=1)
    subscription = _sell(june, coupon="NOEL-20")
    with pytest.raises(InvalidInputError, match="autant de fois que permis"):
        _sell(june, coupon="NOEL-20")
    version = june.reload(subscription).version
    with pytest.raises(InvalidInputError, match="a déjà un coupon"):
        coupons.apply_coupon(subscription.id, "NOEL-20", version=version, by=None, at=clock.now())
    with pytest.raises(UsedCouponError, match="a été appliqué 1 fois"):
        coupons.delete_coupon(coupon.id)
    coupons.set_active(coupon.id, False)
    with pytest.raises(InvalidInputError, match="désactivé"):
        _sell(june, coupon="NOEL-20")


def test_an_unused_coupon_can_be_deleted_by_its_own_organisation(june: World, cast: Cast) -> None:
    coupon = _coupon(cast)
    with tenancy.organisation(cast.other_organisation.id), pytest.raises(NotFoundError):
        coupons.delete_coupon(coupon.id)
    coupons.delete_coupon(coupon.id)
    assert coupons.list_coupons() == []


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"code": "é"}, "code"),
        ({"label": " "}, "label"),
        ({"percent": Decimal(101)}, "percent"),
        ({"percent": Decimal("NaN")}, "percent"),
        ({"percent": None}, "percent"),
        ({"amount": Decimal(5)}, "percent"),
        ({"percent": None, "amount": Decimal("-5")}, "amount"),
        ({"cycles": 0}, "cycles"),
        ({"max_uses": 0}, "max_uses"),
        ({"valid_from": date(2026, 6, 2), "valid_until": date(2026, 6, 1)}, "valid_until"),
    ],
)
def test_a_coupon_that_makes_no_sense_is_refused(cast: Cast, values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        _coupon(cast, **values)
    assert refusal.value.field == field


def test_free_cycles_bring_no_revenue_and_the_fee_comes_with_the_first_paid_one(june: World) -> None:
    subscription = _sell(june, opening=Opening(trial_cycles=2, setup_fee=Decimal("50"), setup_vat_rate=Decimal(20)))
    _run_months(june, 6, 7)
    begun = june.reload(subscription)
    assert (begun.status, begun.recurring_amount, begun.trial_cycles_left) == (SubscriptionStatus.ACTIVE, 0, 0)
    _run_months(june, 8, 9)
    assert _amounts(june, subscription) == [Decimal("0.00"), Decimal("0.00"), Decimal("96.00"), Decimal("36.00")]
    assert june.reload(subscription).setup_fee is None
    moves = [(row.annual_before, row.annual_after) for row in history.list_history(subscription.id)]
    assert [pair for pair in moves if pair[0] != pair[1]] == [(Decimal(0), Decimal(360))]


def test_free_cycles_use_up_no_coupon(june: World, cast: Cast) -> None:
    _coupon(cast)
    subscription = _sell(june, coupon="NOEL-20", opening=Opening(trial_cycles=1))
    _run_months(june, 6, 7, 8, 9)
    assert _amounts(june, subscription) == [Decimal(0), Decimal("28.80"), Decimal("28.80"), Decimal("36.00")]


def test_free_days_put_the_first_due_date_off(june: World) -> None:
    subscription = _sell(june, opening=Opening(trial_days=14))
    assert subscription.next_charge_on == date(2026, 6, 15)
    changed = opening.change_opening(
        subscription.id, Opening(trial_days=30), version=subscription.version, by=None, at=clock.now()
    )
    assert changed.next_charge_on == date(2026, 7, 1)
    changed = opening.change_opening(subscription.id, Opening(), version=changed.version, by=None, at=clock.now())
    assert changed.next_charge_on == date(2026, 6, 1)


def test_how_it_opens_is_past_once_something_was_charged(june: World) -> None:
    subscription = _sell(june)
    june.run()
    with pytest.raises(AlreadyChargedError):
        opening.change_opening(
            subscription.id,
            Opening(trial_days=3),
            version=june.reload(subscription).version,
            by=None,
            at=clock.now(),
        )


@pytest.mark.parametrize(
    ("written", "field"),
    [
        (Opening(trial_days=366), "trial"),
        (Opening(trial_cycles=-1), "trial"),
        (Opening(setup_fee=Decimal("NaN"), setup_vat_rate=Decimal(20)), "setup_fee"),
        (Opening(setup_fee=Decimal("-1"), setup_vat_rate=Decimal(20)), "setup_fee"),
        (Opening(setup_fee=Decimal("1"), setup_vat_rate=Decimal("19.6")), "setup_vat_rate"),
    ],
)
def test_an_opening_that_makes_no_sense_is_refused(june: World, written: Opening, field: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        _sell(june, opening=written)
    assert refusal.value.field == field


def test_a_skipped_cycle_uses_up_neither_trial_nor_coupon(june: World, cast: Cast) -> None:
    _coupon(cast)
    subscription = _sell(june, coupon="NOEL-20")
    june.ledger.behave("hard")
    _run_months(june, 6)
    june.ledger.behave("ok")
    _run_months(june, 7)
    assert june.reload(subscription).coupon_cycles_left == 1
