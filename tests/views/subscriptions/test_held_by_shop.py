"""What a shop holds, on our pages: shown as it stands there, without a button that could not do what it says."""

import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from flask.testing import FlaskClient

from tests import factories
from tests.queries import recorded_queries
from tests.woocommerce_rows import make_shop
from webapp import clock
from webapp.extensions import db
from webapp.models.charges import Attention, Charge, ChargeStatus
from webapp.models.payments import Payment, PaymentKind
from webapp.models.providers import Provider
from webapp.models.subscriptions import Frequency, Subscription, SubscriptionStatus
from webapp.services.subscriptions import scheduling
from webapp.services.subscriptions.lifecycle import HELD_BY_SHOP

NOON = datetime(2026, 11, 20, 11, tzinfo=UTC)
ALL = list(SubscriptionStatus)
pytestmark = pytest.mark.usefixtures("cast")


@pytest.fixture(autouse=True)
def _at_noon(app_context: object) -> None:
    clock.start_at(NOON)


@pytest.fixture
def held() -> Subscription:
    """Every three weeks, by a shop; expected on the day after tomorrow."""
    subscription: Subscription = factories.ShopSubscriptionFactory(
        client_id=factories.ClientFactory(last_name="MARTIN", first_name="Zoé").id,
        recurring_amount=Decimal("20.00"),
        cycle_no=1,
        expected_at=datetime(2026, 11, 22, 9, tzinfo=UTC),
    )
    factories.SubscriptionLineFactory(subscription_id=subscription.id)
    db.session.commit()
    return subscription


def charge_of(subscription: Subscription, **values: object) -> Charge:
    charge: Charge = factories.ShopChargeFactory(
        subscription_id=subscription.id, client_id=subscription.client_id, **values
    )
    db.session.commit()
    return charge


def ours(**values: object) -> Subscription:
    subscription: Subscription = factories.SubscriptionFactory(
        client_id=factories.ClientFactory().id, recurring_amount=Decimal("20.00"), **values
    )
    scheduling.schedule(subscription, 10)
    db.session.commit()
    return subscription


def charges_shown(page: str) -> list[str]:
    return re.findall(r'data-charge-id="([^"]+)"', page)


# --- the subscription ---


def test_the_page_says_who_collects_and_when(manager_client: FlaskClient, held: Subscription) -> None:
    charge_of(held)
    page = manager_client.get(f"/abonnements/{held.id}").text
    assert "Toutes les 3 semaines" in page
    assert "attendue par la boutique le 22/11/2026" in page
    assert "Encaissé par la boutique" in page
    assert "tenu par la boutique" in page
    assert re.findall(r'data-testid="forecast-row" data-cycle="1" data-date="2026-11-22"', page)


@pytest.mark.parametrize("status", ALL)
def test_no_button_is_there_that_would_be_refused(
    manager_client: FlaskClient, held: Subscription, status: SubscriptionStatus
) -> None:
    held.status = status
    db.session.commit()
    page = manager_client.get(f"/abonnements/{held.id}")
    assert page.status_code == 200
    assert 'data-testid="subscription-action"' not in page.text
    assert 'data-testid="ask-for-means"' not in page.text
    for word in ("lignes", "paiement", "rythme", "offre"):
        assert f"/abonnements/{held.id}/{word}" not in page.text
    assert ("Supprimer" in page.text, "payment-obstacle" in page.text) == (False, False)
    assert (f"/abonnements/{held.id}/livraison" in page.text) is not status.is_final


def test_the_page_costs_no_more_queries_than_one_of_ours(manager_client: FlaskClient, held: Subscription) -> None:
    mine = ours()
    for subscription in (held, mine):
        manager_client.get(f"/abonnements/{subscription.id}")
    with recorded_queries() as of_shop:
        manager_client.get(f"/abonnements/{held.id}")
    with recorded_queries() as of_ours:
        manager_client.get(f"/abonnements/{mine.id}")
    assert len(of_shop) <= len(of_ours)


