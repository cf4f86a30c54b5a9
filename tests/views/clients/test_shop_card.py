"""The card « Boutique » of a client's page."""

import re
from datetime import timedelta

import pytest
from flask.testing import FlaskClient

from tests.conftest import NOW
from tests.factories import ClientFactory
from tests.queries import recorded_queries
from tests.woocommerce_rows import make_order, make_resource, make_shop
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.woocommerce import ResourceKind

pytestmark = pytest.mark.usefixtures("cast")


@pytest.fixture
def buyer() -> Client:
    """Somebody who ordered in a shop."""
    return ClientFactory(last_name="ACHETEUSE")


def shown(page: str) -> list[str]:
    return re.findall(r'data-order-id="(\d+)"', page)


def test_the_latest_orders_come_first_each_with_the_way_to_the_shops_admin(client: FlaskClient, buyer: Client) -> None:
    shop = make_shop()
    make_order(shop, 282, buyer, number="A-282", status="completed")
    make_order(shop, 290, buyer, status="on-hold", paid_at=None, placed_at=NOW + timedelta(days=1))
    make_order(shop, 7, None)
    make_resource(shop, 64, buyer, kind=ResourceKind.CUSTOMER)
    db.session.commit()
    page = client.get(f"/clients/{buyer.id}").text
    assert shown(page) == ["290", "282"]
    assert "Terminée" in page
    assert "20/11/2026" in page
    assert "Non payé" in page
    assert "10,00\u00a0€" in page
    assert "A-282" in page
    assert "https://boutique-1.example.org/wp-admin/post.php?post=282&amp;action=edit" in page
    assert "https://boutique-1.example.org/wp-admin/user-edit.php?user_id=64" in page


def test_a_status_that_the_shop_has_made_up_is_shown_as_it_is(client: FlaskClient, buyer: Client) -> None:
    review = [{"code": "UNKNOWN_STATUS", "sentence": "La boutique dit un état que nous ne connaissons pas."}]
    make_order(make_shop(), 1, buyer, status="<b>chez-le-torréfacteur</b>", review=review)
    db.session.commit()
    page = client.get(f"/clients/{buyer.id}").text
    assert "&lt;b&gt;chez-le-torréfacteur&lt;/b&gt;" in page
    assert "que nous ne connaissons pas" in page


def test_who_never_ordered_has_no_such_card(client: FlaskClient, buyer: Client) -> None:
    db.session.commit()
    assert "client-shop" not in client.get(f"/clients/{buyer.id}").text


def test_many_orders_are_one_query_and_the_older_ones_are_in_the_shop(client: FlaskClient, buyer: Client) -> None:
    shop = make_shop()
    for number in range(30):
        make_order(shop, number + 1, buyer, placed_at=NOW + timedelta(minutes=number))
    db.session.commit()
    address = f"/clients/{buyer.id}"
    db.session.expunge_all()
    with recorded_queries() as queries:
        page = client.get(address).text
    assert shown(page) == [str(number) for number in range(30, 18, -1)]
    assert "se lisent dans la boutique" in page
    assert sum("woocommerce" in query for query in queries) == 1


def test_an_outsider_finds_no_card(outsider_client: FlaskClient, buyer: Client) -> None:
    make_order(make_shop(), 1, buyer)
    db.session.commit()
    assert outsider_client.get(f"/clients/{buyer.id}").status_code == 404
