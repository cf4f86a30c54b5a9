"""A shop's order that is heard of late takes its place, and what stood there moves up with all that names it."""

from decimal import Decimal
from itertools import permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from tests import factories
from tests.conftest import Cast
from tests.examples import some
from tests.queries import recorded_statements
from tests.services.fulfilment.world import FulfilmentWorld
from tests.woocommerce_rows import make_shop
from webapp import clock
from webapp.extensions import db
from webapp.models.charges import Charge, ChargeStatus
from webapp.models.fulfilment import FulfilmentBatchLine, LineFlag, LineStatus
from webapp.models.outbox import OutboxKind
from webapp.models.payments import Payment, PaymentKind
from webapp.models.preferences import PreferenceSchema, PreferenceValue
from webapp.models.providers import Provider
from webapp.models.subscriptions import Subscription
from webapp.models.woocommerce import WooCommerceShop
from webapp.services import outbox
from webapp.services.fulfilment import deciding, gathering, moving_cycles
from webapp.services.fulfilment.deciding import LineAction
from webapp.services.preferences import values
from webapp.services.subscriptions import lifecycle


@pytest.fixture
def held(world: FulfilmentWorld) -> Subscription:
    """A subscription of a shop, to somebody whom a parcel reaches."""
    client = factories.ClientFactory(address_line1="12 bis rue des Lilas")
    subscription: Subscription = factories.ShopSubscriptionFactory(client_id=client.id)
    make_shop()
    db.session.commit()
    return subscription


def _places(subscription: Subscription) -> list[Charge]:
    """The charges that have a cycle, in order, locked, and then the subscription."""
    theirs = Charge.subscription_id == subscription.id, Charge.cycle_no.is_not(None)
    found = db.session.scalars(select(Charge).where(*theirs).order_by(Charge.cycle_no).with_for_update()).all()
    lifecycle.find_for_update(subscription.id)
    return list(found)


def _arrive(subscription: Subscription, cycle: int, name: str) -> Charge:
    """An order of the shop comes, whose place among those that are there is ``cycle``."""
    there = enumerate(_places(subscription))
    moving_cycles.move_cycles(subscription, [(each, number + (number >= cycle)) for number, each in there])
    charge: Charge = factories.ShopChargeFactory(
        subscription_id=subscription.id, client_id=subscription.client_id, cycle_no=cycle, reference=name
    )
    subscription.cycle_no = len(_places(subscription))
    db.session.commit()
    return charge


def _leave(subscription: Subscription, cycle: int) -> None:
    """An order turns out to pay for no cycle."""
    there = _places(subscription)
    kept = [each for each in there if each.cycle_no != cycle]
    moving_cycles.move_cycles(
        subscription, [*((each, number) for number, each in enumerate(kept)), (there[cycle], None)]
    )
    subscription.cycle_no = len(kept)
    db.session.commit()


def _pay(charge: Charge, amount: str = "24.00", kind: PaymentKind = PaymentKind.CAPTURE, *, order: str = "") -> None:
    db.session.add(
        Payment(
            company_id=charge.company_id,
            client_id=charge.client_id,
            charge_id=charge.id,
            shop_id=db.session.scalars(select(WooCommerceShop.id)).one(),
            kind=kind,
            amount=Decimal(amount),
            provider=Provider.WOOCOMMERCE,
            external_id=order or charge.reference,
        )
    )
    db.session.flush()


def _tell(charge: Charge, kind: OutboxKind = OutboxKind.SUBSCRIPTION_CHARGED, **more: str) -> None:
    payload = {"charge_id": str(charge.id)} | more
    outbox.emit(kind, charge.subscription_id, at=clock.now(), payload=payload)
    db.session.commit()


def _cycles(subscription: Subscription) -> dict[str, int | None]:
    statement = select(Charge).where(Charge.subscription_id == subscription.id).order_by(Charge.cycle_no)
    return {each.reference: each.cycle_no for each in db.session.scalars(statement)}


def _numbers(table: type[PreferenceValue] | type[FulfilmentBatchLine]) -> list[int]:
    column = PreferenceValue.effective_from_cycle if table is PreferenceValue else FulfilmentBatchLine.cycle_no
    return sorted(db.session.scalars(select(column)))


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_orders_in_any_order_are_counted_as_they_were_made(held: Subscription, order: tuple[int, ...]) -> None:
    known: list[int] = []
    for each in order:
        known = sorted([*known, each])
        _arrive(held, known.index(each), f"commande {each}")
    assert _cycles(held) == {f"commande {number}": number for number in range(4)}
    assert held.cycle_no == 4


