"""Pages of shops: who sees them, what is refused and where, the secret that is shown once."""

import re
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from tests.conftest import NOW
from tests.factories import CompanyFactory, PreferenceSchemaFactory, default_company
from tests.queries import recorded_queries
from tests.woocommerce_rows import KEYS, make_event, make_shop
from webapp import tenancy
from webapp.extensions import db
from webapp.models.events import EventState
from webapp.models.subscriptions import Collector
from webapp.models.woocommerce import WooCommerceShop

PAGE = "/integrations/woocommerce"
NEW = f"{PAGE}/nouvelle"
pytestmark = pytest.mark.usefixtures("cast")


def form(**values: Any) -> dict[str, Any]:
    usual = {
        "nom": "Brûlerie",
        "adresse": "http://127.0.0.1:9/boutique/",
        "societe": str(default_company().id),
        "fuseau": "Europe/Paris",
        "encaissement": "shop",
        "expedition": "2026-11-20T10:00",
    }
    return usual | values


def only_shop() -> WooCommerceShop:
    db.session.expire_all()
    return db.session.scalars(select(WooCommerceShop)).one()


def made(**values: Any) -> WooCommerceShop:
    shop = make_shop(**values)
    db.session.commit()
    return shop


def test_commercials_come_to_no_page(client: FlaskClient) -> None:
    shop = made()
    for address in (PAGE, f"{PAGE}/{shop.id}", NEW, f"{PAGE}/{shop.id}/reglages"):
        assert client.get(address).status_code == 403
    assert "Intégrations" not in client.get("/clients").text


def test_managers_read_and_change_nothing(manager_client: FlaskClient) -> None:
    shop = made()
    shop.keep_credentials(KEYS)
    db.session.commit()
    page = manager_client.get(f"{PAGE}/{shop.id}")
    assert page.status_code == 200
    assert "Intégrations" in page.text
    assert "Pas encore testée" in page.text
    for button in ("new-secret", "test-shop", "pull-shop", "take-over", "switch-off"):
        assert button not in page.text
    assert manager_client.get(PAGE).status_code == 200
    for address in (NEW, f"{PAGE}/{shop.id}/reglages"):
        assert manager_client.get(address).status_code == 403
        assert manager_client.post(address, data=form()).status_code == 403
    for word in ("secrets", "secrets/fin", "desactivation", "activation", "essai", "releves", "reprise"):
        assert manager_client.post(f"{PAGE}/{shop.id}/{word}").status_code == 403
    assert only_shop().secrets_changed_at is None
    assert only_shop().is_active


def test_an_outsider_finds_and_changes_nothing(outsider_client: FlaskClient) -> None:
    shop = made()
    assert "woo-shop" not in outsider_client.get(PAGE).text
    for address in (f"{PAGE}/{shop.id}", f"{PAGE}/{shop.id}/reglages", f"{PAGE}/{shop.id}/releves/{uuid4()}"):
        assert outsider_client.get(address).status_code == 404
    for word in ("reglages", "secrets", "secrets/fin", "desactivation", "activation", "essai", "releves"):
        assert outsider_client.post(f"{PAGE}/{shop.id}/{word}", data=form()).status_code == 404, word
    answer = outsider_client.post(f"{PAGE}/{shop.id}/reprise", data={"depuis": "2026-01-01"})
    assert answer.status_code == 404
    assert only_shop().name == "Boutique 1"


def test_without_a_shop_the_page_says_the_first_steps(admin_client: FlaskClient, manager_client: FlaskClient) -> None:
    assert NEW in admin_client.get(PAGE).text
    page = manager_client.get(PAGE).text
    assert "Créez ses dix webhooks" in page
    assert NEW not in page


