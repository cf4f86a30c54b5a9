"""« À revoir »: managers read, admins decide, outsiders find nothing."""

import re
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from tests import factories
from tests.conftest import HTMX, NOW
from tests.queries import recorded_queries
from tests.services.woocommerce import bodies
from tests.woocommerce_rows import make_resource, make_shop
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.woocommerce import ResourceKind, WooCommerceResource, WooCommerceShop

PAGE = "/integrations/woocommerce/a-revoir"
EMAIL = "camille@example.org"
TWO = [{"code": "TWO_CANDIDATES", "sentence": "2 clients ont cet e-mail."}]
MISSING = [{"code": "MISSING", "sentence": "Absente de la boutique."}]
pytestmark = pytest.mark.usefixtures("cast")


@pytest.fixture
def shop() -> WooCommerceShop:
    """A shop."""
    return make_shop()


@pytest.fixture
def twins() -> list[Client]:
    """Two clients with the e-mail of one person."""
    return [factories.ClientFactory(email=EMAIL, last_name=name) for name in ("DURAND", "DUPOND")]


@pytest.fixture
def undecided(shop: WooCommerceShop, twins: list[Client]) -> WooCommerceResource:
    """An account that may be either."""
    body = bodies.customer(17, EMAIL, at=NOW)
    row = make_resource(shop, 17, kind=ResourceKind.CUSTOMER, review=TWO, body=body)
    db.session.commit()
    return row


def missing(shop: WooCommerceShop, number: int, client: Client | None = None) -> WooCommerceResource:
    row = make_resource(shop, number, client, kind=ResourceKind.ORDER, review=MISSING, number=f"A-{number}")
    db.session.commit()
    return row


def of(row: WooCommerceResource) -> WooCommerceResource:
    db.session.expire_all()
    found = db.session.get(WooCommerceResource, (row.organisation_id, row.id))
    assert found
    return found


def decisions(row: WooCommerceResource) -> list[str]:
    return [f"{PAGE}/{row.id}/{verb}" for verb in ("rattacher", "creer", "classer")]


def test_each_line_says_why_and_what_can_be_done(
    admin_client: FlaskClient, shop: WooCommerceShop, undecided: WooCommerceResource, twins: list[Client]
) -> None:
    missing(shop, 282, factories.ClientFactory())
    page = admin_client.get(PAGE).text
    assert re.findall(r'data-resource-id="(\d+)"\s+data-codes="(\w+)"', page) == [
        ("282", "MISSING"),
        ("17", "TWO_CANDIDATES"),
    ]
    assert "Absente de la boutique." in page
    assert "Commande n°\u00a0A-282" in page
    assert re.search(r">Durand Camille</span>", page)
    assert "https://boutique-1.example.org/wp-admin/post.php?post=282" in page
    assert re.findall(r'data-action="(\w+)"', page) == ["close", "link", "link", "create"]
    assert {str(each.id) for each in twins} <= set(re.findall(r'name="client" value="([^"]+)"', page))
    assert 'data-testid="woo-review-count">2<' in page


def test_managers_read_and_do_not_decide(
    manager_client: FlaskClient, undecided: WooCommerceResource, twins: list[Client]
) -> None:
    page = manager_client.get(PAGE)
    assert page.status_code == 200
    assert "woo-review-action" not in page.text
    for address in decisions(undecided):
        assert manager_client.post(address, data={"client": str(twins[0].id)}).status_code == 403
    assert of(undecided).review == TWO


def test_commercials_do_not_come_here(client: FlaskClient, undecided: WooCommerceResource) -> None:
    assert client.get(PAGE).status_code == 403
    for address in decisions(undecided):
        assert client.post(address).status_code == 403


def test_an_outsider_finds_and_changes_nothing(
    outsider_client: FlaskClient, undecided: WooCommerceResource, twins: list[Client]
) -> None:
    assert "woo-review-row" not in outsider_client.get(PAGE).text
    for address in decisions(undecided):
        assert outsider_client.post(address, data={"client": str(twins[0].id)}).status_code == 404
    assert of(undecided).review == TWO


