"""Charges without a means of payment are tried again in one go, once their clients have given one."""

import pytest

from tests import factories
from tests.conftest import Cast
from tests.services.charges.world import World
from webapp import clock, tenancy
from webapp.extensions import db
from webapp.models.charges import Attention, ChargeStatus
from webapp.models.contracts import PaymentMethod
from webapp.models.subscriptions import Subscription
from webapp.services.charges import resuming


def _without_means(world: World) -> Subscription:
    subscription = world.subscribe()
    world.revoke_method(subscription)
    return subscription


def _give_card(world: World, subscription: Subscription) -> None:
    saved = factories.SavedPaymentMethodFactory(client_id=subscription.client_id, provider_account_id=world.account.id)
    world.reload(subscription).saved_method_id = saved.id
    db.session.commit()


def _resume(cast: Cast) -> resuming.Resumed:
    return resuming.resume_all(by=cast.manager, at=clock.now())


@pytest.mark.parametrize("at_a_time", [1, 500])
def test_those_that_have_one_by_now_are_charged_and_the_others_go_on_waiting(
    world: World, cast: Cast, monkeypatch: pytest.MonkeyPatch, at_a_time: int
) -> None:
    monkeypatch.setattr(resuming, "AT_A_TIME", at_a_time)
    first, second, third = (_without_means(world) for _ in range(3))
    world.run()
    _give_card(world, first)
    _give_card(world, third)
    assert [resuming.count_waiting(each.id) for each in (first, second, third)] == [1, 1, 1]
    assert _resume(cast) == (2, 1)
    assert _resume(cast) == (0, 1)
    world.sweep()
    assert [world.charge(each).status for each in (first, second, third)] == [
        ChargeStatus.SUCCEEDED,
        ChargeStatus.SCHEDULED,
        ChargeStatus.SUCCEEDED,
    ]
    assert world.charge(second).attention is Attention.NO_PAYMENT_METHOD
    assert [resuming.count_waiting(each.id) for each in (first, second)] == [0, 1]


def test_whoever_pays_by_transfer_or_has_left_is_not_asked(world: World, cast: Cast) -> None:
    by_transfer, gone = _without_means(world), _without_means(world)
    world.run()
    world.reload(by_transfer).payment_method = PaymentMethod.TRANSFER
    _give_card(world, gone)
    world.cancel(gone)
    assert _resume(cast).resumed == 0


def test_another_organisations_charges_are_left_alone(world: World, cast: Cast) -> None:
    subscription = _without_means(world)
    world.run()
    _give_card(world, subscription)
    with tenancy.organisation(cast.other_organisation.id):
        assert _resume(cast) == (0, 0)