def test_an_outsider_finds_nothing(outsider_client: FlaskClient, held: Subscription) -> None:
    assert outsider_client.get(f"/abonnements/{held.id}").status_code == 404


@pytest.mark.parametrize("word", ["lignes", "paiement", "rythme", "offre"])
def test_a_form_that_is_opened_by_its_address_says_where_to_go(
    manager_client: FlaskClient, held: Subscription, word: str
) -> None:
    answer = manager_client.get(f"/abonnements/{held.id}/{word}")
    assert answer.status_code == 409
    assert HELD_BY_SHOP in answer.text


@pytest.mark.parametrize(
    "address",
    [
        "activer",
        "suspendre",
        "reprendre",
        "resilier",
        "maintenir",
        "sauter",
        "retablir",
        "lignes",
        "changement-prevu/retirer",
        "paiement",
        "fin",
        "rythme",
    ],
)
@pytest.mark.parametrize("status", [SubscriptionStatus.PENDING, SubscriptionStatus.ACTIVE, SubscriptionStatus.PAUSED])
def test_what_is_sent_all_the_same_is_refused_with_the_sentence(
    manager_client: FlaskClient, held: Subscription, address: str, status: SubscriptionStatus
) -> None:
    held.status = status
    db.session.commit()
    form = {"motif": "Départ", "version": str(held.version), "echeance": str(held.cycle_no), "libelle": "Autre"}
    answer = manager_client.post(f"/abonnements/{held.id}/{address}", data=form)
    assert answer.status_code == 409
    assert HELD_BY_SHOP in answer.text
    db.session.refresh(held)
    assert (held.status, held.version) == (status, 1)


def test_lists_say_when_and_count_beside_the_revenue(client: FlaskClient, held: Subscription) -> None:
    ours()
    page = client.get("/abonnements").text
    shown = '22/11/2026<span class="fact-secondary d-block">par la boutique</span>'
    assert shown in page
    assert "Toutes les 3 semaines" in page
    assert "20,00\xa0€ HT par mois" in page
    assert re.findall(r'data-testid="result-beside">1 hors MRR', page)
    assert shown in client.get(f"/clients/{held.client_id}").text
    only = client.get(f"/abonnements?frequence={Frequency.OTHER}").text
    assert re.findall(r'data-subscription-id="([^"]+)"', only) == [str(held.id)]


@pytest.mark.parametrize("tab", ["abonnements", "direction"])
def test_figures_count_another_rhythm_beside_the_revenue(
    admin_client: FlaskClient, held: Subscription, tab: str
) -> None:
    ours()
    page = admin_client.get(f"/statistiques?onglet={tab}").text
    assert re.findall(r'data-testid="mrr"[^>]*>([^<]*)<', page) == ["20,00\xa0€"]
    assert "2 abonnements, à ce jour, dont 1 hors MRR (autre rythme)" in " ".join(page.replace("\xa0", " ").split())


@pytest.mark.parametrize("address", ["/abonnements/nouveau", "rythme"])
def test_our_forms_do_not_offer_another_rhythm(client: FlaskClient, address: str) -> None:
    mine = ours()
    address = address if address.startswith("/") else f"/abonnements/{mine.id}/{address}"
    page = client.get(f"{address}?client={mine.client_id}")
    assert page.status_code == 200
    assert 'value="other"' not in page.text
    answer = client.post(f"/abonnements/{mine.id}/rythme", data={"frequence": "other", "version": str(mine.version)})
    assert (answer.status_code, "Cette fréquence n’existe pas." in answer.text) == (422, True)


# --- charges ---


def test_charges_are_filtered_by_who_collects_them(manager_client: FlaskClient, held: Subscription) -> None:
    theirs = charge_of(held)
    mine = ours()
    own = factories.ChargeFactory(subscription_id=mine.id, client_id=mine.client_id)
    db.session.commit()
    found = {
        word: set(charges_shown(manager_client.get(f"/prelevements?encaissement={word}").text))
        for word in ("", "crm", "shop", "n’importe")
    }
    both = {str(theirs.id), str(own.id)}
    assert found == {"": both, "crm": {str(own.id)}, "shop": {str(theirs.id)}, "n’importe": both}
    page = manager_client.get("/prelevements?encaissement=shop").text
    assert re.findall(r'<option value="shop"\s+selected', page)
    assert "encaissement=shop" in re.findall(r'id="etat-succeeded"[^>]*href="([^"]*)"', page)[0]
    assert "Par la boutique" in page