def test_several_that_come_at_once_take_their_places(held: Subscription) -> None:
    there = [_arrive(held, number, str(number)) for number in range(3)]
    moving_cycles.move_cycles(held, list(zip(_places(held), (1, 2, 4), strict=True)))
    assert [each.cycle_no for each in there] == [1, 2, 4]


def test_what_has_its_place_already_costs_nothing(held: Subscription) -> None:
    for number in range(3):
        _arrive(held, number, str(number))
    places = [(each, each.cycle_no) for each in _places(held)]
    with recorded_statements() as statements:
        moving_cycles.move_cycles(held, places)
    assert statements == []


def test_an_order_that_pays_for_no_cycle_leaves_its_place(held: Subscription) -> None:
    for number in range(4):
        _arrive(held, number, f"commande {number}")
    _leave(held, 1)
    assert _cycles(held) == {"commande 0": 0, "commande 2": 1, "commande 3": 2, "commande 1": None}
    last = next(each for each in db.session.scalars(select(Charge)) if each.cycle_no is None)
    moving_cycles.move_cycles(held, [*zip(_places(held), (0, 2, 3), strict=True), (last, 1)])
    assert _cycles(held) == {f"commande {number}": number for number in range(4)}


def test_those_of_other_subscriptions_and_supplements_stay(held: Subscription) -> None:
    other = factories.ShopSubscriptionFactory(client_id=held.client_id)
    _arrive(other, 0, "d’un autre")
    _arrive(held, 0, "renouvellement")
    factories.ShopChargeFactory(
        subscription_id=held.id, client_id=held.client_id, cycle_no=None, reference="changement"
    )
    _arrive(held, 0, "première")
    assert _cycles(other) == {"d’un autre": 0}
    assert _cycles(held) == {"première": 0, "renouvellement": 1, "changement": None}


def test_ours_have_dates_and_never_move(world: FulfilmentWorld) -> None:
    with pytest.raises(ValueError, match="only cycles that a shop counts"):
        moving_cycles.move_cycles(world.subscribe(), [])


