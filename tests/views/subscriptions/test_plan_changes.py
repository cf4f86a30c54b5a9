"""Changing what is sold on the pages: the preview, its confirmation, what waits for the next cycle."""

import re
from datetime import date, datetime
from decimal import Decimal
from uuid import uuid4

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from tests.queries import recorded_queries
from tests.services.charges.conftest import ledger, world
from tests.services.charges.world import World
from webapp.extensions import db
from webapp.models.plan_changes import SubscriptionAdjustment
from webapp.models.subscriptions import Subscription

__all__ = ["ledger", "world"]

pytestmark = pytest.mark.usefixtures("cast")


@pytest.fixture
def sold(cast: object, world: World) -> Subscription:
    """30 € a month, paid for June; it is the 11th."""
    world.move_to(datetime.fromisoformat("2026-06-01T08:00+02:00"))
    subscription = world.subscribe("30.00", anchor=date(2026, 6, 1))
    world.run()
    world.move_to(datetime.fromisoformat("2026-06-11T12:00+02:00"))
    return subscription


def _written(price: str = "60", **values: str) -> dict[str, str]:
    lines = {"libelle": "Coffret", "quantite": "1", "prix": price, "tva": "20", "remise": "", "produit": ""}
    return lines | {"quand": "maintenant", "jour": "2026-06-11", "version": "1"} | values


def _fields(page: str) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page))


def _address(subscription: Subscription) -> str:
    return f"/abonnements/{subscription.id}/lignes"


def test_what_was_shown_is_what_is_made(client: FlaskClient, world: World, sold: Subscription) -> None:
    page = client.post(_address(sold), data=_written()).text
    assert 'data-amount="24.00"' in page
    assert "Crédit\u202f: Coffret découverte (20 jours sur 30, du 11/06/2026 au 30/06/2026)" in page
    assert [way in page for way in ("own_charge", "next_cycle", 'value="refund"')] == [True, True, False]
    assert db.session.query(SubscriptionAdjustment).count() == 0
    confirmed = _fields(page) | {"reglement": "own_charge", "confirmer": "1"}
    answer = client.post(_address(sold), data=confirmed)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/abonnements/{sold.id}")
    world.sweep()
    assert world.charges(sold)[1].amount == Decimal("24.00")
    page = client.get(f"/abonnements/{sold.id}").text
    assert "complément" in page
    assert client.post(_address(sold), data=confirmed).status_code == 303
    assert len(world.charges(sold)) == 2


def test_without_a_way_to_settle_it_the_preview_asks_again(client: FlaskClient, sold: Subscription) -> None:
    page = client.post(_address(sold), data=_written()).text
    answer = client.post(_address(sold), data=_fields(page) | {"reglement": "cadeau", "confirmer": "1"})
    assert answer.status_code == 422
    assert "Choisissez comment ce changement est réglé" in answer.text


@pytest.mark.parametrize("amount", ["23.99", "NaN", "x" * 100, ""])
def test_another_amount_than_what_it_comes_to_is_shown_anew(
    client: FlaskClient, sold: Subscription, amount: str
) -> None:
    page = client.post(_address(sold), data=_written()).text
    forged = _fields(page) | {"reglement": "own_charge", "confirmer": "1", "montant": amount}
    answer = client.post(_address(sold), data=forged)
    assert answer.status_code == 409
    assert "Les montants ont changé depuis l’aperçu" in answer.text
    assert 'data-amount="24.00"' in answer.text


@pytest.mark.parametrize("day", ["2026-06-12", "2026-05-31", "2026-02-30", "demain", "0001-01-01"])
def test_a_day_that_cannot_be_is_refused_at_its_field(client: FlaskClient, sold: Subscription, day: str) -> None:
    answer = client.post(_address(sold), data=_written(jour=day))
    assert answer.status_code == 422
    assert 'id="jour-error"' in answer.text
    assert 'value="60"' in answer.text


def test_a_confirmation_that_is_no_form_of_ours_changes_nothing(client: FlaskClient, sold: Subscription) -> None:
    answer = client.post(_address(sold), data=_written(confirmer="1", changement="abc", reglement="own_charge"))
    assert answer.status_code == 409
    assert db.session.query(SubscriptionAdjustment).count() == 0


def test_a_credit_says_how_it_is_given_back(client: FlaskClient, sold: Subscription) -> None:
    page = client.post(_address(sold), data=_written("15")).text
    assert "À créditer TTC" in page
    client.post(_address(sold), data=_fields(page) | {"reglement": "next_cycle", "confirmer": "1"})
    shown = client.get(f"/abonnements/{sold.id}").text
    assert 'data-testid="open-change"' in shown
    assert "-12,00" in re.sub("[\u2212\u2011]", "-", shown) or "12,00" in shown
    adjustment = db.session.scalars(select(SubscriptionAdjustment)).one()
    answer = client.post(f"/abonnements/{sold.id}/complements/{adjustment.id}/rembourser", follow_redirects=True)
    assert "Le remboursement est demandé." in answer.text
    assert 'data-testid="open-change"' not in answer.text
    again = client.post(f"/abonnements/{sold.id}/complements/{adjustment.id}/rembourser")
    assert again.status_code == 409


def test_with_the_next_cycle_it_is_shown_and_can_be_taken_back(client: FlaskClient, sold: Subscription) -> None:
    page = client.post(_address(sold), data=_written(quand="echeance")).text
    assert 'data-amount="72.00"' in page
    answer = client.post(_address(sold), data=_fields(page) | {"confirmer": "1"}, follow_redirects=True)
    assert "il vaut à partir de la prochaine échéance" in answer.text
    assert "À partir du 01/07/2026 (échéance n°\u00a02)" in re.sub(r"n°\s", "n°\u00a0", answer.text)
    version = {"version": re.findall(r'name="version" value="(\d+)"', answer.text)[0]}
    address = f"/abonnements/{sold.id}/changement-prevu/retirer"
    assert "Le changement prévu est retiré." in client.post(address, data=version, follow_redirects=True).text
    assert client.post(address, data={"version": "3"}).status_code == 409


def test_an_outsider_changes_nothing(outsider_client: FlaskClient, sold: Subscription) -> None:
    for path in ("lignes", "changement-prevu/retirer", f"complements/{uuid4()}/demander"):
        assert outsider_client.post(f"/abonnements/{sold.id}/{path}", data=_written()).status_code == 404


def test_the_adjustment_of_another_subscription_is_not_found(client: FlaskClient, sold: Subscription) -> None:
    assert client.post(f"/abonnements/{sold.id}/complements/{uuid4()}/demander").status_code == 404


def test_the_number_of_queries_does_not_grow_with_changes(client: FlaskClient, sold: Subscription) -> None:
    def change(price: str) -> int:
        page = client.post(_address(sold), data=_written(price, version=str(_version(client, sold)))).text
        client.post(_address(sold), data=_fields(page) | {"reglement": "next_cycle", "confirmer": "1"})
        with recorded_queries() as statements:
            client.get(f"/abonnements/{sold.id}")
        return len(statements)

    few = change("60")
    change("70")
    assert change("80") == few


def _version(client: FlaskClient, subscription: Subscription) -> int:
    page = client.get(_address(subscription)).text
    found = re.search(r'name="version" value="(\d+)"', page)
    assert found is not None
    return int(found[1])
