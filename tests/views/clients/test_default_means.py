"""The default means of a client by its pages: chosen, shown with what follows, confirmed."""

from flask.testing import FlaskClient

from tests import factories
from tests.services.subscriptions.test_defaults import account, card, mandate, owner, subscribe
from webapp import clock
from webapp.extensions import db
from webapp.models.charges import Attention, ChargeStatus
from webapp.models.clients import Client
from webapp.models.providers import ProviderAccount
from webapp.services.subscriptions.means import PaymentFields

__all__ = ["account", "card", "mandate", "owner"]


def page_of(owner: Client, account: ProviderAccount) -> str:
    return f"/clients/{owner.id}/moyen-par-defaut/{account.company_id}"


def test_what_follows_is_shown_before_it_is_confirmed(
    client: FlaskClient, manager_client: FlaskClient, owner: Client, account: ProviderAccount, card: PaymentFields
) -> None:
    subscription = subscribe(owner)
    charge = factories.ChargeFactory(
        subscription_id=subscription.id,
        client_id=owner.id,
        status=ChargeStatus.SCHEDULED,
        attention=Attention.NO_PAYMENT_METHOD,
        attention_at=clock.now(),
    )
    db.session.commit()
    address, word = page_of(owner, account), f"card:moyen:{card.saved_method_id}"
    assert address in client.get(f"/clients/{owner.id}?onglet=paiements").text
    assert "Confirmer" not in client.get(address).text
    shown = client.get(address, query_string={"moyen": word}).text
    assert subscription.code in shown
    assert "1 prélèvement" in shown
    assert 'name="reprise"' not in shown
    assert 'name="reprise"' in manager_client.get(address, query_string={"moyen": word}).text
    assert subscription.saved_method_id is None
    answer = manager_client.post(address, data={"moyen": word, "reprise": "1"})
    assert (answer.status_code, answer.location) == (303, f"/clients/{owner.id}?onglet=paiements")
    db.session.expire_all()
    assert (subscription.saved_method_id, charge.next_attempt_at is not None) == (card.saved_method_id, True)
    page = manager_client.get(answer.location).text
    assert "1 abonnement le suit" in page
    assert "1 prélèvement repris" in page
    assert "Visa •••• 4242" in page


def test_what_makes_no_sense_is_refused_at_the_choice(
    client: FlaskClient, owner: Client, account: ProviderAccount, card: PaymentFields
) -> None:
    stranger: Client = factories.ClientFactory()
    db.session.commit()
    word = f"card:moyen:{card.saved_method_id}"
    for answer in (
        client.get(page_of(stranger, account), query_string={"moyen": word}),
        client.post(page_of(stranger, account), data={"moyen": word}),
        client.post(page_of(owner, account), data={"moyen": "x"}),
        client.post(page_of(owner, account), data={"moyen": "transfer"}),
    ):
        assert (answer.status_code, 'id="moyen-error"' in answer.text) == (422, True)


def test_the_wizard_offers_the_default_first_and_the_subscription_says_that_it_follows(
    client: FlaskClient, owner: Client, account: ProviderAccount, card: PaymentFields
) -> None:
    client.post(page_of(owner, account), data={"moyen": f"card:moyen:{card.saved_method_id}"})
    line = {"client": owner.id, "etape": "3", "debut": clock.today().isoformat(), "libelle": "x", "prix": "1"}
    line |= {"quantite": 1, "tva": 20, "remise": "", "produit": ""}
    assert 'value="defaut" selected' in client.get("/abonnements/nouveau", query_string=line).text
    subscription = subscribe(owner)
    assert "par défaut pour ce client" in client.get(f"/abonnements/{subscription.id}").text
    assert 'value="defaut" selected' in client.get(f"/abonnements/{subscription.id}/paiement").text


def test_an_outsider_finds_nothing(
    outsider_client: FlaskClient, owner: Client, account: ProviderAccount, card: PaymentFields
) -> None:
    assert outsider_client.get(page_of(owner, account)).status_code == 404
    assert outsider_client.post(page_of(owner, account), data={"moyen": ""}).status_code == 404
