"""« Formules »: admins write drafts and publish them; what was published stays."""

import re
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from tests import factories
from tests.queries import recorded_queries
from webapp.extensions import db
from webapp.models.covers import CoverPlan, CoverPlanOption, CoverPlanVersion

pytestmark = pytest.mark.usefixtures("cast")

DRAFT = {
    "nature": "insurance",
    "annee": "anniversary",
    "metier": ["plumbing", "electricity"],
    "carence": "30",
    "franchise": "50",
    "plafond_intervention": "500",
    "plafond_annuel": "1 200,00",
    "interventions": "3",
    "logement": ["house", "flat"],
    "prix": "9,90",
    "tva": "9",
    "engagement": "12",
    "preavis": "30",
}
OPTION = {
    "code": "SERRURERIE",
    "nom": "Serrurerie",
    "option_metier": ["locksmith"],
    "option_carence": "15",
    "option_franchise": "50",
    "option_plafond_intervention": "300",
    "option_plafond_annuel": "300",
    "option_prix": "3",
}


def _create(admin: FlaskClient, **values: str) -> CoverPlan:
    form = {"nom": "Confort", "code": "CONFORT", "societe": str(factories.default_company().id)} | values
    answer = admin.post("/couvertures/formules", data=form)
    assert answer.status_code == 303, answer.text
    return db.session.scalars(select(CoverPlan).where(CoverPlan.code == form["code"])).one()


def _edits(admin: FlaskClient, plan_id: UUID) -> str:
    found = re.search(r'name="modifications"\s+value="(\d+)"', admin.get(f"/couvertures/formules/{plan_id}").text)
    assert found
    return found[1]


def _send(admin: FlaskClient, plan_id: UUID, action: str = "", **values: Any) -> Any:
    form = (DRAFT if not action else {}) | {"modifications": _edits(admin, plan_id)} | values
    return admin.post(f"/couvertures/formules/{plan_id}{action}", data=form)


def _version(plan_id: UUID, version: int) -> CoverPlanVersion:
    statement = select(CoverPlanVersion).where(CoverPlanVersion.plan_id == plan_id, CoverPlanVersion.version == version)
    return db.session.scalars(statement.execution_options(populate_existing=True)).one()


def test_an_admin_writes_a_plan_publishes_it_and_prepares_the_next_version(admin_client: FlaskClient) -> None:
    plan = _create(admin_client)
    assert _send(admin_client, plan.id).status_code == 303
    assert admin_client.post(f"/couvertures/formules/{plan.id}/options", data=OPTION).status_code == 303
    assert _send(admin_client, plan.id, "/publier").status_code == 303
    first = _version(plan.id, 1)
    assert first.is_sold
    assert (first.cap_per_year, first.price, first.claims_per_year) == (Decimal(1200), Decimal("9.90"), 3)

    assert admin_client.post(f"/couvertures/formules/{plan.id}/nouvelle-version").status_code == 303
    assert [option.code for option in _version(plan.id, 2).options] == ["SERRURERIE"]
    assert _send(admin_client, plan.id, carence="15").status_code == 303
    assert _send(admin_client, plan.id, "/publier").status_code == 303
    assert not _version(plan.id, 1).is_sold
    page = admin_client.get(f"/couvertures/formules/{plan.id}").text
    assert "<strong>15 jours</strong>" in page
    assert "<strong>Assurance</strong>" not in page


def test_the_versions_are_compared_by_the_terms_of_their_options_too(admin_client: FlaskClient) -> None:
    plan = _create(admin_client)
    _send(admin_client, plan.id)
    admin_client.post(f"/couvertures/formules/{plan.id}/options", data=OPTION)
    _send(admin_client, plan.id, "/publier")
    admin_client.post(f"/couvertures/formules/{plan.id}/nouvelle-version")
    later = OPTION | {"option_carence": "20", "option_plafond_commun": "1"}
    admin_client.post(f"/couvertures/formules/{plan.id}/options", data=later)
    page = admin_client.get(f"/couvertures/formules/{plan.id}").text
    terms = (
        "3,00\u00a0€ · Serrurerie · carence {} · franchise 50\u00a0€ · 300\u00a0€ par intervention · 300\u00a0€ par an"
    )
    assert f"<strong>{terms.format('20 jours')} · compte dans le plafond annuel de la formule</strong>" in page
    assert terms.format("15 jours") in page


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ({"plafond_intervention": "2000"}, "ne peut pas dépasser le plafond annuel"),
        ({"carence": "366"}, "ne peut pas dépasser un an"),
        ({"carence": "deux"}, "Indiquez un nombre entier"),
        ({"franchise": "-1"}, "La franchise est de 0"),
        ({"franchise": "1,234"}, "deux décimales au plus"),
        ({"franchise": "beaucoup"}, "La franchise n’est pas un montant"),
        ({"metier": []}, "Choisissez au moins un métier"),
        ({"logement": []}, "Choisissez au moins un type de logement"),
        ({"prix": ""}, "Indiquez un prix"),
        ({"prix": "10001"}, "Indiquez un prix par mois"),
        ({"tva": "20"}, "Une assurance porte la taxe de 9"),
        ({"nature": "service"}, "Une prestation de service porte la TVA"),
        ({"engagement": "37"}, "Indiquez un nombre de mois"),
        ({"interventions": "0"}, "d’au moins une"),
    ],
)
def test_a_draft_that_promises_nonsense_is_refused_at_its_field(
    admin_client: FlaskClient, written: dict[str, Any], sentence: str
) -> None:
    plan = _create(admin_client)
    answer = _send(admin_client, plan.id, **written)
    assert answer.status_code == 422
    assert sentence in answer.text
    assert "-error" in answer.text
    assert _version(plan.id, 1).trades == []


