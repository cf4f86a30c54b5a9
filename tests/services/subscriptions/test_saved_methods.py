"""Cards: what the networks renew, and what expires."""

from datetime import UTC, date, datetime

import pytest
from sqlalchemy import select

from tests import factories
from tests.conftest import Cast
from tests.queries import recorded_queries
from webapp import tenancy
from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.providers import ProviderAccount, SavedPaymentMethod
from webapp.models.subscriptions import SubscriptionStatus
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.subscriptions import saved_methods
from webapp.services.subscriptions.saved_methods import CardsView, Expiry

AT = datetime(2026, 11, 20, 9, tzinfo=UTC)
TODAY = AT.date()


@pytest.fixture
def owner(cast: Cast) -> Client:
    owner: Client = factories.ClientFactory(last_name="Durand", first_name="Léa")
    return owner


@pytest.fixture
def account(owner: Client) -> ProviderAccount:
    found: ProviderAccount = factories.ProviderAccountFactory()
    return found


def card(owner: Client, account: ProviderAccount, expires_on: date | None, **values: object) -> SavedPaymentMethod:
    made: SavedPaymentMethod = factories.SavedPaymentMethodFactory(
        client_id=owner.id, provider_account_id=account.id, expires_on=expires_on, **values
    )
    db.session.commit()
    return made


def expiring(view: CardsView | None = None) -> list[tuple[date | None, int, date | None]]:
    page = saved_methods.list_expiring(view or CardsView(), today=TODAY)
    return [(row.card.expires_on, row.waiting, row.next_charge_on) for row in page.rows]


def test_a_renewed_card_is_noted_once_however_often_told(owner: Client, account: ProviderAccount) -> None:
    old = card(owner, account, date(2026, 11, 30))
    new = {"brand": "mastercard", "last4": "0005", "expires_on": date(2029, 2, 1)}
    assert saved_methods.update_card(old, **new, at=AT) is True  # type: ignore[arg-type]
    assert saved_methods.update_card(old, **new, at=AT) is False  # type: ignore[arg-type]
    assert (old.label, old.brand, old.last4) == ("Mastercard •••• 0005", "mastercard", "0005")
    assert old.expires_on == date(2029, 2, 28)
    [event] = db.session.scalars(select(TimelineEvent).where(TimelineEvent.kind == EventKind.CARD_UPDATED))
    assert event.changes == {"card": ["Visa •••• 4242, 11/2026", "Mastercard •••• 0005, 02/2029"]}


@pytest.mark.parametrize(
    ("brand", "label"),
    [("visa", "Visa •••• 1"), ("cartes_bancaires", "CB •••• 1"), ("amex", "American Express •••• 1")],
)
def test_a_card_is_called_by_its_network(brand: str, label: str) -> None:
    assert saved_methods.card_label(brand, "1") == label


def test_a_card_is_good_until_the_end_of_its_month() -> None:
    assert saved_methods.end_of_month(2028, 2) == date(2028, 2, 29)
    assert saved_methods.end_of_month(2027, 12) == date(2027, 12, 31)


def test_expired_and_soon_are_told_with_what_waits_behind(owner: Client, account: ProviderAccount) -> None:
    days = [date(2026, 10, 31), date(2026, 11, 30), date(2027, 1, 4), date(2027, 1, 31), None]
    cards = [card(owner, account, day) for day in days]
    card(owner, account, days[0], revoked_at=AT)
    for day in (date(2026, 12, 5), date(2026, 12, 1)):
        factories.SubscriptionFactory(
            client_id=owner.id, saved_method_id=cards[1].id, next_charge_on=day, next_charge_at=AT
        )
    factories.SubscriptionFactory(client_id=owner.id, saved_method_id=cards[1].id, status=SubscriptionStatus.CANCELED)
    db.session.commit()
    found = [(days[0], 0, None), (days[1], 2, date(2026, 12, 1)), (days[2], 0, None)]
    assert expiring() == found
    assert expiring(CardsView(expiry=Expiry.EXPIRED)) == found[:1]
    assert expiring(CardsView(expiry=Expiry.SOON)) == found[1:]
    assert expiring(CardsView(search="durand lea")) == found
    assert expiring(CardsView(search="personne")) == []
    assert saved_methods.count_expiring(today=TODAY) == {Expiry.EXPIRED: 1, Expiry.SOON: 2}


def test_pages_follow_each_other_in_one_query_each(owner: Client, account: ProviderAccount) -> None:
    days = [date(2026, 11, day) for day in (21, 22, 23, 24, 25)]
    for day in reversed(days):
        card(owner, account, day)
    with recorded_queries() as queries:
        first = saved_methods.list_expiring(CardsView(), today=TODAY, size=3)
    assert len(queries) == 1
    rest = saved_methods.list_expiring(CardsView(cursor=first.next_cursor), today=TODAY, size=3)
    assert [row.card.expires_on for row in (*first.rows, *rest.rows)] == days
    assert rest.next_cursor is None


def test_an_outsider_finds_none(owner: Client, account: ProviderAccount, cast: Cast) -> None:
    theirs = card(owner, account, TODAY)
    with tenancy.organisation(cast.other_organisation.id):
        assert expiring() == []
        assert set(saved_methods.count_expiring(today=TODAY).values()) == {0}
        with pytest.raises(NotFoundError):
            saved_methods.update_card(theirs, brand="visa", last4="1", expires_on=TODAY, at=AT)
