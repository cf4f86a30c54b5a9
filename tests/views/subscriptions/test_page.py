"""A subscription's page: what it shows, and that a person may do there only what its state allows."""

import re
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
from webapp.models.charges import AttemptStatus, Attention, ChargeAttempt, ChargeStatus
from webapp.models.contracts import PaymentMethod
from webapp.models.preferences import PreferenceValue, ValueType
from webapp.models.providers import Provider
from webapp.models.subscriptions import Subscription, SubscriptionHistory, SubscriptionLine, SubscriptionStatus
from webapp.services.subscriptions import scheduling

NOON = datetime(2026, 11, 20, 11, tzinfo=UTC)  # twelve o'clock in Paris
PENDING, ACTIVE, PAUSED = SubscriptionStatus.PENDING, SubscriptionStatus.ACTIVE, SubscriptionStatus.PAUSED
PAST_DUE, CANCELED, EXPIRED = SubscriptionStatus.PAST_DUE, SubscriptionStatus.CANCELED, SubscriptionStatus.EXPIRED
pytestmark = pytest.mark.usefixtures("cast")


@pytest.fixture(autouse=True)
def _at_noon(app_context: object) -> None:
    clock.start_at(NOON)


def make(status: SubscriptionStatus = ACTIVE, **values: Any) -> Subscription:
    """Monthly on the last day of the month since January; eleven cycles are behind it."""
    values = {"client_id": factories.ClientFactory().id, "cycle_no": 10} | values
    subscription: Subscription = factories.SubscriptionFactory(
        status=status, recurring_amount=Decimal("20.00"), **values
    )
    factories.SubscriptionLineFactory(subscription_id=subscription.id)
    scheduling.schedule(subscription, subscription.cycle_no)
    db.session.commit()
    return subscription


def reload(subscription: Subscription) -> Subscription:
    statement = select(Subscription).where(Subscription.id == subscription.id)
    return db.session.scalars(statement.execution_options(populate_existing=True)).one()


def offered(page: str) -> list[str]:
    return re.findall(r'data-testid="subscription-action"\s+data-action="([^"]+)"', page)


# --- the page ---


def test_the_page_shows_lines_charges_attempts_and_what_is_to_come(manager_client: FlaskClient) -> None:
    subscription = make()
    account = factories.ProviderAccountFactory()
    charge = factories.ChargeFactory(
        subscription_id=subscription.id,
        client_id=subscription.client_id,
        status=ChargeStatus.FAILED,
        attention=Attention.REFUSED,
        attention_at=NOON,
        attempts_count=1,
    )
    db.session.add(
        ChargeAttempt(
            charge_id=charge.id,
            number=1,
            provider_account_id=account.id,
            provider=Provider.SANDBOX,
            amount=Decimal("24.00"),
            status=AttemptStatus.REFUSED,
            provider_message="card_declined: lost",
        )
    )
    db.session.commit()
    page = manager_client.get(f"/abonnements/{subscription.id}").text
    assert 'data-testid="charge-row"' in page
    assert f'href="/prelevements/{charge.id}"' in page
    assert "card_declined: lost" in page
    assert "24,00\xa0€ TTC" in page
    dates = re.findall(r'data-testid="forecast-row" data-cycle="(\d+)" data-date="([^"]+)"', page)
    assert dates[:4] == [("10", "2026-11-30"), ("11", "2026-12-31"), ("12", "2027-01-31"), ("13", "2027-02-28")]


def test_a_commercial_sees_charges_without_a_way_to_the_pages_of_managers(client: FlaskClient) -> None:
    subscription = make()
    factories.ChargeFactory(subscription_id=subscription.id, client_id=subscription.client_id)
    page = client.get(f"/abonnements/{subscription.id}").text
    assert 'data-testid="charge-row"' in page
    assert "/prelevements" not in page


