"""« Zones »: the table, the prices of a draft, and who may change what."""

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from tests import factories
from tests.queries import recorded_queries
from tests.views.covers.test_plans import _create, _send, _version
from webapp.extensions import db
from webapp.models.zones import CoverZone, CoverZonePrefix

pytestmark = pytest.mark.usefixtures("cast")
PARIS = {"nom": "Paris", "code": "paris", "codes_postaux": "75, 92 75"}


def add_zone(admin: FlaskClient, **values: str) -> CoverZone:
    form = PARIS | values
    assert admin.post("/couvertures/zones", data=form).status_code == 303
    return db.session.scalars(select(CoverZone).order_by(CoverZone.id.desc()).limit(1)).one()


def test_an_admin_adds_a_zone_changes_it_and_takes_it_away(admin_client: FlaskClient) -> None:
    zone = add_zone(admin_client)
    assert zone.prefixes == ["75", "92"]
    page = admin_client.get(f"/couvertures/zones/{zone.id}").text
    assert "75 92" in page
    changed = {"nom": "Petite couronne", "codes_postaux": "92 93"}
    assert admin_client.post(f"/couvertures/zones/{zone.id}", data=changed).status_code == 303
    assert list(db.session.scalars(select(CoverZonePrefix.prefix))) == ["92", "93"]
    assert "Petite couronne" in admin_client.get("/couvertures/zones").text
    assert admin_client.post(f"/couvertures/zones/{zone.id}/supprimer").status_code == 303
    assert db.session.query(CoverZonePrefix).count() == 0
    assert admin_client.post(f"/couvertures/zones/{zone.id}", data=changed).status_code == 404


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ({"nom": ""}, "Indiquez un nom"),
        ({"code": "p"}, "Un code a de 2 à 30 lettres"),
        ({"code": "NORD"}, "déjà celui d’une autre zone"),
        ({"codes_postaux": " "}, "Indiquez des codes postaux"),
        ({"codes_postaux": "75 Lille"}, "«\u00a0Lille\u00a0» n’en est pas un"),
        ({"codes_postaux": "750011"}, "«\u00a0750011\u00a0» n’en est pas un"),
        ({"codes_postaux": "<b>"}, "«\u00a0&lt;b&gt;\u00a0»"),
        ({"codes_postaux": "2A"}, "En Corse, les codes postaux commencent par 20"),
        ({"codes_postaux": "75 59"}, "59 est déjà dans la zone «\u00a0Nord\u00a0»"),
        ({"codes_postaux": " ".join(map(str, range(100, 301)))}, "200 codes postaux"),
    ],
)
def test_what_is_no_zone_is_refused_at_its_field(
    admin_client: FlaskClient, written: dict[str, str], sentence: str
) -> None:
    add_zone(admin_client, nom="Nord", code="NORD", codes_postaux="59 62")
    refused = admin_client.post("/couvertures/zones", data=PARIS | written)
    assert refused.status_code == 422
    assert sentence in refused.text
    assert "-error" in refused.text
    assert db.session.query(CoverZone).count() == 1


def test_a_zone_is_refused_the_postcodes_of_another_when_it_changes(admin_client: FlaskClient) -> None:
    add_zone(admin_client, nom="Nord", code="NORD", codes_postaux="59")
    zone = add_zone(admin_client)
    refused = admin_client.post(f"/couvertures/zones/{zone.id}", data=PARIS | {"codes_postaux": "75 59"})
    assert (refused.status_code, "59 est déjà dans la zone" in refused.text) == (422, True)
    assert "75 59" in refused.text
    assert len(list(db.session.scalars(select(CoverZonePrefix)))) == 3


