"""Clients are told in time that their card expires."""

from datetime import date, timedelta
from typing import Any

import pytest

from tests import factories
from tests.conftest import Cast
from tests.services.message_triggers.conftest import NOW, Told
from webapp.extensions import db
from webapp.models.messages import MessageKind
from webapp.models.providers import SavedPaymentMethod
from webapp.models.subscriptions import SubscriptionStatus
from webapp.services.message_triggers import cards


@pytest.fixture
def card(told: Told) -> SavedPaymentMethod:
    """The card by which the subscription is paid: it expires at the end of January."""
    card: Any = factories.SavedPaymentMethodFactory(
        client_id=told.client.id,
        provider_account_id=factories.ProviderAccountFactory().id,
        last4="4242",
        expires_on=date(2027, 1, 31),
    )
    told.subscription.saved_method_id = card.id
    db.session.commit()
    return card  # type: ignore[no-any-return]


def test_the_month_before_and_once_for_each_expiry(told: Told, card: SavedPaymentMethod) -> None:
    assert cards.tell_expiring(at=NOW - timedelta(days=2)) == 0
    assert cards.tell_expiring(at=NOW) == 1
    assert cards.tell_expiring(at=NOW + timedelta(days=40)) == 0
    assert told.kinds() == [MessageKind.CARD_EXPIRES]
    assert "4242" in told.text()
    card.expires_on = date(2027, 2, 28)
    db.session.commit()
    assert cards.tell_expiring(at=NOW + timedelta(days=40)) == 1


def test_a_card_that_pays_nothing_any_more_is_not_told_of(told: Told, card: SavedPaymentMethod) -> None:
    told.subscription.status = SubscriptionStatus.CANCELED
    db.session.commit()
    assert cards.tell_expiring(at=NOW) == 0


def test_a_card_that_was_taken_back_is_not_told_of(told: Told, card: SavedPaymentMethod, cast: Cast) -> None:
    card.revoked_at = NOW
    db.session.commit()
    assert cards.tell_expiring(at=NOW) == 0
