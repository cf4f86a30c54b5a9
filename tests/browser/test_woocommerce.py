"""A shop is connected by the panel’s own steps; what happens there arrives; a person decides what is not certain."""

import re
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import LONG, SignIn
from tests.browser.world import World, eventually

SHOPS = "/integrations/woocommerce"


@pytest.fixture
def shop_url(first_morning: World) -> str:
    """Where the pretend shop is."""
    return str(first_morning.known["woocommerce_shop_url"])


def test_from_the_first_steps_to_a_refund(first_morning: World, shop_url: str, sign_in: SignIn) -> None:
    page = sign_in("admin", at=SHOPS)
    shop = page.context.new_page()
    _connect(page, shop, shop_url)

    bought = _happens(shop, shop_url, "Une commande arrive")
    client = _arrives(page, bought)
    _is_boxed(page, client, "pending")

    first, second = _share_an_address(first_morning, first_morning.next_email_of_the_shop())
    bought = _happens(shop, shop_url, "Une commande arrive")
    _decide(page, first)
    assert _arrives(page, bought).endswith(first)
    page.goto(f"/clients/{second}")
    expect(page.get_by_test_id("woo-order-row")).to_have_count(0)
    _is_boxed(page, f"/clients/{first}", "pending")

    _happens(shop, shop_url, "Un remboursement")
    row = page.locator(f"[data-testid=woo-order-row][data-order-id='{bought['id']}'][data-status=refunded]")
    _comes(page, f"/clients/{first}", row)
    _is_boxed(page, f"/clients/{first}", "withdrawn")

    _masked_until_asked_for(page, bought, f"/clients/{first}")


def _connect(page: Page, shop: Page, shop_url: str) -> None:
    expect(page.get_by_text("Créez ses dix webhooks")).to_be_visible()
    page.get_by_role("link", name="Connecter une boutique").click()
    page.get_by_label("Nom", exact=True).fill("Brûlerie")
    page.get_by_label("Adresse", exact=True).fill(shop_url)
    page.get_by_role("button", name="Connecter").click()
    page.get_by_test_id("new-secret").click()
    secret = page.get_by_test_id("shop-secret").input_value()
    delivery_url = page.get_by_test_id("delivery-url").input_value()

    shop.goto(shop_url)
    shop.get_by_label("URL de livraison").fill(delivery_url)
    shop.get_by_label("Secret").fill(secret)
    shop.get_by_role("button", name="Enregistrer les webhooks").click()
    expect(shop.get_by_role("status")).to_contain_text("dix webhooks")
    keys = [shop.locator(f"#consumer-{part}").inner_text() for part in ("key", "secret")]

    page.get_by_role("link", name="réglages", exact=True).click()
    page.get_by_label("Clé client").fill(keys[0])
    page.get_by_label("Secret client").fill(keys[1])
    page.get_by_role("button", name="Enregistrer").click()
    page.get_by_test_id("test-shop").click()
    expect(page.get_by_test_id("toast")).to_contain_text("La boutique répond")
    page.get_by_test_id("pull-shop").click()
    expect(page.get_by_test_id("woo-pull").first).to_have_attribute("data-status", "success", timeout=LONG)
    expect(page.get_by_test_id("shop-secret")).to_have_count(0)


def _happens(shop: Page, shop_url: str, button: str) -> dict[str, Any]:
    """Press a button of the shop; its newest order afterwards."""
    shop.goto(shop_url)
    shop.get_by_role("button", name=button, exact=True).click()
    expect(shop.get_by_role("status")).to_be_visible()
    orders: dict[str, dict[str, Any]] = _state(shop_url)["orders"]
    return max(orders.values() if isinstance(orders, dict) else orders, key=lambda order: order["id"])


def _state(shop_url: str) -> dict[str, Any]:
    answer: dict[str, Any] = httpx.get(f"{shop_url}/_state").raise_for_status().json()
    return answer


def _arrives(page: Page, bought: dict[str, Any]) -> str:
    """Wait until an order is here with its client, subscription and payment; returns the client's address."""
    paid = page.locator(f"[data-testid=woo-event-row][data-resource-id='{bought['id']}'] a[href*='/prelevements/']")
    _comes(page, f"{SHOPS}/evenements", paid)
    paid.first.click()
    expect(page.get_by_role("main")).to_contain_text("Par la boutique")
    client = page.get_by_role("main").locator("a[href*='/clients/']").first.get_attribute("href") or ""
    page.goto(client)
    row = page.locator(f"[data-testid=woo-order-row][data-order-id='{bought['id']}']")
    expect(row).to_contain_text("En cours")
    expect(page.get_by_test_id("subscription-row")).not_to_have_count(0)
    return client.partition("?")[0]


def _comes(page: Page, address: str, wanted: Any) -> None:
    def is_there() -> bool:
        page.goto(address)
        return bool(wanted.count())

    eventually(is_there, within=LONG / 1000)


def _is_boxed(page: Page, client: str, status: str) -> None:
    """The open batch has one line of the client, which stands so."""
    line = page.get_by_test_id("batch-line").filter(has=page.locator(f"a[href$='{client}']"))

    def is_so() -> bool:
        page.goto("/lots")
        batch = page.get_by_test_id("batch-row").and_(page.locator("[data-status=open]"))
        if not batch.count():
            return False
        batch.get_by_role("link").first.click()
        page.wait_for_url(re.compile(r"/lots/"))
        return line.count() == 1 and line.get_attribute("data-status") == status

    eventually(is_so, within=LONG / 1000)


def _share_an_address(world: World, address: str) -> tuple[str, str]:
    """Two clients who were there before have one e-mail."""
    with world.database() as connection:
        rows = connection.execute(
            "UPDATE clients SET email = %s WHERE (organisation_id, id) IN (SELECT organisation_id, client_id"
            " FROM subscriptions WHERE collected_by = 'crm' ORDER BY client_id LIMIT 2) RETURNING id",
            [address],
        ).fetchall()
    first, second = sorted(str(row[0]) for row in rows)
    return first, second


def _decide(page: Page, client: str) -> None:
    row = page.get_by_test_id("woo-review-row").filter(has=page.locator(f"a[href$='/clients/{client}']"))
    _comes(page, f"{SHOPS}/a-revoir", row)
    row.locator(f"form:has([name=client][value='{client}'])").get_by_role("button").click()
    expect(page.get_by_test_id("toast")).to_contain_text("Rattaché à")


def _masked_until_asked_for(page: Page, bought: dict[str, Any], client: str) -> None:
    page.goto(f"{SHOPS}/evenements?sujet=order.updated")
    event = page.locator(f"[data-testid=woo-event-row][data-resource-id='{bought['id']}']").first
    event.get_by_role("rowheader").get_by_role("link").click()
    body = page.get_by_test_id("woo-event-body")
    expect(body).to_contain_text("•••")
    expect(body).not_to_contain_text(bought["billing"]["email"])
    page.get_by_test_id("reveal-body").click()
    expect(body).to_contain_text(bought["billing"]["email"])
    page.goto(client)
    expect(page.get_by_test_id("timeline")).to_contain_text("affichée en clair")
