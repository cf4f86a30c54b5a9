"""A step may ask for a means of payment: its message brings the link, and nobody is asked twice."""

from datetime import date, timedelta

import pytest

from tests.conftest import Cast
from tests.services.dunning.world import DunningWorld
from webapp import clock, links
from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.contracts import PaymentMethod
from webapp.models.dunning import StepAction
from webapp.models.means_requests import MeansRequest, MeansRequestStatus
from webapp.models.messages import MessageKind
from webapp.models.subscriptions import Subscription
from webapp.services.dunning import sequences
from webapp.services.dunning.sequences import StepFields
from webapp.services.means_requests import commands
from webapp.services.means_requests.commands import RequestFields
from webapp.services.messages.rendering import to_plain_text

REFUSED = date(2026, 1, 31)
REMINDER = MessageKind.DUNNING_REMINDER


@pytest.fixture
def unpaid(world: DunningWorld) -> Subscription:
    """A subscription whose first charge was refused for good; its provider shows clients a page."""
    world.ledger.page_methods = frozenset({PaymentMethod.CARD})
    subscription = world.subscribe()
    world.refuse(subscription)
    return subscription


def _day(number: int) -> date:
    return REFUSED + timedelta(days=number)


def requests() -> list[MeansRequest]:
    return list(db.session.query(MeansRequest).order_by(MeansRequest.id).populate_existing())


def link(request: MeansRequest) -> str:
    return links.giving_means(commands.find_request(request.client_id, request.id).token_in_clear())


def body(world: DunningWorld, kind: MessageKind = REMINDER) -> str:
    return to_plain_text(world.find_message(kind).content_in_clear()["body"])


def test_the_first_message_makes_the_request_and_the_next_has_the_same(
    world: DunningWorld, unpaid: Subscription
) -> None:
    world.live_until(_day(8))
    [request] = requests()
    assert (request.status, request.takes_payment, request.charge_id) == (
        MeansRequestStatus.SENT,
        True,
        world.charge().id,
    )
    assert request.subscription_id == unpaid.id
    assert "Payer en ligne" in body(world)
    assert link(request) in body(world)
    assert link(request) in world.find_message(MessageKind.DUNNING_SMS).content_in_clear()["body"]


def test_what_is_tried_again_by_itself_is_not_paid_on_a_page_but_another_means_is_asked_for(
    world: DunningWorld, unpaid: Subscription
) -> None:
    charge = world.charge()
    charge.next_attempt_at = clock.now() + timedelta(days=20)
    db.session.commit()
    world.live_until(_day(3))
    [request] = requests()
    assert (request.takes_payment, request.charge_id) == (False, None)
    assert "Donner un autre moyen de paiement" in body(world)
    assert "Payer en ligne" not in body(world)
    assert link(request) in body(world)


def test_what_a_colleague_asked_for_is_not_asked_for_twice(
    world: DunningWorld, unpaid: Subscription, cast: Cast
) -> None:
    fields = RequestFields(account_id=world.account.id)
    asked = commands.create_request(unpaid.client_id, fields, by=cast.admin, at=clock.now())
    world.live_until(_day(3))
    assert [request.id for request in requests()] == [asked.id]
    assert requests()[0].status is MeansRequestStatus.SENT, "the message hands it on"
    assert "Donner un autre moyen de paiement" in body(world)
    assert link(asked) in body(world)


def test_a_step_that_does_not_ask_makes_no_request(world: DunningWorld, unpaid: Subscription, cast: Cast) -> None:
    world.ledger.page_methods = frozenset()
    world.live_until(_day(3))
    assert requests() == []
    assert "en ligne" not in body(world)


def test_an_action_without_a_message_cannot_ask() -> None:
    steps = (StepFields(1, StepAction.TASK, title="Appeler", asks_means=True),)
    with pytest.raises(InvalidInputError, match="message"):
        sequences.check_steps(steps, is_insurance=False)
