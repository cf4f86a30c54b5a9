"""Which products are shipped and what they weigh, as an admin says it."""

import re
from typing import Any
from uuid import uuid4

import pytest
from flask.testing import FlaskClient

from tests import factories
from tests.queries import recorded_queries
from webapp import tenancy
from webapp.extensions import db
from webapp.models.plan_changes import PlannedChange
from webapp.models.products import Product
from webapp.models.subscriptions import SubscriptionLine, SubscriptionStatus
from webapp.services.fulfilment import products
from webapp.services.subscriptions.fields import CheckedLine

pytestmark = pytest.mark.usefixtures("cast")

ADDRESS = "/lots/reglages/produits"


def _make(name: str = "Assurance", **values: Any) -> Product:
    product = Product(name=name, **values)
    db.session.add(product)
    db.session.commit()
    return product


def _sell(product: Product, status: SubscriptionStatus = SubscriptionStatus.ACTIVE) -> SubscriptionLine:
    subscription = factories.SubscriptionFactory(client_id=factories.ClientFactory().id, status=status)
    line: SubscriptionLine = factories.SubscriptionLineFactory(subscription_id=subscription.id, product_id=product.id)
    db.session.commit()
    return line


def _kept(product: Product) -> tuple[bool, int | None]:
    found = db.session.query(Product).populate_existing().filter_by(id=product.id).one()
    return found.is_shipped, found.weight_g


def test_an_admin_says_what_is_shipped_and_what_it_weighs(admin_client: FlaskClient) -> None:
    product = _make()
    page = admin_client.get(ADDRESS).text
    assert re.search(r'data-testid="product-row"\s+data-shipped="1"\s+data-weight=""', page)
    assert admin_client.post(f"{ADDRESS}/{product.id}", data={"expedie": "1", "poids": "1 200"}).status_code == 303
    assert _kept(product) == (True, 1200)
    assert 'value="1200"' in admin_client.get(ADDRESS).text
    admin_client.post(f"{ADDRESS}/{product.id}", data={"poids": ""})
    assert _kept(product) == (False, None)


@pytest.mark.parametrize("weight", ["-1", "0", "30001", "1,5", "lourd", "12\x00", "9" * 40])
def test_a_weight_that_no_parcel_has_is_refused_at_its_field(admin_client: FlaskClient, weight: str) -> None:
    product = _make(weight_g=10)
    answer = admin_client.post(f"{ADDRESS}/{product.id}", data={"poids": weight})
    assert answer.status_code == 422
    assert f'id="poids-{product.id}-error"' in answer.text
    assert _kept(product) == (True, 10)


def test_lines_that_are_there_follow_when_they_are_asked_to(admin_client: FlaskClient) -> None:
    product, other = _make(is_shipped=False), _make("Coffret")
    living, paused = _sell(product), _sell(product, SubscriptionStatus.PAUSED)
    ended, elsewhere = _sell(product, SubscriptionStatus.CANCELED), _sell(other)
    page = admin_client.get(ADDRESS).text
    assert "Faire suivre 2 lignes" in page
    assert "ne s’expédieront plus" in page
    assert (
        "2 lignes d’abonnement changées"
        in admin_client.post(f"{ADDRESS}/{product.id}/lignes", follow_redirects=True).text
    )
    lines = {line.id: line.is_shipped for line in db.session.query(SubscriptionLine).populate_existing()}
    assert [lines[line.id] for line in (living, paused, ended, elsewhere)] == [False, False, True, True]
    assert "Faire suivre" not in admin_client.get(ADDRESS).text
    assert products.apply_to_lines(product.id) == 0


def test_lines_that_are_planned_follow_too(cast: Any) -> None:
    product = _make(is_shipped=False)
    line = _sell(product)
    other = CheckedLine.of(line).as_json() | {"label": "Coffret", "product_id": None}
    planned = [other, CheckedLine.of(line).as_json()]
    db.session.add(PlannedChange(subscription_id=line.subscription_id, lines=planned))
    db.session.add(PlannedChange(subscription_id=_sell(_make("Coffret")).subscription_id, lines=None))
    db.session.commit()
    assert products.apply_to_lines(product.id) == 1
    (kept,) = db.session.query(PlannedChange).populate_existing().filter(PlannedChange.lines.is_not(None))
    assert kept.lines == [other, planned[1] | {"is_shipped": False}]


