"""What a person may do with a charge, and what keeps them from paying or asking twice."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal

import pytest
from sqlalchemy import select

from tests.conftest import Cast
from tests.services.charges.world import World
from webapp import clock, tenancy
from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.gateways.providers.protocol import PaymentOutcome, PaymentState
from webapp.models.charges import Attention, Charge, ChargeStatus
from webapp.models.contracts import PaymentMethod
from webapp.models.subscriptions import SubscriptionStatus
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.charges import decisions, listing, recording
from webapp.services.charges.decisions import Decision, NotAllowedError
from webapp.services.charges.listing import ChargesView


def _refused(world: World) -> Charge:
    world.ledger.behave("hard")
    world.run()
    world.ledger.behave("succeed")
    return world.charge()


def _decisions() -> list[TimelineEvent]:
    statement = select(TimelineEvent).where(TimelineEvent.kind == EventKind.CHARGE_DECIDED)
    return list(db.session.scalars(statement))


def test_a_refused_charge_is_tried_again_with_a_new_key_when_a_person_says_so(world: World, cast: Cast) -> None:
    subscription = world.subscribe()
    decisions.retry(_refused(world).id, by=cast.manager, at=clock.now())
    world.sweep()
    charge = world.charge()
    assert (charge.status, charge.attention, charge.attempts_count) == (ChargeStatus.SUCCEEDED, None, 2)
    assert world.reload(subscription).status is SubscriptionStatus.ACTIVE
    assert len(_decisions()) == 1


def test_without_means_of_payment_there_is_nothing_to_retry(world: World, cast: Cast) -> None:
    subscription = world.subscribe()
    charge = _refused(world)
    world.revoke_method(subscription)
    with pytest.raises(InvalidInputError, match="révoqué"):
        decisions.retry(charge.id, by=cast.manager, at=clock.now())


def test_a_payment_by_transfer_settles_the_charge(world: World, cast: Cast) -> None:
    subscription = world.subscribe("20.00", payment_method=PaymentMethod.TRANSFER, saved_method_id=None)
    world.run()
    paid_on = date(2026, 1, 30)
    decisions.mark_paid(
        world.charge().id, method=PaymentMethod.TRANSFER, paid_on=paid_on, by=cast.manager, at=clock.now()
    )
    (payment,) = world.payments()
    assert (payment.amount, payment.provider, payment.attempt_id) == (Decimal("24.00"), None, None)
    assert payment.happened_at.astimezone(clock.PARIS).date() == paid_on
    assert (world.charge().status, world.charge().attention) == (ChargeStatus.SUCCEEDED, None)
    assert world.reload(subscription).current_period_end == date(2026, 2, 28)


@pytest.mark.parametrize("paid_on", [date(2026, 2, 1), date(2024, 1, 1)])
def test_a_payment_is_neither_of_tomorrow_nor_long_past(world: World, cast: Cast, paid_on: date) -> None:
    world.subscribe()
    charge = _refused(world)
    with pytest.raises(InvalidInputError):
        decisions.mark_paid(charge.id, method=PaymentMethod.CHEQUE, paid_on=paid_on, by=cast.manager, at=clock.now())


def test_a_debt_that_is_given_up_lets_the_subscription_go_on(world: World, cast: Cast) -> None:
    subscription = world.subscribe()
    decisions.give_up(_refused(world).id, reason="Geste commercial", by=cast.manager, at=clock.now())
    charge = world.charge()
    assert (charge.status, charge.attention) == (ChargeStatus.CANCELED, None)
    assert world.reload(subscription).status is SubscriptionStatus.ACTIVE


def test_what_is_given_up_and_captured_after_all_is_recorded(world: World, cast: Cast) -> None:
    world.subscribe()
    charge = _refused(world)
    decisions.give_up(charge.id, reason="Geste commercial", by=cast.manager, at=clock.now())
    recording.apply_outcome(world.attempts()[0].id, PaymentOutcome(PaymentState.SUCCEEDED), at=clock.now())
    assert world.charge().status is ChargeStatus.SUCCEEDED


def test_what_waits_for_the_client_is_called_off_at_the_provider_first(world: World, cast: Cast) -> None:
    world.subscribe()
    world.ledger.behave("authenticate")
    world.run()
    decisions.give_up(world.charge().id, reason="Doublon", by=cast.manager, at=clock.now())
    assert world.charge().status is ChargeStatus.CANCELED
    assert world.ledger.captures() == []


def test_what_the_provider_has_captured_meanwhile_is_not_given_up(world: World, cast: Cast) -> None:
    world.subscribe()
    world.ledger.behave("process")
    world.run()
    world.ledger.confirm(world.attempts()[0].id)
    with pytest.raises(NotAllowedError, match="n’a pas annulé"):
        decisions.give_up(world.charge().id, reason="Doublon", by=cast.manager, at=clock.now())
    assert world.charge().status is ChargeStatus.SUCCEEDED


def test_an_unknown_result_allows_neither_another_attempt_nor_another_payment(world: World, cast: Cast) -> None:
    world.subscribe()
    world.ledger.behave("down")
    world.run()
    assert decisions.actions_of(world.charge()) == [Decision.LOOK_UP]
    world.wait(hours=2)
    world.sweep()
    charge = world.charge()
    assert decisions.actions_of(charge) == [Decision.GIVE_UP, Decision.LOOK_UP, Decision.DECLARE_LOST]
    with pytest.raises(NotAllowedError):
        decisions.retry(charge.id, by=cast.manager, at=clock.now())
    with pytest.raises(NotAllowedError, match="caduque"):
        decisions.declare_lost(charge.id, reason="Vérifié", by=cast.manager, at=clock.now())


def test_what_is_surely_lost_may_be_declared_so_and_tried_again(world: World, cast: Cast) -> None:
    world.subscribe()
    world.ledger.behave("down")
    world.run()
    world.wait(hours=21)
    world.sweep()
    with pytest.raises(NotAllowedError, match="ne répond pas"):
        decisions.declare_lost(world.charge().id, reason="Vérifié", by=cast.manager, at=clock.now())
    world.ledger.behave("succeed")
    decisions.declare_lost(world.charge().id, reason="Vérifié chez eux", by=cast.manager, at=clock.now())
    decisions.retry(world.charge().id, by=cast.manager, at=clock.now())
    world.sweep()
    assert world.charge().status is ChargeStatus.SUCCEEDED
    assert len(world.ledger.captures()) == len(world.payments()) == 1


def test_a_look_is_taken_at_once_when_a_person_asks_for_it(world: World, cast: Cast) -> None:
    world.subscribe()
    world.ledger.behave("timeout")
    world.run()
    decisions.look_up(world.charge().id, by=cast.manager, at=clock.now())
    world.sweep()
    assert world.charge().status is ChargeStatus.SUCCEEDED


def test_two_payments_of_one_cycle_are_shown_to_a_person_who_may_take_note(world: World, cast: Cast) -> None:
    world.subscribe()
    charge = _refused(world)
    decisions.mark_paid(
        charge.id, method=PaymentMethod.TRANSFER, paid_on=date(2026, 1, 31), by=cast.manager, at=clock.now()
    )
    recording.apply_outcome(world.attempts()[0].id, PaymentOutcome(PaymentState.SUCCEEDED), at=clock.now())
    charge = world.charge()
    assert (charge.status, charge.attention, len(world.payments())) == (ChargeStatus.SUCCEEDED, Attention.MISMATCH, 2)
    decisions.dismiss(charge.id, reason="Remboursé par virement", by=cast.manager, at=clock.now())
    assert world.charge().attention is None


@pytest.mark.parametrize(
    "act",
    [
        lambda charge_id, by, at: decisions.retry(charge_id, by=by, at=at),
        lambda charge_id, by, at: decisions.give_up(charge_id, reason="x", by=by, at=at),
        lambda charge_id, by, at: decisions.look_up(charge_id, by=by, at=at),
        lambda charge_id, by, at: decisions.declare_lost(charge_id, reason="x", by=by, at=at),
        lambda charge_id, by, at: decisions.dismiss(charge_id, reason="x", by=by, at=at),
    ],
)
def test_a_paid_charge_allows_nothing_and_an_outsider_finds_none(
    world: World, cast: Cast, act: Callable[..., object]
) -> None:
    world.subscribe()
    world.run()
    charge_id = world.charge().id
    with pytest.raises(NotAllowedError):
        act(charge_id, cast.manager, clock.now())
    with tenancy.organisation(cast.other_organisation.id), pytest.raises(NotFoundError):
        act(charge_id, cast.outsider, clock.now())


def test_a_reason_is_needed_and_has_an_end(world: World, cast: Cast) -> None:
    world.subscribe()
    charge = _refused(world)
    for reason in ("  ", "x" * 501):
        with pytest.raises(DomainError):
            decisions.give_up(charge.id, reason=reason, by=cast.manager, at=clock.now())


def test_the_lists_show_what_needs_a_person_and_every_charge_page_by_page(world: World) -> None:
    for _ in range(3):
        world.subscribe()
    _refused_all(world)
    first = listing.list_needing_person(size=2)
    rest = listing.list_needing_person(size=2, cursor=first.next_cursor)
    assert (len(first.rows), len(rest.rows), rest.next_cursor) == (2, 1, None)
    assert decisions.count_needing_person() == {Attention.REFUSED: 3}
    assert listing.count_by_status(ChargesView()) == {ChargeStatus.FAILED: 3}
    page = listing.list_charges(ChargesView(status=ChargeStatus.FAILED), size=2)
    rest = listing.list_charges(ChargesView(status=ChargeStatus.FAILED, cursor=page.next_cursor), size=2)
    assert len({charge.id for charge in page.rows + rest.rows}) == 3
    assert listing.list_charges(ChargesView(status=ChargeStatus.SUCCEEDED)).rows == []
    assert listing.list_charges(ChargesView(due_from=date(2026, 2, 1))).rows == []


def _refused_all(world: World) -> None:
    world.ledger.behave("hard")
    world.run()
