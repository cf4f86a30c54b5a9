"""The pages of coupons, of a subscription's coupon and trial, and deletions."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from tests import factories
from tests.conftest import Cast
from tests.queries import recorded_queries
from webapp import clock
from webapp.extensions import db
from webapp.models.coupons import Coupon
from webapp.models.preferences import CutOff, PreferenceChange, PreferenceSchema
from webapp.models.subscriptions import Subscription, SubscriptionStatus
from webapp.services.subscriptions import scheduling

NOON = datetime(2026, 11, 20, 11, tzinfo=UTC)
pytestmark = pytest.mark.usefixtures("cast")


@pytest.fixture(autouse=True)
def _at_noon(app_context: object) -> None:
    clock.start_at(NOON)


def _sold(**values: Any) -> Subscription:
    values = {"status": SubscriptionStatus.PENDING, "anchor_date": date(2026, 11, 30)} | values
    subscription: Subscription = factories.SubscriptionFactory(client_id=factories.ClientFactory().id, **values)
    factories.SubscriptionLineFactory(subscription_id=subscription.id)
    scheduling.schedule(subscription, 0)
    db.session.commit()
    return subscription


def _reload(subscription: Subscription) -> Subscription:
    statement = select(Subscription).where(Subscription.id == subscription.id)
    return db.session.scalars(statement.execution_options(populate_existing=True)).one()


def _form(**values: str) -> dict[str, str]:
    return {"code": "NOEL", "nom": "Noël", "nature": "pourcentage", "valeur": "20", "echeances": "3"} | values


def test_a_manager_creates_disables_and_deletes_a_coupon(manager_client: FlaskClient) -> None:
    assert "Aucun coupon" in manager_client.get("/abonnements/coupons").text
    page = manager_client.post("/abonnements/coupons", data=_form(), follow_redirects=True).text
    assert 'data-code="NOEL"' in page
    coupon = db.session.scalars(select(Coupon)).one()
    off = manager_client.post(
        f"/abonnements/coupons/{coupon.id}/activation", data={"active": "0"}, follow_redirects=True
    )
    assert 'data-active="0"' in off.text
    gone = manager_client.post(f"/abonnements/coupons/{coupon.id}/supprimer", follow_redirects=True)
    assert "Coupon NOEL supprimé" in gone.text


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        (_form(valeur="beaucoup"), "Indiquez un nombre au-dessus de zéro"),
        (_form(echeances="deux"), "Indiquez un nombre entier"),
        (_form(echeances="1,5"), "Indiquez un nombre entier"),
        (_form(fin="2026-02-30"), "Indiquez une date valable"),
        (_form(code=""), "Un code a de 2 à 30"),
        (_form(valeur=""), "Indiquez un pourcentage ou un montant"),
    ],
)
def test_a_coupon_that_makes_no_sense_is_refused_at_its_field(
    manager_client: FlaskClient, written: dict[str, str], sentence: str
) -> None:
    answer = manager_client.post("/abonnements/coupons", data=written)
    assert answer.status_code == 422
    assert sentence in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert db.session.query(Coupon).count() == 0


def test_coupons_are_for_managers_and_of_their_organisation(
    client: FlaskClient, outsider_client: FlaskClient, cast: Cast
) -> None:
    assert client.get("/abonnements/coupons").status_code == 403
    assert client.post("/abonnements/coupons", data=_form()).status_code == 403
    coupon = Coupon(code="NOEL", label="Noël", percent=Decimal(20))
    db.session.add(coupon)
    db.session.commit()
    assert "NOEL\n" not in outsider_client.get("/abonnements/coupons").text
    for word in ("activation", "supprimer"):
        assert outsider_client.post(f"/abonnements/coupons/{coupon.id}/{word}").status_code == 404


def test_the_list_of_coupons_takes_as_many_queries_with_more_of_them(manager_client: FlaskClient) -> None:
    def queries() -> int:
        with recorded_queries() as statements:
            manager_client.get("/abonnements/coupons")
        return len(statements)

    db.session.add(Coupon(code="C0", label="Un", percent=Decimal(5)))
    db.session.commit()
    few = queries()
    db.session.add_all(Coupon(code=f"C{number}", label="Un", percent=Decimal(5)) for number in range(1, 6))
    db.session.commit()
    assert queries() == few


def test_a_coupon_is_given_and_taken_back_on_the_page(client: FlaskClient) -> None:
    db.session.add(Coupon(code="NOEL", label="Noël", percent=Decimal(20), cycles=2))
    subscription = _sold()
    address = f"/abonnements/{subscription.id}"
    wrong = client.post(f"{address}/coupon", data={"coupon": "PAQUES", "version": "1"})
    assert (wrong.status_code, "Ce coupon n’existe pas" in wrong.text) == (422, True)
    page = client.post(f"{address}/coupon", data={"coupon": "noel", "version": "1"}, follow_redirects=True).text
    assert "encore 2 échéances, la dernière le 30/12/2026" in " ".join(page.split())
    assert _reload(subscription).recurring_amount == Decimal("16.00")
    assert client.post(f"{address}/coupon/retirer", data={"version": "1"}).status_code == 409
    client.post(f"{address}/coupon/retirer", data={"version": "2"})
    assert _reload(subscription).recurring_amount == Decimal("20.00")


@pytest.mark.parametrize("code", ["\0", "NO\0EL", "X" * 10_000])
def test_a_code_that_no_coupon_can_have_is_refused_at_its_field(client: FlaskClient, code: str) -> None:
    answer = client.post(f"/abonnements/{_sold().id}/coupon", data={"coupon": code, "version": "1"})
    assert answer.status_code == 422
    assert "Ce coupon n’existe pas." in answer.text


def test_trial_and_fee_are_written_while_nothing_was_charged(client: FlaskClient) -> None:
    subscription = _sold()
    address = f"/abonnements/{subscription.id}/ouverture"
    written = {"essai": "jours", "duree": "", "frais": "", "frais_tva": "20", "version": "1"}
    answer = client.post(address, data=written)
    assert (answer.status_code, "Indiquez la durée de l’essai" in answer.text) == (422, True)
    assert client.post(address, data=written | {"duree": "10", "frais": "49,90"}).status_code == 303
    kept = _reload(subscription)
    assert (kept.next_charge_on, kept.setup_fee) == (date(2026, 12, 10), Decimal("49.90"))
    assert 'value="49,9' in client.get(f"/abonnements/{subscription.id}/offre").text
    factories.ChargeFactory(subscription_id=subscription.id, client_id=subscription.client_id)
    db.session.commit()
    assert client.post(address, data=written | {"duree": "3", "version": "2"}).status_code == 409


def test_creation_takes_trial_fee_and_coupon_along(client: FlaskClient) -> None:
    db.session.add(Coupon(code="NOEL", label="Noël", percent=Decimal(50)))
    owner = factories.ClientFactory()
    db.session.commit()
    written = {
        "client": str(owner.id),
        "frequence": "monthly",
        "debut": "2026-11-20",
        "fin": "",
        "essai": "jours",
        "duree": "10",
        "frais": "15",
        "frais_tva": "20",
        "coupon": "noel",
        "libelle": "Coffret",
        "quantite": "1",
        "prix": "30",
        "tva": "20",
        "remise": "",
        "produit": "",
        "paiement": "transfer",
    }
    summary = client.get("/abonnements/nouveau", query_string=written | {"etape": "4"}).text
    assert [word in summary for word in ("10 jours", "NOEL", "15,00", "30/11/2026")] == [True] * 4
    refused = client.get("/abonnements/nouveau", query_string=written | {"etape": "4", "coupon": "rien"})
    assert (refused.status_code, 'data-step="1"' in refused.text) == (422, True)
    assert client.post("/abonnements/nouveau", data=written).status_code == 303
    made = db.session.scalars(select(Subscription)).one()
    assert (made.next_charge_on, made.setup_fee, made.recurring_amount) == (
        date(2026, 11, 30),
        Decimal("15.00"),
        Decimal("15.00"),
    )


def test_a_draft_is_deleted_after_a_question_and_others_offer_nothing(client: FlaskClient) -> None:
    subscription = _sold()
    page = client.get(f"/abonnements/{subscription.id}").text
    assert "Supprimer cet abonnement" in page
    answer = client.post(f"/abonnements/{subscription.id}/supprimer")
    assert answer.headers["Location"] == f"/clients/{subscription.client_id}"
    active = _sold(status=SubscriptionStatus.ACTIVE)
    assert "Supprimer cet abonnement" not in client.get(f"/abonnements/{active.id}").text
    refused = client.post(f"/abonnements/{active.id}/supprimer")
    assert (refused.status_code, "résiliez-le" in refused.text) == (409, True)


@pytest.mark.parametrize("path", ["offre"])
def test_an_outsider_sees_nothing(outsider_client: FlaskClient, path: str) -> None:
    assert outsider_client.get(f"/abonnements/{_sold().id}/{path}").status_code == 404


@pytest.mark.parametrize("path", ["coupon", "coupon/retirer", "ouverture", "supprimer"])
def test_an_outsider_changes_nothing(outsider_client: FlaskClient, path: str) -> None:
    subscription = _sold()
    assert outsider_client.post(f"/abonnements/{subscription.id}/{path}", data={"version": "1"}).status_code == 404


def test_an_unused_preference_is_deleted_and_a_used_one_says_why_not(admin_client: FlaskClient) -> None:
    schema = factories.PreferenceSchemaFactory(label="Mouture")
    db.session.commit()
    assert admin_client.post(f"/preferences/{schema.id}/supprimer").status_code == 303
    assert db.session.query(PreferenceSchema).count() == 0
    used, subscription = factories.PreferenceSchemaFactory(label="Mouture"), _sold()
    db.session.add(PreferenceChange(subscription_id=subscription.id, schema_id=used.id, effective_from_cycle=0))
    db.session.commit()
    answer = admin_client.post(f"/preferences/{used.id}/supprimer")
    assert (answer.status_code, "désactivez-la" in answer.text) == (409, True)
    assert db.session.query(PreferenceSchema).count() == 1


def test_a_cut_off_is_deleted_unless_living_subscriptions_count_on_it(admin_client: FlaskClient) -> None:
    company = factories.default_company()
    address = f"/preferences/heures-limites/{company.id}/supprimer"
    assert admin_client.post(address).status_code == 404
    db.session.add(CutOff(company_id=company.id, weekday=3))
    db.session.commit()
    assert admin_client.post(address).status_code == 303
    assert db.session.query(CutOff).count() == 0
    db.session.add(CutOff(company_id=company.id, weekday=3))
    _sold()
    answer = admin_client.post(address)
    assert (answer.status_code, "dépendent de cette heure limite" in answer.text) == (409, True)


def test_only_admins_of_the_organisation_delete_preferences(
    client: FlaskClient, manager_client: FlaskClient, outsider_client: FlaskClient
) -> None:
    schema = factories.PreferenceSchemaFactory()
    db.session.commit()
    company = factories.default_company().id
    for path in (f"{schema.id}/supprimer", f"heures-limites/{company}/supprimer"):
        assert client.post(f"/preferences/{path}").status_code == 403
        assert manager_client.post(f"/preferences/{path}").status_code == 403
        assert outsider_client.post(f"/preferences/{path}").status_code == 404
    assert client.post(f"/abonnements/{uuid4()}/supprimer").status_code == 404
