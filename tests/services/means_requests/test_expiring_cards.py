"""Whoever is told that a card expires gets the link to give the next one, which pays all that the old one paid."""

from datetime import date, timedelta

import pytest
from sqlalchemy.orm import undefer

from tests import factories
from tests.services.means_requests.conftest import Desk
from webapp import clock, links
from webapp.extensions import db
from webapp.models.contracts import PaymentMethod
from webapp.models.means_requests import MeansRequest, MeansRequestStatus
from webapp.models.messages import Message, MessageKind
from webapp.models.providers import SavedPaymentMethod
from webapp.models.subscriptions import SubscriptionStatus
from webapp.services.means_requests import commands
from webapp.services.message_triggers import cards
from webapp.services.messages import switches
from webapp.services.subscriptions import defaults, means
from webapp.services.subscriptions.means import PaymentFields


@pytest.fixture
def old_card(desk: Desk) -> SavedPaymentMethod:
    """It pays the subscription, until the end of next month."""
    card: SavedPaymentMethod = factories.SavedPaymentMethodFactory(
        client_id=desk.client.id, provider_account_id=desk.account.id, last4="1111", expires_on=date(2026, 12, 31)
    )
    desk.subscription.payment_method = PaymentMethod.CARD
    desk.subscription.saved_method_id, desk.subscription.provider_account_id = card.id, desk.account.id
    db.session.commit()
    return card


def written() -> Message:
    """The only message, with its words."""
    return db.session.query(Message).options(undefer(Message.content)).one()


def words() -> str:
    content = written().content_in_clear()
    return f"{content['body']}{content.get('draft')}"


def link(desk: Desk) -> str:
    return links.giving_means(commands.find_request(desk.client.id, desk.request().id).token_in_clear())


def test_the_message_brings_a_link_that_lives_as_long_as_the_card(desk: Desk, old_card: SavedPaymentMethod) -> None:
    assert cards.tell_expiring(at=clock.now()) == 1
    request = desk.request()
    assert (request.status, request.replaces_id, request.requested_by_id) == (
        MeansRequestStatus.SENT,
        old_card.id,
        None,
    )
    assert request.expires_at.astimezone(clock.PARIS).isoformat() == "2027-01-01T00:00:00+01:00"
    assert written().expires_at == request.expires_at
    assert link(desk) in words()


def test_a_second_pass_asks_nobody_again(desk: Desk, old_card: SavedPaymentMethod) -> None:
    cards.tell_expiring(at=clock.now())
    commands.cancel(desk.client.id, desk.request().id, by=desk.by, at=clock.now())
    assert cards.tell_expiring(at=clock.now() + timedelta(days=1)) == 0
    assert desk.request().status is MeansRequestStatus.CANCELED


def test_where_the_message_is_switched_off_nobody_is_asked(desk: Desk, old_card: SavedPaymentMethod) -> None:
    switches.switch_off(MessageKind.CARD_EXPIRES, desk.account.company_id, at=clock.now())
    assert cards.tell_expiring(at=clock.now()) == 0
    assert desk.rows(MeansRequest) == []


def test_the_link_of_a_request_by_hand_is_handed_on_again(desk: Desk, old_card: SavedPaymentMethod) -> None:
    asked = desk.ask()
    cards.tell_expiring(at=clock.now())
    assert (desk.request().id, desk.request().status) == (asked.id, MeansRequestStatus.SENT)
    assert link(desk) in words()


def test_where_the_provider_has_no_page_the_message_goes_without_a_link(
    desk: Desk, old_card: SavedPaymentMethod
) -> None:
    desk.account.is_active = False
    db.session.commit()
    assert cards.tell_expiring(at=clock.now()) == 1
    assert desk.rows(MeansRequest) == []
    assert written().expires_at is None


def test_the_new_card_pays_all_that_the_old_one_paid(desk: Desk, old_card: SavedPaymentMethod) -> None:
    company_id = desk.account.company_id
    fields = PaymentFields(method=PaymentMethod.CARD, saved_method_id=old_card.id)
    defaults.set_default(desk.client.id, company_id, fields, by=None, at=clock.now())
    common = {"client_id": desk.client.id, "saved_method_id": old_card.id, "payment_method": PaymentMethod.CARD}
    follows = factories.SubscriptionFactory(**common, means_inherited=True)
    ended = factories.SubscriptionFactory(**common, status=SubscriptionStatus.CANCELED)
    db.session.commit()
    cards.tell_expiring(at=clock.now())
    desk.choose(desk.open(desk.request()), "card")
    desk.tell_of_page()
    new_id = desk.request().saved_method_id
    assert new_id not in (None, old_card.id)
    for subscription in (desk.subscription, follows, ended):
        db.session.refresh(subscription)
    assert [each.saved_method_id for each in (desk.subscription, follows, ended)] == [new_id, new_id, old_card.id]
    assert follows.means_inherited
    assert means.find_default(desk.client.id, company_id).saved_method_id == new_id