def test_a_draft_has_a_price_by_zone_which_is_compared_and_looked_up(admin_client: FlaskClient) -> None:
    add_zone(admin_client, nom="Nord", code="NORD", codes_postaux="59")
    add_zone(admin_client)
    plan = _create(admin_client)
    for written, sentence in (({"zone_PARIS": "10001"}, "Indiquez un prix par mois"), ({"prix": ""}, "ou celui d’une")):
        refused = _send(admin_client, plan.id, **written)
        assert (refused.status_code, sentence in refused.text) == (422, True), written
    assert 'id="zone_PARIS-error"' in _send(admin_client, plan.id, zone_PARIS="x").text
    assert _send(admin_client, plan.id, prix="", zone_PARIS="15,90").status_code == 303
    assert 'value="15,90"' in admin_client.get(f"/couvertures/formules/{plan.id}").text
    assert _send(admin_client, plan.id, "/publier").status_code == 303
    assert admin_client.post(f"/couvertures/formules/{plan.id}/nouvelle-version").status_code == 303
    assert _send(admin_client, plan.id, prix="9,90", zone_PARIS="16,90").status_code == 303
    page = admin_client.get(f"/couvertures/formules/{plan.id}").text
    assert "<strong>16,90\u00a0€\u202f: 75 92</strong>" in page
    assert "15,90\u00a0€\u202f: 75 92" in page
    assert "Non vendue\u202f: 59" in page
    assert "15,90\u00a0€ HT par mois" in admin_client.get("/couvertures/formules").text
    here = admin_client.get("/couvertures/zones?code_postal=92100").text
    assert "92100 est dans la zone Paris." in here
    assert "hors des zones" in admin_client.get("/couvertures/zones?code_postal=13001").text
    assert admin_client.get("/couvertures/zones?code_postal=abc").status_code == 422


def test_a_draft_is_read_again_before_it_is_published_with_other_zones(admin_client: FlaskClient) -> None:
    zone, plan = add_zone(admin_client), _create(admin_client)
    _send(admin_client, plan.id, zone_PARIS="15,90")
    admin_client.post(f"/couvertures/zones/{zone.id}", data=PARIS | {"codes_postaux": "75"})
    assert "Les zones ont changé" in admin_client.get(f"/couvertures/formules/{plan.id}").text
    refused = _send(admin_client, plan.id, "/publier")
    assert (refused.status_code, "Les zones ont changé" in refused.text) == (409, True)
    assert _version(plan.id, 1).is_draft
    _send(admin_client, plan.id, zone_PARIS="15,90")
    assert _send(admin_client, plan.id, "/publier").status_code == 303
    add_zone(admin_client, nom="Nord", code="NORD", codes_postaux="59")
    assert "version 1 publiée avant cette zone" in admin_client.get("/couvertures/zones").text


def test_without_zones_a_plan_has_one_price(admin_client: FlaskClient) -> None:
    assert "Aucune zone pour l’instant" in admin_client.get("/couvertures/zones").text
    plan = _create(admin_client)
    assert "Le même partout" in admin_client.get(f"/couvertures/formules/{plan.id}").text
    _send(admin_client, plan.id, zone_INCONNUE="3")
    _send(admin_client, plan.id, "/publier")
    assert [zone.code for zone in _version(plan.id, 1).zones] == []


def test_managers_read_the_table_and_change_nothing(manager_client: FlaskClient, client: FlaskClient) -> None:
    page = manager_client.get("/couvertures/zones")
    assert (page.status_code, "Créer une zone" in page.text) == (200, False)
    assert manager_client.post("/couvertures/zones", data=PARIS).status_code == 403
    assert client.get("/couvertures/zones").status_code == 403


def test_an_outsider_finds_no_zone_of_ours_and_may_use_the_same_postcodes(
    admin_client: FlaskClient, outsider_client: FlaskClient
) -> None:
    zone = add_zone(admin_client)
    for method, action in (("get", ""), ("post", ""), ("post", "/supprimer")):
        answer = getattr(outsider_client, method)(f"/couvertures/zones/{zone.id}{action}", data=PARIS)
        assert answer.status_code == 404, action
    assert "hors des zones" in outsider_client.get("/couvertures/zones?code_postal=75001").text
    add_zone(outsider_client)


def test_the_table_costs_the_same_however_many_zones_and_plans_there_are(admin_client: FlaskClient) -> None:
    factories.CoverPlanVersionFactory(zones={"75 92": "9.90"})
    add_zone(admin_client)
    admin_client.get("/couvertures/zones?code_postal=75001")
    with recorded_queries() as few:
        admin_client.get("/couvertures/zones?code_postal=75001")
    for number in range(4):
        factories.CoverPlanVersionFactory(zones={f"1{number}": "9.90"})
        add_zone(admin_client, code=f"ZONE-{number}", codes_postaux=f"1{number}")
    with recorded_queries() as many:
        admin_client.get("/couvertures/zones?code_postal=75001")
    assert len(many) == len(few) <= 16
