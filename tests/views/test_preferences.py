"""Preferences as admins define them, and cut-offs: changes that are safe, refusals that stand at their field."""

import re
from datetime import UTC, date, datetime, time
from typing import Any
from uuid import uuid4

import pytest
from flask.testing import FlaskClient

from tests import factories
from tests.conftest import Cast
from tests.queries import recorded_queries
from webapp import clock
from webapp.extensions import db
from webapp.models.preferences import CutOff, PreferenceSchema, PreferenceValue, ValueType

pytestmark = pytest.mark.usefixtures("cast")


def make(**values: Any) -> PreferenceSchema:
    """A choice between two sizes."""
    defaults = {"code": "taille", "label": "Taille", "value_type": ValueType.ENUM, "allowed_values": ["S", "M"]}
    schema: PreferenceSchema = factories.PreferenceSchemaFactory(**(defaults | values))
    db.session.commit()
    return schema


def use(schema: PreferenceSchema, value: str) -> None:
    subscription = factories.SubscriptionFactory(client_id=factories.ClientFactory().id, anchor_date=date(2026, 1, 31))
    db.session.add(
        PreferenceValue(subscription_id=subscription.id, schema_id=schema.id, effective_from_cycle=0, value=value)
    )
    db.session.commit()


def form(**values: str) -> dict[str, str]:
    written = {"code": "taille", "nom": "Taille", "type": "enum", "choix": "S\nM", "defaut": "", "ordre": "0"}
    return written | values


def test_an_admin_defines_a_field_and_subscriptions_are_asked_for_it(admin_client: FlaskClient) -> None:
    assert admin_client.post("/preferences/nouvelle", data=form(defaut="S", obligatoire="1")).status_code == 303
    schema = db.session.query(PreferenceSchema).one()
    assert (schema.allowed_values, schema.default, schema.required) == (["S", "M"], "S", True)
    page = admin_client.get("/preferences").text
    assert re.search(r'data-testid="schema-row"\s+data-code="taille"\s+data-active="1"', page)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"code": "Taille été"}, "Un code commence par une lettre"),
        ({"nom": " "}, "Indiquez un nom"),
        ({"type": "couleur"}, "Choisissez un type"),
        ({"choix": ""}, "au moins une valeur"),
        ({"defaut": "XL"}, "Choisissez l’une des valeurs"),
        ({"ordre": "dernier"}, "L’ordre est un nombre"),
        ({"ordre": "99999999999"}, "L’ordre est un nombre"),
    ],
)
def test_a_field_that_makes_no_sense_is_refused_at_its_place(
    admin_client: FlaskClient, change: dict[str, str], sentence: str
) -> None:
    answer = admin_client.post("/preferences/nouvelle", data=form(**change))
    assert answer.status_code == 422
    assert sentence in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert db.session.query(PreferenceSchema).count() == 0


def test_a_code_is_given_once(admin_client: FlaskClient) -> None:
    make()
    answer = admin_client.post("/preferences/nouvelle", data=form())
    assert answer.status_code == 422
    assert "déjà celui d’une autre préférence" in answer.text


def test_taking_a_choice_away_that_is_in_use_is_explained_and_needs_a_confirmation(admin_client: FlaskClient) -> None:
    schema = make()
    use(schema, "M")
    assert 'data-testid="values-in-use"' in admin_client.get(f"/preferences/{schema.id}").text
    asked = admin_client.post(f"/preferences/{schema.id}", data=form(choix="S"))
    assert asked.status_code == 409
    assert "Ils la gardent" in asked.text
    assert 'data-testid="confirm"' in asked.text
    assert db.session.query(PreferenceSchema).one().allowed_values == ["S", "M"]
    admin_client.post(f"/preferences/{schema.id}", data=form(choix="S", confirmed="1"))
    assert db.session.query(PreferenceSchema).one().allowed_values == ["S"]
    assert db.session.query(PreferenceValue).one().value == "M"


def test_the_type_of_a_field_in_use_stays(admin_client: FlaskClient) -> None:
    schema = make()
    use(schema, "M")
    answer = admin_client.post(f"/preferences/{schema.id}", data=form(type="string"))
    assert answer.status_code == 422
    assert "ne changent plus" in answer.text


def test_a_field_is_put_out_of_use_and_back(admin_client: FlaskClient) -> None:
    schema = make()
    admin_client.post(f"/preferences/{schema.id}/activation", data={"active": "0"})
    assert not db.session.query(PreferenceSchema).one().is_active
    admin_client.post(f"/preferences/{schema.id}/activation", data={"active": "1"})
    assert db.session.query(PreferenceSchema).one().is_active


