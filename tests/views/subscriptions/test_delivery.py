"""Where a subscription is delivered: shown on its page, changed and cleared by its form."""

from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import undefer_group

from tests import factories
from tests.queries import recorded_queries
from webapp.extensions import db
from webapp.models.subscriptions import Subscription, SubscriptionHistory, SubscriptionStatus
from webapp.models.timeline import TimelineEvent

pytestmark = pytest.mark.usefixtures("cast")

GIFT = {
    "delivery_name": "Zoé Petit",
    "delivery_company": "",
    "delivery_line1": "12 bis rue du Port",
    "delivery_line2": "Bâtiment B",
    "delivery_postcode": "62 100",
    "delivery_city": "Calais",
    "delivery_country": "FR",
    "delivery_phone": "06 39 98 12 34",
    "delivery_instructions": "Code 12A",
    "gift_message": "Bon anniversaire,\r\n\r\nMamie",
}


@pytest.fixture
def subscription(cast: object) -> Subscription:
    client = factories.ClientFactory(address_line1="1 rue du Moulin", postcode="59000", city="Lille")
    subscription: Subscription = factories.SubscriptionFactory(client_id=client.id)
    factories.SubscriptionLineFactory(subscription_id=subscription.id)
    db.session.commit()
    return subscription


def _kept(subscription: Subscription) -> Subscription:
    query = db.session.query(Subscription).options(undefer_group("delivery")).populate_existing()
    return query.filter_by(id=subscription.id).one()


def _post(browser: FlaskClient, subscription: Subscription, **written: str) -> Any:
    data = GIFT | {"version": str(_kept(subscription).version)} | written
    return browser.post(f"/abonnements/{subscription.id}/livraison", data=data)


def test_a_gift_gets_an_address_and_a_message_of_its_own(client: FlaskClient, subscription: Subscription) -> None:
    page = client.get(f"/abonnements/{subscription.id}").text
    assert 'data-origin="main"' in page
    assert "1 rue du Moulin" in page
    assert _post(client, subscription).status_code == 303
    kept = _kept(subscription)
    assert (kept.delivery_postcode, kept.delivery_phone) == ("62100", "+33639981234")
    assert kept.gift_message == "Bon anniversaire,\n\nMamie"
    page = client.get(f"/abonnements/{subscription.id}").text
    assert 'data-origin="own"' in page
    for shown in ("Zoé Petit", "12 bis rue du Port", "62100 Calais", "06 39 98 12 34", "Code 12A", "Mamie"):
        assert shown in page
    assert 'value="06 39 98 12 34"' in client.get(f"/abonnements/{subscription.id}/livraison").text


def test_what_changed_is_told_once(client: FlaskClient, subscription: Subscription) -> None:
    for _ in range(2):
        _post(client, subscription)
    (row,) = db.session.query(SubscriptionHistory).all()
    assert row.changes["delivery_city"] == [None, "Calais"]
    assert db.session.query(TimelineEvent).one().changes["gift_message"] == [None, "Bon anniversaire,\n\nMamie"]


def test_the_address_is_cleared_and_the_message_stays(client: FlaskClient, subscription: Subscription) -> None:
    _post(client, subscription)
    assert "Effacer l’adresse" in client.get(f"/abonnements/{subscription.id}/livraison").text
    answer = client.post(f"/abonnements/{subscription.id}/livraison/supprimer", data={"version": "2"})
    assert answer.status_code == 303
    kept = _kept(subscription)
    assert (kept.delivery_line1, kept.delivery_country, kept.delivery_phone) == (None, None, None)
    assert kept.gift_message is not None
    assert 'data-origin="main"' in client.get(f"/abonnements/{subscription.id}").text
    stale = client.post(f"/abonnements/{subscription.id}/livraison/supprimer", data={"version": "2"})
    assert (stale.status_code, "modifié" in stale.text) == (409, True)


def test_a_message_alone_needs_no_address(client: FlaskClient, subscription: Subscription) -> None:
    nothing = {name: "" for name in GIFT if name not in ("gift_message", "delivery_country")}
    assert _post(client, subscription, **nothing).status_code == 303
    kept = _kept(subscription)
    assert (kept.delivery_line1, kept.delivery_country, kept.gift_message is None) == (None, None, False)


@pytest.mark.parametrize(
    ("field", "written", "sentence"),
    [
        ("delivery_line1", "", "Indiquez l’adresse"),
        ("delivery_line1", "\x00\n \u202e", "Indiquez l’adresse"),
        ("delivery_city", "", "Indiquez la ville"),
        ("delivery_postcode", "", "Indiquez le code postal"),
        ("delivery_postcode", "6210", "Le code postal n’est pas valide"),
        ("delivery_country", "XX", "Choisissez un pays"),
        ("delivery_phone", "12", "Le numéro de téléphone n’est pas valide"),
        ("delivery_name", "x" * 201, "200 caractères au plus"),
        ("delivery_instructions", "x" * 201, "200 caractères au plus"),
        ("gift_message", "x" * 301, "300 caractères au plus"),
    ],
)
def test_what_nobody_could_deliver_is_refused_at_its_field(
    client: FlaskClient, subscription: Subscription, field: str, written: str, sentence: str
) -> None:
    answer = _post(client, subscription, **{field: written})
    assert (answer.status_code, sentence in answer.text) == (422, True)
    assert f'id="{field}-error"' in answer.text
    assert _kept(subscription).delivery_line1 is None


def test_abroad_a_postcode_is_not_asked_for(client: FlaskClient, subscription: Subscription) -> None:
    abroad = {"delivery_country": "IE", "delivery_postcode": "", "delivery_phone": ""}
    assert _post(client, subscription, **abroad).status_code == 303
    assert "Irlande" in client.get(f"/abonnements/{subscription.id}").text


def test_nobody_overwrites_what_they_have_not_seen(client: FlaskClient, subscription: Subscription) -> None:
    _post(client, subscription)
    answer = _post(client, subscription, delivery_city="Dunkerque", version="1")
    assert (answer.status_code, "Calais" in answer.text, 'value="Dunkerque"' in answer.text) == (409, True, True)
    assert _kept(subscription).delivery_city == "Calais"


def test_what_has_ended_goes_nowhere_else(client: FlaskClient, subscription: Subscription) -> None:
    subscription.status = SubscriptionStatus.CANCELED
    db.session.commit()
    assert _post(client, subscription).status_code == 409
    assert "/livraison" not in client.get(f"/abonnements/{subscription.id}").text


def test_what_ships_nothing_shows_no_address(client: FlaskClient, subscription: Subscription) -> None:
    subscription.lines[0].is_shipped = False
    db.session.commit()
    assert 'data-testid="destination"' not in client.get(f"/abonnements/{subscription.id}").text


def test_roles_read_and_write_and_outsiders_find_nothing(
    client: FlaskClient, manager_client: FlaskClient, outsider_client: FlaskClient, subscription: Subscription
) -> None:
    for browser in (client, manager_client):
        with recorded_queries() as queries:
            assert browser.get(f"/abonnements/{subscription.id}/livraison").status_code == 200
        assert len(queries) <= 8
    assert outsider_client.get(f"/abonnements/{subscription.id}/livraison").status_code == 404
    assert _post(outsider_client, subscription).status_code == 404
    assert outsider_client.post(f"/abonnements/{subscription.id}/livraison/supprimer").status_code == 404
    assert _kept(subscription).delivery_line1 is None