def test_an_admin_says_who_it_is(
    admin_client: FlaskClient, undecided: WooCommerceResource, twins: list[Client]
) -> None:
    address, *_ = decisions(undecided)
    answer = admin_client.post(address, data={"client": str(twins[1].id), "motif": "TWO_CANDIDATES"})
    assert (answer.status_code, answer.location) == (303, f"{PAGE}?motif=TWO_CANDIDATES")
    assert (of(undecided).client_id, of(undecided).review) == (twins[1].id, [])
    assert "Rien à revoir." in admin_client.get(PAGE).text
    assert admin_client.post(address, data={"client": str(twins[0].id)}).status_code == 409


def test_an_admin_makes_a_client_of_the_person(admin_client: FlaskClient, undecided: WooCommerceResource) -> None:
    assert admin_client.post(decisions(undecided)[1]).status_code == 303
    assert of(undecided).client_id is not None


def test_an_admin_closes_what_was_seen_to(admin_client: FlaskClient, shop: WooCommerceShop) -> None:
    row = missing(shop, 282)
    address = decisions(row)[2]
    assert admin_client.post(address).status_code == 303
    assert of(row).review == []
    assert admin_client.post(address).status_code == 409


@pytest.mark.parametrize("client_id", ["", "x", "\0", str(UUID(int=7))])
def test_a_client_that_is_none_is_refused(
    admin_client: FlaskClient, undecided: WooCommerceResource, client_id: str
) -> None:
    answer = admin_client.post(decisions(undecided)[0], data={"client": client_id})
    assert answer.status_code == 422
    assert "Choisissez l’un des clients proposés." in answer.text
    assert of(undecided).review == TWO


@pytest.mark.parametrize("query", ["motif=%00", "motif=x", "boutique=%00", "apres=%00", "apres=x", "motif=%ED%A0%80"])
def test_an_address_that_cannot_be_read_narrows_nothing(
    admin_client: FlaskClient, undecided: WooCommerceResource, query: str
) -> None:
    page = admin_client.get(f"{PAGE}?{query}")
    assert page.status_code == 200
    assert "woo-review-row" in page.text


def test_filters_stand_in_the_address(admin_client: FlaskClient, undecided: WooCommerceResource) -> None:
    other = make_shop(2)
    missing(other, 5)
    for query, shown in (
        (f"boutique={other.id}", ["5"]),
        ("motif=TWO_CANDIDATES", ["17"]),
        (f"motif=TWO_CANDIDATES&boutique={other.id}", []),
    ):
        assert re.findall(r'data-resource-id="(\d+)"', admin_client.get(f"{PAGE}?{query}").text) == shown
    source = {"HX-Source": "form#reviews-filters"}
    fragment = admin_client.get(f"{PAGE}?motif=MISSING&boutique=", headers=HTMX | source)
    assert fragment.headers["HX-Push-Url"] == f"{PAGE}?motif=MISSING"
    assert "<html" not in fragment.text


def test_long_lists_have_pages(admin_client: FlaskClient, shop: WooCommerceShop) -> None:
    for number in range(1, 33):
        make_resource(shop, number, kind=ResourceKind.ORDER, review=MISSING)
    db.session.commit()
    page = admin_client.get(PAGE).text
    assert len(re.findall("woo-review-row", page)) == 30
    (following,) = re.findall(r'id="page-next"[^>]*?href="([^"]+)"', page)
    rest = admin_client.get(following.replace("&amp;", "&")).text
    assert re.findall(r'data-resource-id="(\d+)"', rest) == ["2", "1"]


def test_the_number_of_queries_does_not_grow(admin_client: FlaskClient, shop: WooCommerceShop) -> None:
    def count() -> int:
        with recorded_queries() as queries:
            admin_client.get(PAGE)
        return len(queries)

    missing(shop, 1, factories.ClientFactory())
    admin_client.get(PAGE)
    first = count()
    for number in range(2, 12):
        missing(shop, number, factories.ClientFactory())
    assert count() == first <= 9