def test_two_admins_never_overwrite_each_other(admin_client: FlaskClient) -> None:
    plan = _create(admin_client)
    seen = _edits(admin_client, plan.id)
    assert _send(admin_client, plan.id, modifications=seen).status_code == 303
    late = _send(admin_client, plan.id, modifications=seen, franchise="75")
    assert late.status_code == 409
    assert "Quelqu’un d’autre a modifié ce brouillon" in late.text
    assert 'value="75"' in late.text
    assert _version(plan.id, 1).deductible == Decimal(50)
    assert _send(admin_client, plan.id, "/publier", modifications=seen).status_code == 409


def test_an_option_is_checked_replaced_and_taken_out(admin_client: FlaskClient) -> None:
    plan = _create(admin_client)
    _send(admin_client, plan.id)
    address = f"/couvertures/formules/{plan.id}/options"
    refused = admin_client.post(address, data=OPTION | {"option_plafond_intervention": "400"})
    assert refused.status_code == 422
    assert "ne peut pas dépasser le plafond annuel" in refused.text
    admin_client.post(address, data=OPTION)
    admin_client.post(address, data=OPTION | {"option_franchise": "20"})
    assert [option.deductible for option in _version(plan.id, 1).options] == [Decimal(20)]
    admin_client.post(f"{address}/retirer", data={"code": "SERRURERIE"})
    assert db.session.query(CoverPlanOption).count() == 0


def test_an_option_that_adds_nothing_is_not_published(admin_client: FlaskClient) -> None:
    plan = _create(admin_client)
    _send(admin_client, plan.id)
    admin_client.post(f"/couvertures/formules/{plan.id}/options", data=OPTION | {"option_metier": ["plumbing"]})
    refused = _send(admin_client, plan.id, "/publier")
    assert refused.status_code == 422
    assert "n’ajoute aucun métier" in refused.text
    assert _version(plan.id, 1).is_draft


def test_a_draft_is_given_up_and_with_it_a_plan_that_was_never_sold(admin_client: FlaskClient) -> None:
    plan = _create(admin_client)
    assert admin_client.post(f"/couvertures/formules/{plan.id}/abandonner").status_code == 303
    assert admin_client.get(f"/couvertures/formules/{plan.id}").status_code == 404
    kept = _create(admin_client, code="AUTRE")
    _send(admin_client, kept.id)
    _send(admin_client, kept.id, "/publier")
    refused = admin_client.post(f"/couvertures/formules/{kept.id}/abandonner")
    assert refused.status_code == 409
    assert "Aucune version de cette formule n’est en préparation" in refused.text


@pytest.mark.parametrize("statement", ["deductible = 0", "trades = '{}'", "published_at = NULL"])
def test_what_was_published_never_changes(statement: str) -> None:
    version = factories.CoverPlanVersionFactory()
    db.session.commit()
    with pytest.raises(DBAPIError, match="a published version of a plan never changes"):
        db.session.execute(db.text(f"UPDATE cover_plan_versions SET {statement} WHERE id = :id"), {"id": version.id})


def test_a_published_version_gets_no_further_option() -> None:
    version = factories.CoverPlanVersionFactory()
    with pytest.raises(DBAPIError, match="a published version of a plan never changes"):
        factories.CoverPlanOptionFactory(version_id=version.id)


def test_a_code_is_used_once(admin_client: FlaskClient) -> None:
    _create(admin_client)
    form = {"nom": "Autre", "code": "confort", "societe": str(factories.default_company().id)}
    refused = admin_client.post("/couvertures/formules", data=form)
    assert refused.status_code == 422
    assert "déjà celui d’une autre formule" in refused.text


def test_managers_read_plans_and_change_none(manager_client: FlaskClient, client: FlaskClient) -> None:
    plan = factories.CoverPlanVersionFactory().plan_id
    db.session.commit()
    page = manager_client.get(f"/couvertures/formules/{plan}")
    assert page.status_code == 200
    assert "Préparer une nouvelle version" not in page.text
    assert manager_client.post(f"/couvertures/formules/{plan}/nouvelle-version").status_code == 403
    assert client.get("/couvertures/formules").status_code == 403


def test_an_outsider_finds_no_plan_of_ours(outsider_client: FlaskClient) -> None:
    plan = factories.CoverPlanVersionFactory().plan_id
    db.session.commit()
    assert outsider_client.get(f"/couvertures/formules/{plan}").status_code == 404
    assert "Confort" not in outsider_client.get("/couvertures/formules").text
    for action in ("", "/options", "/options/retirer", "/publier", "/nouvelle-version", "/abandonner"):
        assert outsider_client.post(f"/couvertures/formules/{plan}{action}", data=DRAFT).status_code == 404, action


def test_the_list_of_plans_costs_the_same_however_many_there_are(manager_client: FlaskClient) -> None:
    factories.CoverPlanVersionFactory()
    db.session.commit()
    manager_client.get("/couvertures/formules")
    with recorded_queries() as few:
        manager_client.get("/couvertures/formules")
    for _ in range(4):
        factories.CoverPlanVersionFactory()
    db.session.commit()
    with recorded_queries() as many:
        manager_client.get("/couvertures/formules")
    assert len(many) == len(few)