@pytest.mark.parametrize("status", [ChargeStatus.SCHEDULED, ChargeStatus.FAILED, ChargeStatus.SUCCEEDED])
def test_a_charge_of_a_shop_has_no_button(
    manager_client: FlaskClient, held: Subscription, status: ChargeStatus
) -> None:
    charge = charge_of(held, status=status)
    page = manager_client.get(f"/prelevements/{charge.id}").text
    assert "Par la boutique" in page
    assert ('data-testid="charge-action"' in page, 'data-testid="ask-for-means"' in page) == (False, False)
    for word in ("reessayer", "paye", "abandonner", "rembourser", "avoir", "classer"):
        form = {"motif": "x", "mode": "transfer", "date": "2026-11-01", "moyen": "transfer", "montant": "1"}
        answer = manager_client.post(f"/prelevements/{charge.id}/{word}", data=form | {"reference": "V1"})
        assert (word, answer.status_code, HELD_BY_SHOP in answer.text) == (word, 409, True)


def test_a_charge_of_a_shop_shows_what_the_shop_says_of_its_money(
    manager_client: FlaskClient, held: Subscription
) -> None:
    charge, shop_id = charge_of(held), make_shop().id
    address = f"/prelevements/{charge.id}"
    assert "La boutique n’a encore rien encaissé." in manager_client.get(address).text
    paid, given_back = (PaymentKind.CAPTURE, Decimal(24), "77-0"), (PaymentKind.REFUND, Decimal(-10), "77-r35-1")
    for kind, amount, external_id in (paid, given_back):
        db.session.add(
            Payment(
                company_id=charge.company_id,
                client_id=charge.client_id,
                charge_id=charge.id,
                shop_id=shop_id,
                kind=kind,
                amount=amount,
                provider=Provider.WOOCOMMERCE,
                external_id=external_id,
            )
        )
    db.session.commit()
    page = manager_client.get(address).text
    assert re.findall(r'data-testid="movement-row" data-kind="([^"]*)"', page) == ["capture", "refund"]
    assert [
        page.count(f">{label}<") for label in ("Commande n°\u00a077", "Commande n°\u00a077, remboursement n°\u00a035")
    ] == [1, 1]


def test_what_was_paid_and_then_canceled_is_for_a_person(manager_client: FlaskClient, held: Subscription) -> None:
    charge = charge_of(held, attention=Attention.PAID_THEN_CANCELED, attention_at=NOON)
    page = manager_client.get("/prelevements/a-traiter").text
    assert "Annulée après paiement, sans remboursement" in page
    assert re.findall(r'data-action="([^"]+)"', page) == ["classer"]
    manager_client.post(f"/prelevements/{charge.id}/classer", data={"motif": "Vu"})
    db.session.refresh(charge)
    assert charge.attention is None


@pytest.mark.parametrize("address", ["/clients/{}?onglet=paiements", "/factures?client={}"])
def test_what_the_shop_collected_is_not_for_us_to_give_back(
    manager_client: FlaskClient, held: Subscription, address: str
) -> None:
    charge = charge_of(held)
    paid = Payment(
        company_id=charge.company_id,
        client_id=charge.client_id,
        charge_id=charge.id,
        shop_id=make_shop().id,
        kind=PaymentKind.CAPTURE,
        amount=Decimal(24),
        provider=Provider.WOOCOMMERCE,
        external_id="44-0",
    )
    db.session.add(paid)
    db.session.commit()
    page = manager_client.get(address.format(held.client_id)).text.replace("\xa0", " ")
    assert "0,00 € reçus" in page
    assert "24,00 € encaissés par la boutique" in page
    assert "à rendre" not in page
