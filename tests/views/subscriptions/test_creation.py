"""Creating a subscription: in steps that lose nothing, and nothing is written before the last click."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from html import unescape
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from flask.testing import FlaskClient
from werkzeug.datastructures import MultiDict

from tests import factories
from tests.conftest import Cast
from webapp import clock
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.subscriptions import Frequency, Subscription, SubscriptionStatus

NOON = datetime(2026, 11, 20, 11, tzinfo=UTC)  # twelve o'clock in Paris
pytestmark = pytest.mark.usefixtures("cast")


@pytest.fixture(autouse=True)
def _at_noon(app_context: object) -> None:
    clock.start_at(NOON)


@pytest.fixture
def buyer(cast: Cast) -> Client:
    client: Client = factories.ClientFactory()
    db.session.commit()
    return client


def written(buyer: Client, **values: str) -> dict[str, str]:
    """All that the steps ask for."""
    return {
        "client": str(buyer.id),
        "frequence": "weekly",
        "debut": "2026-12-01",
        "fin": "",
        "libelle": "Coffret",
        "quantite": "2",
        "prix": "12,50",
        "tva": "20",
        "remise": "",
        "produit": "",
        "paiement": "transfer",
    } | values


def step(page: str) -> int:
    (number,) = re.findall(r'data-step="(\d)"', page)
    return int(number)


def held(page: str) -> MultiDict[str, str]:
    """What the hidden fields of a page carry along."""
    pairs = re.findall(r'<input type="hidden"\s+name="(\w+)"\s+value="([^"]*)"', page)
    return MultiDict((name, unescape(value)) for name, value in pairs)


def test_the_steps_lead_to_a_pending_subscription(client: FlaskClient, buyer: Client) -> None:
    first = client.get(f"/abonnements/nouveau?client={buyer.id}").text
    assert step(first) == 1
    for number in (2, 3, 4):
        page = client.get(f"/abonnements/nouveau?{urlencode(written(buyer, etape=str(number)))}")
        assert (page.status_code, step(page.text)) == (200, number)
    assert db.session.query(Subscription).count() == 0
    assert "30,00\xa0€ TTC" in page.text
    assert "01/12/2026, 08/12/2026" in page.text
    answer = client.post("/abonnements/nouveau", data=held(page.text))
    made = db.session.query(Subscription).one()
    assert answer.headers["Location"] == f"/abonnements/{made.id}"
    assert (made.status, made.frequency) == (SubscriptionStatus.PENDING, Frequency.WEEKLY)
    assert (made.recurring_amount, made.anchor_date) == (Decimal("25.00"), date(2026, 12, 1))


def test_going_back_keeps_what_the_later_steps_hold(client: FlaskClient, buyer: Client) -> None:
    page = client.get(f"/abonnements/nouveau?{urlencode(written(buyer, etape='1'))}").text
    assert 'value="2026-12-01"' in page
    kept = held(page)
    assert (kept["libelle"], kept["prix"], kept["paiement"]) == ("Coffret", "12,50", "transfer")


def test_a_line_more_or_less_keeps_the_others(client: FlaskClient, buyer: Client) -> None:
    page = client.get(f"/abonnements/nouveau?{urlencode(written(buyer, ligne='ajouter'))}").text
    assert (step(page), page.count('data-testid="line-fields"')) == (2, 2)
    assert 'value="Coffret"' in page
    assert held(page)["frequence"] == "weekly"


@pytest.mark.parametrize(
    ("change", "at", "sentence"),
    [
        ({"frequence": "lunaire"}, 1, "Cette fréquence n’existe pas"),
        ({"debut": "2026-11-19"}, 1, "ne peut pas être dans le passé"),
        ({"debut": "demain"}, 1, "Indiquez une date valable"),
        ({"debut": ""}, 1, "Indiquez la date de la première échéance"),
        ({"debut": "2035-01-01"}, 1, "à plus de cinq ans"),
        ({"fin": "2026-11-30"}, 1, "Le dernier jour précède"),
        ({"prix": ""}, 2, "Indiquez le prix de la ligne"),
        ({"prix": "-5"}, 2, "ne peut pas être négatif"),
        ({"tva": "19,6"}, 2, "Ce taux de TVA n’existe pas"),
        ({"libelle": "", "prix": ""}, 2, "au moins une ligne"),
        ({"paiement": "troc"}, 3, "Ce mode de paiement n’existe pas"),
        ({"paiement": f"card:moyen:{uuid4()}"}, 3, "n’est pas celui de ce client"),
    ],
)
def test_what_makes_no_sense_leads_back_to_its_step_and_creates_nothing(
    client: FlaskClient, buyer: Client, change: dict[str, str], at: int, sentence: str
) -> None:
    asked = client.get(f"/abonnements/nouveau?{urlencode(written(buyer, etape='4', **change))}")
    posted = client.post("/abonnements/nouveau", data=written(buyer, **change))
    for answer in (asked, posted):
        assert (answer.status_code, step(answer.text)) == (422, at)
        assert sentence in answer.text
    assert db.session.query(Subscription).count() == 0


def test_a_contract_brings_its_lines_and_its_company(client: FlaskClient, buyer: Client) -> None:
    contract = factories.ContractFactory(client_id=buyer.id, reference="C-7")
    factories.ContractLineFactory(contract_id=contract.id, label="Électricité verte", unit_price=Decimal("9.5"))
    db.session.commit()
    page = client.get(f"/abonnements/nouveau?contrat={contract.id}").text
    assert "d’après le contrat C-7" in page
    assert (held(page)["libelle"], held(page)["prix"]) == ("Électricité verte", "9,5")
    client.post("/abonnements/nouveau", data=written(buyer, contrat=str(contract.id)))
    assert db.session.query(Subscription).one().contract_id == contract.id


def test_zero_is_a_price(client: FlaskClient, buyer: Client) -> None:
    client.post("/abonnements/nouveau", data=written(buyer, prix="0"))
    assert db.session.query(Subscription).one().recurring_amount == 0


def test_an_outsider_can_neither_see_nor_sell_to_our_client(outsider_client: FlaskClient, buyer: Client) -> None:
    assert outsider_client.get(f"/abonnements/nouveau?client={buyer.id}").status_code == 404
    assert outsider_client.post("/abonnements/nouveau", data=written(buyer)).status_code == 404
    assert db.session.query(Subscription).count() == 0


def test_without_a_client_there_is_nothing_to_create(client: FlaskClient) -> None:
    assert client.get("/abonnements/nouveau").status_code == 404
    assert client.get(f"/abonnements/nouveau?client={uuid4()}&contrat=x").status_code == 404
