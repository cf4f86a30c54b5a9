"""How what a shop has is shown."""

import pytest

from webapp.models.woocommerce import ResourceKind, WooCommerceShop
from webapp.services.woocommerce import showing


@pytest.mark.parametrize(
    ("external_id", "label"),
    [
        ("77-0", "Commande n°\u00a077"),
        ("77-12", "Commande n°\u00a077"),
        ("77-r35-1", "Commande n°\u00a077, remboursement n°\u00a035"),
    ],
)
def test_a_movement_names_its_order_and_its_refund(external_id: str, label: str) -> None:
    assert showing.movement_label(external_id) == label


@pytest.mark.parametrize(
    ("topic", "label"),
    [
        ("order.updated", "Commande mise à jour"),
        ("pull.order", "Relevé"),
        ("product.updated", "product.updated"),
        ("", "Sans sujet"),
    ],
)
def test_an_event_is_named_as_woocommerce_names_it(topic: str, label: str) -> None:
    assert showing.topic_label(topic) == label


def test_a_status_that_the_shop_has_made_up_is_shown_as_it_is() -> None:
    assert showing.order_label("on-hold") == "En attente"
    assert showing.order_label("en-preparation") == "en-preparation"


@pytest.mark.parametrize(
    ("kind", "page"),
    [
        (ResourceKind.CUSTOMER, "user-edit.php?user_id=7"),
        (ResourceKind.ORDER, "post.php?post=7&action=edit"),
        (ResourceKind.SUBSCRIPTION, "post.php?post=7&action=edit"),
    ],
)
def test_the_shops_staff_finds_a_resource_in_its_admin(kind: ResourceKind, page: str) -> None:
    shop = WooCommerceShop(url="https://savons.example/fr/")
    assert showing.url_in_admin(shop, kind, 7) == f"https://savons.example/fr/wp-admin/{page}"