@given(starts=st.sets(st.integers(0, 6)), place=st.integers(0, 5))
@settings(max_examples=some(30), suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.usefixtures("world")
def test_each_cycle_keeps_what_was_chosen_for_it(starts: set[int], place: int) -> None:
    held = factories.ShopSubscriptionFactory(client_id=factories.ClientFactory().id)
    schema = factories.PreferenceSchemaFactory()
    for cycle in range(6):
        _arrive(held, cycle, str(cycle))
    for start in starts:
        _choose(held, schema, start)
    before = [_chosen(held, schema, cycle) for cycle in range(7)]
    _arrive(held, place, "en retard")
    after = [_chosen(held, schema, cycle) for cycle in range(8)]
    assert after[:place] + after[place + 1 :] == before


@pytest.mark.usefixtures("world")
def test_what_was_chosen_from_the_start_holds_for_an_earlier_order_too(held: Subscription) -> None:
    schema = factories.PreferenceSchemaFactory()
    _arrive(held, 0, "renouvellement")
    _choose(held, schema, 0)
    _arrive(held, 0, "première")
    assert [_chosen(held, schema, cycle) for cycle in range(3)] == ["depuis 0"] * 3


@given(starts=st.sets(st.integers(0, 6)), place=st.integers(0, 5))
@settings(max_examples=some(30), suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.usefixtures("world")
def test_each_cycle_that_stays_keeps_what_was_chosen_for_it(starts: set[int], place: int) -> None:
    held = factories.ShopSubscriptionFactory(client_id=factories.ClientFactory().id)
    schema = factories.PreferenceSchemaFactory()
    for cycle in range(6):
        _arrive(held, cycle, str(cycle))
    for start in starts:
        _choose(held, schema, start)
    before = [_chosen(held, schema, cycle) for cycle in range(7)]
    _leave(held, place)
    after = [_chosen(held, schema, cycle) for cycle in range(6)]
    assert after[1:] == (before[:place] + before[place + 1 :])[1:]


def _choose(subscription: Subscription, schema: PreferenceSchema, start: int) -> None:
    db.session.add(
        PreferenceValue(
            subscription_id=subscription.id,
            schema_id=schema.id,
            effective_from_cycle=start,
            value=f"depuis {start}",
        )
    )
    db.session.commit()


def _chosen(subscription: Subscription, schema: PreferenceSchema, cycle: int) -> object:
    found = values.list_effective(subscription, cycle=cycle)
    return next(each.value for each in found if each.schema.id == schema.id)


def test_open_lines_follow_and_frozen_ones_stay(world: FulfilmentWorld, held: Subscription) -> None:
    first = _arrive(held, 0, "première")
    _pay(first)
    _tell(first)
    world.deliver()
    world.to_cut_off()
    world.lock()
    world.wait(hours=1)
    later = _arrive(held, 1, "renouvellement")
    _pay(later)
    _tell(later)
    world.deliver()
    assert _numbers(FulfilmentBatchLine) == [0, 1]
    _arrive(held, 0, "en retard")
    assert _cycles(held) == {"en retard": 0, "première": 1, "renouvellement": 2}
    lines = {line.charge_id: (line.cycle_no, line.snapshot_at is not None) for line in world.lines()}
    assert lines == {first.id: (0, True), later.id: (2, False)}


# --- what a shop was paid for is boxed like any other ---


def test_what_a_shop_was_paid_for_is_boxed_and_a_whole_refund_takes_it_out(
    world: FulfilmentWorld, held: Subscription
) -> None:
    charge = _arrive(held, 0, "première")
    _pay(charge)
    _tell(charge)
    _tell(charge)
    world.deliver()
    assert (world.line().status, world.line().held_reason) == (LineStatus.PENDING, None)
    _pay(charge, "-10.00", PaymentKind.REFUND, order="r1")
    _tell(charge, OutboxKind.CHARGE_REFUNDED)
    world.deliver()
    assert world.line().status is LineStatus.PENDING
    _pay(charge, "-14.00", PaymentKind.REFUND, order="r2")
    _tell(charge, OutboxKind.CHARGE_REFUNDED)
    world.deliver()
    assert (world.line().status, world.line().flag) == (LineStatus.WITHDRAWN, LineFlag.REFUNDED)
    assert charge.status is ChargeStatus.SUCCEEDED


def test_what_was_paid_before_the_shop_ships_from_here_is_not_boxed_by_a_refund(
    world: FulfilmentWorld, held: Subscription
) -> None:
    charge = _arrive(held, 0, "ancienne")
    _pay(charge)
    _pay(charge, "-10.00", PaymentKind.REFUND, order="r1")
    _tell(charge, OutboxKind.CHARGE_REFUNDED)
    world.deliver()
    assert world.lines() == []


@pytest.mark.parametrize("status", [ChargeStatus.SCHEDULED, ChargeStatus.PROCESSING, ChargeStatus.FAILED])
def test_what_was_not_paid_is_not_boxed(world: FulfilmentWorld, held: Subscription, status: ChargeStatus) -> None:
    charge = _arrive(held, 0, "impayée")
    charge.status = status
    _tell(charge)
    world.deliver()
    assert world.lines() == []


def test_a_second_renewal_too_soon_is_held_for_a_person_and_only_once(
    world: FulfilmentWorld, cast: Cast, held: Subscription
) -> None:
    charge = _arrive(held, 0, "renouvellement")
    _pay(charge)
    _tell(charge, held_reason=gathering.PAID_TWICE)
    world.deliver()
    line = world.line()
    assert line.held_reason == "Deux renouvellements payés en moins d’une demi-période"
    deciding.act(line.batch_id, [line.id], LineAction.RELEASE, by=cast.manager, at=clock.now())
    _tell(charge, held_reason=gathering.PAID_TWICE)
    world.deliver()
    assert world.line().held_reason is None


def test_one_that_turns_out_to_be_a_second_is_held_where_it_stands(world: FulfilmentWorld, held: Subscription) -> None:
    charge = _arrive(held, 0, "renouvellement")
    _pay(charge)
    _tell(charge)
    world.deliver()
    assert world.line().held_reason is None
    _tell(charge, held_reason=gathering.PAID_TWICE)
    world.deliver()
    assert world.line().held_reason == gathering.PAID_TWICE


def test_what_is_locked_already_is_not_held(world: FulfilmentWorld, held: Subscription) -> None:
    charge = _arrive(held, 0, "renouvellement")
    _pay(charge)
    _tell(charge)
    world.deliver()
    world.to_cut_off()
    world.lock()
    _tell(charge, held_reason=gathering.PAID_TWICE)
    world.deliver()
    assert (world.line().status, world.line().held_reason) == (LineStatus.TO_PREPARE, None)