def test_without_means_of_payment_the_page_says_so(client: FlaskClient) -> None:
    assert "Aucun mode de paiement n’est choisi" in client.get(f"/abonnements/{make().id}").text
    paid = make(payment_method=PaymentMethod.TRANSFER)
    assert "payment-obstacle" not in client.get(f"/abonnements/{paid.id}").text


@pytest.mark.parametrize("path", ["", "/lignes", "/paiement", "/preferences"])
def test_an_outsider_finds_nothing(outsider_client: FlaskClient, path: str) -> None:
    assert outsider_client.get(f"/abonnements/{make().id}{path}").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "activer",
        "suspendre",
        "reprendre",
        "resilier",
        "lignes",
        "paiement",
        "fin",
        "livraison",
        "livraison/supprimer",
        "sauter",
        "retablir",
    ],
)
def test_an_outsider_changes_nothing(outsider_client: FlaskClient, path: str) -> None:
    subscription = make()
    answer = outsider_client.post(f"/abonnements/{subscription.id}/{path}", data={"motif": "pour voir"})
    assert answer.status_code == 404
    assert db.session.query(SubscriptionHistory).count() == 0


def test_the_next_cycle_is_skipped_and_charged_after_all(client: FlaskClient) -> None:
    subscription = make()
    address = f"/abonnements/{subscription.id}"
    assert "sauter" in offered(client.get(address).text)
    assert client.post(f"{address}/sauter", data={"echeance": "10"}).status_code == 303
    page = client.get(address).text
    assert 'data-testid="skipped-cycle"' in page
    assert '<span class="fact-secondary">sautée</span>' in page
    assert "Échéance sautée" in page
    assert ("sauter" in offered(page), "retablir" in offered(page)) == (False, True)
    assert client.post(f"{address}/retablir", data={"echeance": "10"}).status_code == 303
    assert 'data-testid="skipped-cycle"' not in client.get(address).text


def test_a_skipped_cycle_that_is_due_is_not_offered_back(client: FlaskClient) -> None:
    subscription = make(skips_cycle=10, anchor_date=date(2026, 1, 20))
    page = client.get(f"/abonnements/{subscription.id}").text
    assert 'data-testid="skipped-cycle"' in page
    assert offered(page) == ["suspendre", "resilier"]
    answer = client.post(f"/abonnements/{subscription.id}/retablir", data={"echeance": "10"})
    assert (answer.status_code, "Cette échéance est arrivée" in answer.text) == (409, True)


@pytest.mark.parametrize("cycle", ["", "9", "11", "dix", "9" * 30])
def test_another_cycle_is_not_skipped(client: FlaskClient, cycle: str) -> None:
    subscription = make()
    answer = client.post(f"/abonnements/{subscription.id}/sauter", data={"echeance": cycle})
    assert (answer.status_code, "n’est plus à venir" in answer.text) == (409, True)
    assert reload(subscription).skips_cycle is None


def test_an_unknown_subscription_or_action_is_not_found(client: FlaskClient) -> None:
    assert client.get(f"/abonnements/{uuid4()}").status_code == 404
    assert client.get("/abonnements/abc").status_code == 404
    assert client.post(f"/abonnements/{make().id}/exploser").status_code in (404, 405)


def test_the_number_of_queries_does_not_grow_with_what_happened(client: FlaskClient) -> None:
    subscription = make()

    def queries() -> int:
        with recorded_queries() as statements:
            client.get(f"/abonnements/{subscription.id}")
        return len(statements)

    factories.ChargeFactory(subscription_id=subscription.id, client_id=subscription.client_id)
    factories.PreferenceSchemaFactory()
    db.session.commit()
    few = queries()
    for cycle in range(1, 6):
        factories.ChargeFactory(subscription_id=subscription.id, client_id=subscription.client_id, cycle_no=cycle)
        factories.PreferenceSchemaFactory()
    db.session.commit()
    assert queries() == few