def test_products_are_found_by_name_and_paged(admin_client: FlaskClient) -> None:
    for number in range(products.PAGE_SIZE + 1):
        db.session.add(Product(name=f"Café n° {number:03}"))
    _make("Électricité")
    first = admin_client.get(ADDRESS).text
    assert first.count('data-testid="product-row"') == products.PAGE_SIZE
    following = re.search(r'href="([^"]+)">Suivants', first)
    assert following
    second = admin_client.get(following[1].replace("&amp;", "&")).text
    assert second.count('data-testid="product-row"') == 2
    assert "Précédents" in second
    found = admin_client.get(ADDRESS, query_string={"q": "ELECTR"}).text
    assert (found.count('data-testid="product-row"'), "Électricité" in found) == (1, True)
    assert "Aucun produit de ce nom" in admin_client.get(ADDRESS, query_string={"q": "100%_x"}).text
    for bad in ({"page": "x\x00"}, {"q": "\x00\u202e"}, {"q": "x" * 5000}):
        assert admin_client.get(ADDRESS, query_string=bad).status_code == 200


def test_an_empty_list_says_so(admin_client: FlaskClient) -> None:
    assert "Aucun produit pour l’instant" in admin_client.get(ADDRESS).text


def test_many_cost_as_many_queries_as_few(admin_client: FlaskClient) -> None:
    def queries() -> int:
        with recorded_queries() as statements:
            admin_client.get(ADDRESS)
        return len(statements)

    _sell(_make())
    few = queries()
    for number in range(10):
        _sell(_make(f"Autre {number}"))
    assert queries() == few <= 5


def test_only_admins_come_here(client: FlaskClient, manager_client: FlaskClient) -> None:
    product = _make()
    for browser in (client, manager_client):
        assert browser.get(ADDRESS).status_code == 403
        assert browser.post(f"{ADDRESS}/{product.id}").status_code == 403
        assert browser.post(f"{ADDRESS}/{product.id}/lignes").status_code == 403
    assert _kept(product) == (True, None)


def test_another_organisations_product_is_not_found(admin_client: FlaskClient, sign_in: Any, cast: Any) -> None:
    product = _make()
    for path in (f"{ADDRESS}/{uuid4()}", f"{ADDRESS}/{uuid4()}/lignes"):
        assert admin_client.post(path).status_code == 404
    with tenancy.organisation(cast.outsider.organisation_id):
        stranger = factories.UserFactory(roles=["admin"])
    db.session.commit()
    outsider = sign_in(stranger)
    assert "Assurance" not in outsider.get(ADDRESS).text
    assert outsider.post(f"{ADDRESS}/{product.id}").status_code == 404
    assert outsider.post(f"{ADDRESS}/{product.id}/lignes").status_code == 404
    assert _kept(product) == (True, None)


NEW = {"nom": "  Box   thé ", "categorie": "Box", "fournisseur": "Torréfaction du Port", "poids": "850", "expedie": "1"}


def test_an_admin_makes_the_first_product(admin_client: FlaskClient) -> None:
    assert "Aucun produit pour l’instant." in admin_client.get(ADDRESS).text
    assert admin_client.post(ADDRESS, data=NEW).status_code == 303
    made = db.session.query(Product).one()
    assert (made.name, made.category, made.supplier) == ("Box thé", "Box", "Torréfaction du Port")
    assert _kept(made) == (True, 850)
    assert "Box thé" in admin_client.get(ADDRESS).text


@pytest.mark.parametrize(
    ("word", "text"), [("nom", " "), ("nom", "x" * 201), ("nom", "BOX THE"), ("categorie", "x" * 101), ("poids", "0")]
)
def test_a_product_that_cannot_be_made_is_refused_at_its_field(admin_client: FlaskClient, word: str, text: str) -> None:
    known = _make("Box thé")
    answer = admin_client.post(ADDRESS, data=NEW | {"nom": "Autre box", word: text})
    assert answer.status_code == 422
    assert f'id="nouveau-{word}-error"' in answer.text
    assert 'value="Torréfaction du Port"' in answer.text
    assert db.session.query(Product).one().id == known.id


def test_only_admins_make_products(client: FlaskClient, manager_client: FlaskClient) -> None:
    for browser in (client, manager_client):
        assert browser.post(ADDRESS, data=NEW).status_code == 403
    assert db.session.query(Product).count() == 0
