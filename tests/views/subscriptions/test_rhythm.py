"""The page of a subscription's rhythm, company and contract."""

from datetime import date, datetime

import pytest
from flask.testing import FlaskClient

from tests import factories
from tests.services.charges.conftest import ledger, world
from tests.services.charges.world import World
from webapp.extensions import db
from webapp.models.subscriptions import Frequency, Subscription

__all__ = ["ledger", "world"]

pytestmark = pytest.mark.usefixtures("cast")


@pytest.fixture
def sold(cast: object, world: World) -> Subscription:
    """30 € a month, paid for June."""
    world.move_to(datetime.fromisoformat("2026-06-01T08:00+02:00"))
    subscription = world.subscribe("30.00", anchor=date(2026, 6, 1))
    world.run()
    return subscription


def test_six_dates_are_shown_before_anything_is_kept(client: FlaskClient, world: World, sold: Subscription) -> None:
    address = f"/abonnements/{sold.id}/rythme"
    written = {"frequence": "quarterly", "premiere": "2026-07-10", "version": "1"}
    page = client.post(address, data=written).text
    assert [day in page for day in ("01/07/2026", "10/07/2026", "10/10/2026", "10/07/2027")] == [True] * 4
    assert page[page.index("rhythm-preview") :].count('<th scope="row">') == 6
    assert client.post(address, data=written | {"confirmer": "1"}).status_code == 303
    assert "trimestriel" in client.get(f"/abonnements/{sold.id}").text
    world.move_to(datetime.fromisoformat("2026-07-01T08:00+02:00"))
    world.run()
    assert world.reload(sold).frequency is Frequency.QUARTERLY


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ({"frequence": "daily"}, "Cette fréquence n’existe pas"),
        ({"premiere": "2026-06-15"}, "sont déjà prélevés"),
        ({"premiere": "2026-02-30"}, "Indiquez une date valable"),
        ({}, "déjà celui de l’abonnement"),
    ],
)
def test_a_rhythm_that_makes_no_sense_is_refused(
    client: FlaskClient, sold: Subscription, written: dict[str, str], sentence: str
) -> None:
    usual = {"frequence": "monthly", "premiere": "2026-07-01", "version": "1"}
    answer = client.post(f"/abonnements/{sold.id}/rythme", data=usual | written)
    assert (answer.status_code, sentence in answer.text) == (422, True)


def test_what_is_open_keeps_the_company_and_the_page_says_so(client: FlaskClient, sold: Subscription) -> None:
    other = factories.CompanyFactory(name="Autre société")
    db.session.commit()
    page = client.get(f"/abonnements/{sold.id}/rythme").text
    assert "1 facture sans numéro" in page
    assert "Avec Autre société, le moyen de paiement actuel" in page
    answer = client.post(f"/abonnements/{sold.id}/societe", data={"societe": str(other.id), "version": "1"})
    assert (answer.status_code, "La société ne peut pas changer" in answer.text) == (409, True)
    wrong = client.post(f"/abonnements/{sold.id}/societe", data={"societe": "abc", "version": "1"})
    assert (wrong.status_code, "Cette société n’existe pas" in wrong.text) == (422, True)


def test_an_outsider_finds_nothing(outsider_client: FlaskClient, sold: Subscription) -> None:
    assert outsider_client.get(f"/abonnements/{sold.id}/rythme").status_code == 404
    for path in ("rythme", "societe"):
        assert outsider_client.post(f"/abonnements/{sold.id}/{path}", data={"version": "1"}).status_code == 404