# --- actions ---


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (PENDING, ["activer", "resilier"]),
        (ACTIVE, ["suspendre", "sauter", "resilier"]),
        (PAUSED, ["reprendre", "resilier"]),
        (PAST_DUE, ["resilier"]),
        (CANCELED, []),
        (EXPIRED, []),
    ],
)
def test_only_what_the_state_allows_is_offered(
    client: FlaskClient, status: SubscriptionStatus, expected: list[str]
) -> None:
    assert offered(client.get(f"/abonnements/{make(status).id}").text) == expected


@pytest.mark.parametrize("status", [CANCELED, EXPIRED])
def test_what_has_ended_can_be_changed_no_more(client: FlaskClient, status: SubscriptionStatus) -> None:
    subscription = make(status)
    page = client.get(f"/abonnements/{subscription.id}").text
    assert f"/abonnements/{subscription.id}/lignes" not in page
    lines = {"libelle": "x", "prix": "1", "quantite": "1", "tva": "20", "remise": "", "produit": ""}
    answer = client.post(f"/abonnements/{subscription.id}/lignes", data=lines | {"version": "1"})
    assert answer.status_code == 409


def test_activating_begins_it(cast: Cast, client: FlaskClient) -> None:
    subscription = make(PENDING)
    answer = client.post(f"/abonnements/{subscription.id}/activer", follow_redirects=True)
    assert "Abonnement activé." in answer.text
    assert reload(subscription).status is ACTIVE
    history = db.session.query(SubscriptionHistory).one()
    assert (history.user_id, history.old_status) == (cast.commercial.id, PENDING)


def test_pausing_asks_for_a_reason_and_takes_a_day_of_resume(client: FlaskClient) -> None:
    subscription = make()
    form = client.get(f"/abonnements/{subscription.id}?action=suspendre").text
    assert 'name="motif"' in form
    answer = client.post(
        f"/abonnements/{subscription.id}/suspendre", data={"motif": "Vacances", "reprise": "2026-12-15"}
    )
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/abonnements/{subscription.id}")
    assert (reload(subscription).status, reload(subscription).resume_on) == (PAUSED, date(2026, 12, 15))


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ({"motif": "  "}, "Indiquez un motif"),
        ({"motif": "Vacances", "reprise": "2026-11-20"}, "doit être prévue après aujourd’hui"),
        ({"motif": "Vacances", "reprise": "demain"}, "Indiquez une date valable"),
        ({"motif": "x" * 501}, "C’est trop long"),
    ],
)
def test_a_refused_pause_stands_at_its_field_and_changes_nothing(
    client: FlaskClient, written: dict[str, str], sentence: str
) -> None:
    subscription = make()
    answer = client.post(f"/abonnements/{subscription.id}/suspendre", data=written)
    assert answer.status_code == 422
    assert sentence in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert written["motif"] in answer.text
    assert reload(subscription).status is ACTIVE


def test_canceling_now_or_at_the_end_of_the_period_and_taking_that_back(client: FlaskClient) -> None:
    subscription = make()
    client.post(f"/abonnements/{subscription.id}/resilier", data={"motif": "Déménagement", "quand": "echeance"})
    assert reload(subscription).cancels_on == date(2026, 11, 30)
    assert "maintenir" in offered(client.get(f"/abonnements/{subscription.id}").text)
    client.post(f"/abonnements/{subscription.id}/maintenir")
    assert reload(subscription).cancels_on is None
    client.post(f"/abonnements/{subscription.id}/resilier", data={"motif": "Déménagement", "quand": "maintenant"})
    assert reload(subscription).status is CANCELED


def test_an_action_that_the_state_has_left_behind_is_refused_in_a_sentence(client: FlaskClient) -> None:
    subscription = make(CANCELED)
    answer = client.post(f"/abonnements/{subscription.id}/reprendre")
    assert answer.status_code == 409
    assert "Un abonnement résilié ne peut pas être repris" in answer.text


# --- lines, payment, end, preferences ---


def line(**values: str) -> dict[str, str]:
    usual = {"libelle": "Coffret", "quantite": "2", "prix": "12,50", "tva": "5.5", "remise": "", "produit": ""}
    return usual | {"expedie": ""} | values


