"""A sale where plans have prices by zone: eligibility and price by the home's postcode, until it is signed."""

from decimal import Decimal

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from tests.conftest import HTMX, Cast
from tests.queries import recorded_queries
from tests.views.sales.journey import HOME, begin, find, make_client, on_sale, scan, send, walk
from webapp import clock
from webapp.extensions import db
from webapp.models.contracts import Contract
from webapp.models.covers import Cover
from webapp.services.covers import plans, zones
from webapp.services.covers.zones import ZoneFields

pytestmark = pytest.mark.usefixtures("cast")
PARIS = HOME | {"code_postal": "75011", "ville": "Paris"}
ZONES = {"59": "9.90", "75": "15.90"}


def test_prices_follow_the_postcode_while_the_home_is_written(client: FlaskClient) -> None:
    on_sale(price=None, zones=ZONES)
    on_sale(price=Decimal(20), zones={"75": "25.00"}, home_kinds=("house",))
    sale_id = begin(client, make_client(postcode="59000"))
    assert "9,90\u00a0€ HT par mois" in client.get(f"/souscriptions/{sale_id}/logement").text

    def prices_at(query: str) -> str:
        return client.get(f"/souscriptions/{sale_id}/logement/prix?{query}", headers=HTMX).text

    with recorded_queries() as queries:
        paris = prices_at("code_postal=75011")
    assert len(queries) <= 18
    assert "15,90\u00a0€ HT par mois" in paris
    assert "25,00\u00a0€ HT par mois" in paris
    flat = prices_at("code_postal=75011&type=flat")
    assert "15,90" in flat
    assert "25,00" not in flat
    assert "non vendue pour ce logement" in prices_at("code_postal=13001")
    assert "20,00\u00a0€ HT par mois" in prices_at("code_postal=13001")
    assert "Indiquez le code postal" in prices_at("code_postal=750")
    assert "Indiquez le code postal" in prices_at("code_postal=99999")


def test_the_zone_of_the_home_says_what_is_signed(client: FlaskClient) -> None:
    version, buyer = on_sale(price=None, zones=ZONES), make_client()
    sale_id = begin(client, buyer)
    walk(client, sale_id, version, logement=PARIS)
    assert "15,90\u00a0€ HT par mois" in client.get(f"/souscriptions/{sale_id}/formule").text
    assert "20,60\u00a0€ TTC par mois" in client.get(f"/souscriptions/{sale_id}/signature").text  # 15.90 + 3 and 9 %
    assert send(client, sale_id, "signature/papier", fichier=scan()).status_code == 303
    cover, contract = db.session.scalars(select(Cover)).one(), db.session.scalars(select(Contract)).one()
    assert cover.subscription.per_cycle.with_tax == Decimal("20.60")
    assert [line.unit_price for line in cover.subscription.lines] == [Decimal("15.90"), Decimal(3)]
    assert [line.unit_price for line in contract.lines] == [Decimal("15.90"), Decimal(3)]
    assert contract.amount == Decimal("226.80")
    assert find(sale_id).plan_price == Decimal("15.90")
    assert "20,60\u00a0€ TTC par mois" in client.get(f"/souscriptions/{sale_id}/signature/preuve").text


def test_a_home_in_another_zone_has_its_price_said_and_chosen_again(client: FlaskClient) -> None:
    version, buyer = on_sale(price=None, zones=ZONES), make_client()
    sale_id = begin(client, buyer)
    walk(client, sale_id, version)
    assert send(client, sale_id, "logement", **PARIS).location.endswith("/formule")
    said = "Pour ce logement, la formule Confort coûte 15,90\u00a0€ HT par mois au lieu de 9,90\u00a0€"
    for step in ("formule", "signature"):
        assert said in client.get(f"/souscriptions/{sale_id}/{step}").text
    for way in ("papier", "lien"):
        assert send(client, sale_id, f"signature/{way}", fichier=scan()).location.endswith("/formule")
    assert db.session.scalar(select(func.count()).select_from(Cover)) == 0
    assert send(client, sale_id, "formule", formule=version.id, frequence="monthly").status_code == 303
    assert 'data-testid="changed-price"' not in client.get(f"/souscriptions/{sale_id}/signature").text
    assert send(client, sale_id, "signature/papier", fichier=scan()).location.startswith("/couvertures/")


def test_the_table_may_change_meanwhile_and_a_new_version_has_its_price_said(client: FlaskClient, cast: Cast) -> None:
    zone = zones.create_zone("PARIS", ZoneFields(label="Paris", prefixes="75"), at=clock.now())
    version, buyer = on_sale(zones={"75": "15.90"}), make_client()
    sale_id = begin(client, buyer)
    walk(client, sale_id, version, logement=PARIS)
    zones.edit_zone(zone.id, ZoneFields(label="Paris", prefixes="75 92"))
    assert 'data-testid="changed-price"' not in client.get(f"/souscriptions/{sale_id}/signature").text
    draft = plans.draft_next(version.plan_id, by=cast.admin, at=clock.now())
    zones.write_prices(draft, {"PARIS": Decimal("17.90")})
    plans.publish(version.plan_id, edits=1, at=clock.now())
    db.session.expire_all()
    said = "version 2, 17,90\u00a0€ HT par mois au lieu de 15,90\u00a0€"
    assert said in client.get(f"/souscriptions/{sale_id}/signature").text
    assert send(client, sale_id, "signature/papier", fichier=scan()).location.endswith("/formule")


def test_an_outsider_reads_no_prices_of_ours(client: FlaskClient, outsider_client: FlaskClient) -> None:
    sale_id = begin(client, make_client())
    assert outsider_client.get(f"/souscriptions/{sale_id}/logement/prix?code_postal=59000").status_code == 404