def test_a_shop_is_connected_and_changed(admin_client: FlaskClient) -> None:
    assert admin_client.get(NEW).status_code == 200
    answer = admin_client.post(NEW, data=form())
    shop = only_shop()
    assert (answer.status_code, answer.headers["Location"]) == (303, f"{PAGE}/{shop.id}")
    assert (shop.name, shop.source, shop.collected_by) == ("Brûlerie", "127.0.0.1:9/boutique", Collector.SHOP)
    assert shop.ships_from == NOW
    assert "Brûlerie" in admin_client.get(PAGE).text
    page = admin_client.get(f"{PAGE}/{shop.id}/reglages").text
    assert 'value="2026-11-20T10:00"' in page
    changed = form(nom="Torréfaction", encaissement="crm", fuseau="Indian/Reunion")
    assert admin_client.post(f"{PAGE}/{shop.id}/reglages", data=changed).status_code == 303
    shop = only_shop()
    assert (shop.name, shop.collected_by, shop.timezone) == ("Torréfaction", Collector.CRM, "Indian/Reunion")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"nom": ""}, "nom de 1 à"),
        ({"nom": "\x00\u202e"}, "nom de 1 à"),
        ({"nom": "x" * 201}, "nom de 1 à"),
        ({"adresse": ""}, "adresse de la boutique"),
        ({"adresse": "boutique"}, "adresse"),
        ({"adresse": "https://boutique.fr/\r\nHost: x"}, "adresse de la boutique"),
        ({"adresse": "https://" + "x" * 600}, "adresse de la boutique"),
        ({"adresse": "http://127.0.0.1:9/?a=1"}, "sans rien après"),
        ({"adresse": "http://ck_1:cs_2@127.0.0.1:9/"}, "adresse"),
        ({"societe": "x"}, "Choisissez une société"),
        ({"societe": str(UUID(int=7))}, "Choisissez une société"),
        ({"fuseau": "Europe/Atlantide"}, "fuseau"),
        ({"fuseau": "../etc/passwd"}, "fuseau"),
        ({"encaissement": "personne"}, "Choisissez qui encaisse"),
        ({"expedition": ""}, "un jour et une heure"),
        ({"expedition": "99999-01-01T00:00"}, "un jour et une heure"),
        ({"expedition": "1999-01-01T00:00"}, "une date entre"),
        ({"consumer_key": "ck_1"}, "donnez les deux"),
        ({"consumer_key": "xx_1", "consumer_secret": "cs_1"}, "commence par ck_"),
        ({"consumer_key": "ck_1", "consumer_secret": "cs_\u00e9"}, "commence par cs_"),
    ],
)
def test_what_makes_no_sense_is_refused_at_its_field(
    admin_client: FlaskClient, change: dict[str, str], sentence: str
) -> None:
    answer = admin_client.post(NEW, data=form(**change))
    assert answer.status_code == 422
    assert sentence in answer.text
    assert answer.text.count('aria-invalid="true"') == 1
    assert db.session.scalar(select(WooCommerceShop.id)) is None


def test_a_shop_is_connected_once(admin_client: FlaskClient) -> None:
    assert admin_client.post(NEW, data=form()).status_code == 303
    answer = admin_client.post(NEW, data=form(adresse="http://127.0.0.1:9/boutique"))
    assert answer.status_code == 422
    assert "déjà connectée" in answer.text


def test_keys_go_in_and_never_come_out(admin_client: FlaskClient) -> None:
    shop = made()
    assert "no-key" in admin_client.get(f"{PAGE}/{shop.id}").text
    address = f"{PAGE}/{shop.id}/reglages"
    assert admin_client.post(address, data=form(**KEYS)).status_code == 303
    assert only_shop().credentials_in_clear() == KEYS
    for page in (admin_client.get(address).text, admin_client.get(f"{PAGE}/{shop.id}").text):
        assert KEYS["consumer_key"] not in page
        assert KEYS["consumer_secret"] not in page
    refused = admin_client.post(address, data=form(nom="", **KEYS)).text
    assert KEYS["consumer_secret"] not in refused
    assert admin_client.post(address, data=form()).status_code == 303
    assert only_shop().credentials_in_clear() == KEYS
    assert admin_client.post(address, data=form(oublier="1")).status_code == 303
    assert not only_shop().has_keys


def test_attributes_become_preferences(admin_client: FlaskClient) -> None:
    PreferenceSchemaFactory(code="mouture", label="Mouture")
    shop = made()
    address = f"{PAGE}/{shop.id}/reglages"
    written = form(attribut=["pa_mouture", ""], preference=["mouture", ""])
    assert admin_client.post(address, data=written).status_code == 303
    assert only_shop().attribute_codes == {"pa_mouture": "mouture"}
    assert 'value="pa_mouture"' in admin_client.get(address).text
    for names, codes, sentence in (
        (["Mouture"], [""], "Choisissez la préférence"),
        (["Mouture"], ["inconnue"], "Choisissez la préférence"),
        ([""], ["mouture"], "nom d’un attribut"),
        (["a", "A"], ["mouture", "mouture"], "deux fois"),
    ):
        refused = admin_client.post(address, data=form(attribut=names, preference=codes))
        assert refused.status_code == 422
        assert sentence in refused.text
    assert only_shop().attribute_codes == {"pa_mouture": "mouture"}


def test_another_organisations_company_is_none(admin_client: FlaskClient, cast: Any) -> None:
    with tenancy.organisation(cast.other_organisation.id):
        other = CompanyFactory()
        db.session.commit()
    assert admin_client.post(NEW, data=form(societe=str(other.id))).status_code == 422


def secret_of(page: str) -> str:
    found = re.search(r'id="secret"\s+value="([^"]+)"', page)
    assert found is not None
    return found[1]


def seen_of(page: str) -> str:
    found = re.search(r'name="vu"\s+value="([^"]*)"', page)
    assert found is not None
    return found[1]