CONFIRMED = {"version": "1", "confirmer": "1"}


def test_lines_are_replaced_at_once_while_nothing_was_charged(client: FlaskClient) -> None:
    subscription = make()
    assert 'value="20"' in client.get(f"/abonnements/{subscription.id}/lignes").text
    answer = client.post(f"/abonnements/{subscription.id}/lignes", data=line() | CONFIRMED)
    assert answer.status_code == 303
    assert reload(subscription).recurring_amount == Decimal("25.00")
    (kept,) = db.session.scalars(select(SubscriptionLine)).all()
    assert (kept.label, kept.unit_price, kept.vat_rate) == ("Coffret", Decimal("12.5000"), Decimal("5.50"))


def test_whether_a_line_is_shipped_is_shown_and_changed(client: FlaskClient) -> None:
    subscription = make()
    address = f"/abonnements/{subscription.id}/lignes"
    shipped = r'name="expedie".*?<option value="oui"( selected)?>Oui</option>'
    assert re.search(shipped, client.get(address).text, re.DOTALL)[1]  # type: ignore[index]
    preview = client.post(address, data=line(expedie="non") | {"version": "1"}).text
    assert '<input type="hidden" name="expedie" value="non">' in preview
    client.post(address, data=line(expedie="non") | CONFIRMED)
    (kept,) = db.session.scalars(select(SubscriptionLine)).all()
    assert not kept.is_shipped
    page = client.get(f"/abonnements/{subscription.id}").text
    assert '<td class="wide-only">Non</td>' in page
    assert not re.search(shipped, client.get(address).text, re.DOTALL)[1]  # type: ignore[index]


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        (line(prix=""), "Indiquez le prix"),
        (line(prix="douze"), "Ce n’est pas un nombre"),
        (line(prix="-1"), "ne peut pas être négatif"),
        (line(quantite="0"), "supérieure à zéro"),
        (line(tva="19.6"), "Ce taux de TVA n’existe pas"),
        (line(remise="26"), "La remise dépasse"),
        (line(produit=str(uuid4())), "Ce produit n’existe pas"),
        (line(libelle="", prix="", produit=""), "au moins une ligne"),
        (line(prix="9" * 400), "Ce n’est pas un nombre"),
    ],
)
def test_a_line_that_makes_no_sense_is_refused_and_nothing_is_written(
    client: FlaskClient, written: dict[str, str], sentence: str
) -> None:
    subscription = make()
    answer = client.post(f"/abonnements/{subscription.id}/lignes", data=written | {"version": "1"})
    assert answer.status_code == 422
    assert sentence in answer.text
    assert reload(subscription).recurring_amount == Decimal("20.00")
    assert db.session.query(SubscriptionLine).one().label == "Coffret découverte"


def test_a_line_can_be_added_to_the_form_and_taken_away_without_loss(client: FlaskClient) -> None:
    subscription = make()
    address = f"/abonnements/{subscription.id}/lignes"
    more = client.post(address, data=line(libelle="Premier") | {"version": "1", "ligne": "ajouter"}).text
    assert more.count('data-testid="line-fields"') == 2
    assert "Premier" in more
    two = {name: [value, value] for name, value in line().items()} | {"libelle": ["Un", "Deux"]}
    fewer = client.post(address, data=two | {"version": "1", "ligne": "retirer-0"}).text
    assert fewer.count('data-testid="line-fields"') == 1
    assert 'value="Deux"' in fewer
    assert reload(subscription).version == 1


def test_what_somebody_else_changed_meanwhile_is_not_overwritten(client: FlaskClient) -> None:
    subscription = make()
    address = f"/abonnements/{subscription.id}/lignes"
    client.post(address, data=line() | CONFIRMED)
    answer = client.post(address, data=line(prix="99") | CONFIRMED)
    assert answer.status_code == 409
    assert "modifié entre-temps" in answer.text
    assert reload(subscription).recurring_amount == Decimal("25.00")
    assert "callout-error" not in answer.text
    meanwhile = answer.text[answer.text.index('data-testid="meanwhile"') :]
    assert meanwhile.count('data-testid="history-row"') == 1
    assert [text in meanwhile for text in ("Camille", "25,00", "Lignes enregistrées", 'value="99"')] == [True] * 4
    version = re.search(r'name="version" value="(\d+)"', answer.text)
    again = line(prix="99") | CONFIRMED | {"version": version[1] if version else ""}
    assert client.post(address, data=again).status_code == 303
    assert reload(subscription).recurring_amount == Decimal("198.00")


