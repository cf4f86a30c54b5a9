"""Refunds whose bell was lost are found by the timetable's look."""

from tests.conftest import Cast
from tests.services.charges.world import World
from tests.services.refunds.test_refunds import ask, assert_given_back_once, only_refund, paid
from webapp import clock, queue
from webapp.models.charges import Charge, RefundStatus
from webapp.services.refunds import sending, sweeping

__all__ = ["paid"]


def test_a_refund_whose_bell_was_lost_is_sent_once(world: World, paid: Charge, cast: Cast) -> None:
    ask(paid, "10.00", cast)
    queue.queue("payments").empty()
    assert only_refund().status is RefundStatus.REQUESTED
    assert sweeping.sweep(at=clock.now()) == 1
    sending.carry_out(world.organisation_id)
    assert_given_back_once(world)
    assert sweeping.sweep(at=clock.now()) == 0