def test_the_secret_is_shown_once_and_a_reload_makes_no_other(admin_client: FlaskClient) -> None:
    shop = made()
    page = admin_client.get(f"{PAGE}/{shop.id}").text
    assert "aucune notification ne peut encore être acceptée" in page
    answer = admin_client.post(f"{PAGE}/{shop.id}/secrets", data={"vu": seen_of(page)})
    secret = secret_of(answer.text)
    assert re.fullmatch(r"[A-Za-z0-9]{40}", secret)
    assert only_shop().secrets_in_clear() == [secret]
    again = admin_client.post(f"{PAGE}/{shop.id}/secrets", data={"vu": seen_of(page)})
    assert again.status_code == 409
    assert only_shop().secrets_in_clear() == [secret]
    assert secret not in admin_client.get(f"{PAGE}/{shop.id}").text


def test_the_old_secret_is_good_until_somebody_ends_it(admin_client: FlaskClient) -> None:
    shop = made()
    made_now: list[str] = []
    for _ in range(2):
        page = admin_client.get(f"{PAGE}/{shop.id}").text
        made_now.append(secret_of(admin_client.post(f"{PAGE}/{shop.id}/secrets", data={"vu": seen_of(page)}).text))
    assert only_shop().secrets_in_clear() == [made_now[1], made_now[0]]
    page = admin_client.get(f"{PAGE}/{shop.id}").text
    assert "ancien secret est encore accepté" in page
    ended = admin_client.post(f"{PAGE}/{shop.id}/secrets/fin", data={"vu": seen_of(page)})
    assert ended.status_code == 303
    assert only_shop().secrets_in_clear() == [made_now[1]]


def test_a_shop_is_switched_off_and_on(admin_client: FlaskClient) -> None:
    shop = made()
    assert admin_client.post(f"{PAGE}/{shop.id}/desactivation").status_code == 303
    assert not only_shop().is_active
    assert 'data-state="inactive"' in admin_client.get(PAGE).text
    assert "est désactivée" in admin_client.get(f"{PAGE}/{shop.id}").text
    assert admin_client.post(f"{PAGE}/{shop.id}/activation").status_code == 303
    assert only_shop().is_active


def test_the_delivery_address_is_the_receivers(admin_client: FlaskClient) -> None:
    shop = made()
    page = admin_client.get(f"{PAGE}/{shop.id}").text
    found = re.search(r'id="delivery-url"\s+value="([^"]+)"', page)
    assert found is not None
    assert found[1].endswith(f"/webhooks/woocommerce/{shop.id}")


def test_each_topic_says_when_it_was_last_heard_of(manager_client: FlaskClient) -> None:
    shop = make_shop()
    shop.topics = {"order.deleted": {"webhook_id": 3, "status": "disabled", "delivery_url": "https://crm"}}
    make_event(shop, 1, received_at=NOW - timedelta(minutes=4))
    make_event(shop, 2, topic="order.created", received_at=NOW - timedelta(hours=3, minutes=2))
    make_event(shop, 3, topic="customer.created", received_at=NOW - timedelta(days=5))
    make_event(shop, 4, topic="order.deleted", received_at=NOW - timedelta(minutes=1))
    db.session.commit()
    page = manager_client.get(f"{PAGE}/{shop.id}").text
    rows = dict(re.findall(r'data-topic="([^"]+)"\s+data-state="([^"]+)"', page))
    assert len(rows) == 10
    assert rows["order.updated"] == "heard"
    assert rows["order.created"] == rows["customer.created"] == "silent"
    assert rows["order.deleted"] == "disabled"
    assert rows["subscription.created"] == "never"
    for sentence in ("reçu il y a 4 min", "silencieux depuis 3\u00a0h", "silencieux depuis 5 jours", "désactivé par"):
        assert sentence in page


def test_the_list_says_what_failed(manager_client: FlaskClient) -> None:
    shop = make_shop()
    make_event(shop, 1, EventState.FAILED)
    make_event(shop, 2, received_at=NOW - timedelta(minutes=2))
    db.session.commit()
    page = manager_client.get(PAGE).text
    assert 'data-state="failing"' in page
    assert f"{PAGE}/evenements?boutique={shop.id}&amp;etat=failed" in page


def test_the_number_of_queries_does_not_grow_with_the_rows(manager_client: FlaskClient) -> None:
    def queries(address: str) -> int:
        db.session.commit()
        with recorded_queries() as statements:
            assert manager_client.get(address).status_code == 200
        return len(statements)

    shop = make_shop(1)
    address = f"{PAGE}/{shop.id}"
    for_list, for_page = queries(PAGE), queries(address)
    for number in range(2, 8):
        other = make_shop(number)
        for each in range(5):
            make_event(other, each)
            make_event(shop if each else other, 100 * number + each, topic="order.created")
    assert queries(PAGE) == for_list <= 5
    assert queries(address) == for_page <= 9