def test_whoever_gives_a_means_of_payment_is_told_of_the_charge_that_waits_for_it(client: FlaskClient) -> None:
    subscription = make()
    charge = factories.ChargeFactory(subscription_id=subscription.id, client_id=subscription.client_id, cycle_no=3)
    charge.status, charge.attention, charge.attention_at = ChargeStatus.SCHEDULED, Attention.NO_PAYMENT_METHOD, NOON
    account = factories.ProviderAccountFactory()
    saved = factories.SavedPaymentMethodFactory(client_id=subscription.client_id, provider_account_id=account.id)
    db.session.commit()
    address = f"/abonnements/{subscription.id}/paiement"
    by_transfer = client.post(address, data={"paiement": "transfer", "version": "1"}, follow_redirects=True).text
    assert "Mode de paiement enregistré." in by_transfer
    assert "réessayé" not in by_transfer
    by_card = client.post(address, data={"paiement": f"card:moyen:{saved.id}", "version": "2"}, follow_redirects=True)
    assert "Un prélèvement l’attendait\u202f: il peut être réessayé." in by_card.text


def test_another_way_of_paying_is_not_overwritten_either(client: FlaskClient) -> None:
    subscription = make()
    address = f"/abonnements/{subscription.id}/paiement"
    client.post(address, data={"paiement": "transfer", "version": "1"})
    answer = client.post(address, data={"paiement": "cheque", "version": "1"})
    assert answer.status_code == 409
    assert "Virement" in answer.text[answer.text.index('data-testid="meanwhile"') :]
    assert reload(subscription).payment_method is PaymentMethod.TRANSFER


def test_it_can_be_paid_by_a_card_that_the_provider_keeps(client: FlaskClient) -> None:
    subscription = make()
    account = factories.ProviderAccountFactory()
    saved = factories.SavedPaymentMethodFactory(client_id=subscription.client_id, provider_account_id=account.id)
    db.session.commit()
    word = f"card:moyen:{saved.id}"
    assert word in client.get(f"/abonnements/{subscription.id}/paiement").text
    client.post(f"/abonnements/{subscription.id}/paiement", data={"paiement": word, "version": "1"})
    assert reload(subscription).saved_method_id == saved.id
    assert "payment-obstacle" not in client.get(f"/abonnements/{subscription.id}").text


@pytest.mark.parametrize(
    "word",
    [
        "troc",
        "card:moyen:",
        "card:moyen:c0b7e9a4-41ab-431b-a835-b2d5d425d95f",
        "sepa:mandat:c0b7e9a4-41ab-431b-a835-b2d5d425d95f",
    ],
)
def test_a_means_of_payment_that_is_not_the_clients_is_never_kept(client: FlaskClient, word: str) -> None:
    subscription = make()
    answer = client.post(f"/abonnements/{subscription.id}/paiement", data={"paiement": word, "version": "1"})
    assert answer.status_code in (303, 422)
    assert reload(subscription).saved_method_id is None
    assert reload(subscription).mandate_id is None


def test_its_last_day_can_be_set_and_taken_away(client: FlaskClient) -> None:
    subscription = make()
    address = f"/abonnements/{subscription.id}/fin"
    client.post(address, data={"fin": "2027-06-30", "version": "1"})
    assert reload(subscription).ends_on == date(2027, 6, 30)
    refused = client.post(address, data={"fin": "2026-01-01", "version": "2"})
    assert refused.status_code == 422
    assert "dans le passé" in refused.text
    client.post(address, data={"fin": "", "version": "2"})
    assert reload(subscription).ends_on is None