def test_each_company_has_its_cut_off(admin_client: FlaskClient) -> None:
    company = factories.default_company()
    page = admin_client.get("/preferences").text
    assert 'value="12:00"' in page
    data = {"jour": "3", "heure": "18:30", "fuseau": "Europe/Paris", "actif": "1", "region": "6AE", "verrouiller": "1"}
    admin_client.post(f"/preferences/heures-limites/{company.id}", data=data)
    cut_off = db.session.query(CutOff).one()
    assert (cut_off.weekday, cut_off.at, cut_off.is_active) == (3, time(18, 30), True)
    assert (cut_off.before_holidays, cut_off.holiday_region, cut_off.locks_itself) == (False, "6AE", True)


def test_the_next_three_cut_offs_are_told_in_words(admin_client: FlaskClient) -> None:
    clock.start_at(datetime(2026, 12, 10, 9, tzinfo=UTC))
    company = factories.default_company()
    form = {"jour": "4", "heure": "12:00", "fuseau": "Europe/Paris", "region": "", "avancer": "1"}
    admin_client.post(f"/preferences/heures-limites/{company.id}", data=form | {"actif": "1"})
    words = re.sub(r"\s+", " ", admin_client.get("/preferences").text)
    assert '<li data-at="2026-12-11T11:00:00+00:00"> vendredi 11 décembre à 12:00 </li>' in words
    assert "vendredi 25 décembre, avancé au jeudi 24 décembre à 12:00, le vendredi étant férié (Noël)" in words
    assert words.count("<li data-at=") == 3
    admin_client.post(f"/preferences/heures-limites/{company.id}", data=form)
    assert "cette société ne prépare aucun lot" in admin_client.get("/preferences").text


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"jour": "7"}, "Choisissez un jour"),
        ({"jour": "lundi"}, "Choisissez un jour"),
        ({"heure": "25:00"}, "Indiquez une heure"),
        ({"fuseau": "Europe/Lutèce"}, "Ce fuseau horaire n’existe pas"),
        ({"region": "Zone A"}, "Choisissez une région de la liste"),
        ({"region": "57\x00"}, "Choisissez une région de la liste"),
    ],
)
def test_a_cut_off_that_makes_no_sense_is_refused_at_its_field(
    admin_client: FlaskClient, change: dict[str, str], sentence: str
) -> None:
    company = factories.default_company()
    data = {"jour": "3", "heure": "18:30", "fuseau": "Europe/Paris"} | change
    answer = admin_client.post(f"/preferences/heures-limites/{company.id}", data=data)
    assert answer.status_code == 422
    assert sentence in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert db.session.query(CutOff).count() == 0


def test_only_admins_come_here(cast: Cast, client: FlaskClient, manager_client: FlaskClient) -> None:
    schema = make()
    for browser in (client, manager_client):
        assert browser.get("/preferences").status_code == 403
        assert browser.post("/preferences/nouvelle", data=form(code="autre")).status_code == 403
        assert browser.post(f"/preferences/{schema.id}", data=form(nom="x")).status_code == 403
        assert browser.post(f"/preferences/{schema.id}/activation").status_code == 403
        assert browser.post(f"/preferences/heures-limites/{uuid4()}").status_code == 403
    assert "/preferences" not in client.get("/abonnements").text


def test_an_outsider_finds_nothing_and_changes_nothing(outsider_client: FlaskClient) -> None:
    schema, company = make(), factories.default_company()
    data = {"jour": "3", "heure": "18:30", "fuseau": "Europe/Paris"}
    assert "schema-row" not in outsider_client.get("/preferences").text
    assert outsider_client.get(f"/preferences/{schema.id}").status_code == 404
    assert outsider_client.post(f"/preferences/{schema.id}", data=form(nom="x")).status_code == 404
    assert outsider_client.post(f"/preferences/{schema.id}/activation").status_code == 404
    assert outsider_client.post(f"/preferences/heures-limites/{company.id}", data=data).status_code == 404
    assert db.session.query(CutOff).count() == 0


def test_the_number_of_queries_does_not_grow_with_the_fields(admin_client: FlaskClient) -> None:
    def queries() -> int:
        db.session.commit()
        with recorded_queries() as statements:
            admin_client.get("/preferences")
        return len(statements)

    make()
    few = queries()
    for number in range(5):
        make(code=f"champ-{number}")
        factories.CompanyFactory(name=f"Société {number}")
    assert queries() == few