def test_preferences_are_set_from_the_cycle_that_the_cut_off_says(client: FlaskClient) -> None:
    subscription = make()
    factories.PreferenceSchemaFactory(
        code="grain", label="Mouture", value_type=ValueType.ENUM, allowed_values=["Fine", "Grosse"], default="Fine"
    )
    db.session.commit()
    page = client.get(f"/abonnements/{subscription.id}/preferences").text
    assert 'data-testid="effective-cycle" data-cycle="10"' in page
    client.post(f"/abonnements/{subscription.id}/preferences", data={"preference-grain": "Grosse"})
    value = db.session.query(PreferenceValue).one()
    assert (value.value, value.effective_from_cycle) == ("Grosse", 10)
    shown = client.get(f"/abonnements/{subscription.id}").text
    assert re.search(r'data-code="grain">.*?Fine.*?par défaut.*?Grosse', shown, re.DOTALL)
    assert 'data-testid="preference-change"' in shown


def test_preferences_that_somebody_else_changed_are_not_overwritten_unseen(client: FlaskClient) -> None:
    subscription = make()
    for code in ("grain", "ruban"):
        factories.PreferenceSchemaFactory(code=code, label=code.capitalize(), value_type=ValueType.STRING)
    db.session.commit()
    address = f"/abonnements/{subscription.id}/preferences"
    seen = re.findall(r'name="vu" value="([^"]*)"', client.get(address).text)
    assert client.post(address, data={"preference-grain": "Fine", "vu": seen}).status_code == 303
    late = {"preference-grain": "Grosse", "preference-ruban": "Vert"}
    refused = client.post(address, data={**late, "vu": seen})
    assert refused.status_code == 409
    assert "Ces préférences ont été modifiées entre-temps" in refused.text
    assert 'data-testid="meanwhile"' in refused.text
    assert "callout-error" not in refused.text
    assert refused.text.count("Enregistré entre-temps\u202f: Fine") == 1
    assert 'value="Grosse"' in refused.text
    assert [each.value for each in db.session.query(PreferenceValue)] == ["Fine"]
    seen = re.findall(r'name="vu" value="([^"]*)"', refused.text)
    assert client.post(address, data={**late, "vu": seen}).status_code == 303


def test_a_preference_outside_its_choices_is_refused_at_its_field(client: FlaskClient) -> None:
    subscription = make()
    factories.PreferenceSchemaFactory(code="nombre", label="Nombre", value_type=ValueType.NUMBER)
    db.session.commit()
    answer = client.post(f"/abonnements/{subscription.id}/preferences", data={"preference-nombre": "beaucoup"})
    assert answer.status_code == 422
    assert "Indiquez un nombre" in answer.text
    assert 'value="beaucoup"' in answer.text
    assert client.post(f"/abonnements/{subscription.id}/preferences", data={"preference-x": "1"}).status_code == 422
    assert db.session.query(PreferenceValue).count() == 0


# --- on the client's page and the contract's ---


def test_the_clients_page_shows_subscriptions_charges_and_what_is_owed(client: FlaskClient) -> None:
    subscription = make()
    factories.ChargeFactory(subscription_id=subscription.id, client_id=subscription.client_id)
    db.session.commit()
    overview = client.get(f"/clients/{subscription.client_id}").text
    assert f'href="/abonnements/{subscription.id}"' in overview
    assert f'href="/abonnements/nouveau?client={subscription.client_id}"' in overview
    payments = client.get(f"/clients/{subscription.client_id}?onglet=paiements").text
    assert 'data-testid="charge-row"' in payments


def test_a_contracts_page_leads_to_a_new_subscription(client: FlaskClient) -> None:
    contract = factories.ContractFactory(client_id=factories.ClientFactory().id)
    db.session.commit()
    assert f'href="/abonnements/nouveau?contrat={contract.id}"' in client.get(f"/contrats/{contract.id}").text
