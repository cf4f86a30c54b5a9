"""A shop is connected by the panel's own steps; what happens there arrives, is decided on, and is taken back."""

import re

from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import LONG, Shot, SignIn
from tests.browser.test_accessibility import findings
from tests.browser.world import World, eventually

HOME = "/integrations/woocommerce"


def test_a_shop_is_connected_and_what_happens_there_arrives(first_morning: World, sign_in: SignIn, shot: Shot) -> None:
    page = sign_in("admin", at=HOME)
    expect(page.get_by_role("main")).to_contain_text("Aucune boutique connectée")
    there = page.context.new_page()
    there.goto(first_morning.known["woocommerce_shop_url"])
    _connect(page, there)
    assert findings(page) == []
    shot(page, "woocommerce-boutique")

    client = _buy(page, there)
    expect(page.get_by_test_id("badge-source")).to_have_text("WOO")
    order = page.get_by_test_id("woo-order-row")
    expect(order).to_have_count(1)
    expect(order).to_have_attribute("data-status", "processing")
    expect(order).not_to_contain_text("Non payé")
    page.goto(f"/clients/{client}?onglet=paiements")
    expect(page.get_by_test_id("charge-row")).to_have_attribute("data-status", "succeeded")
    line = _line_of(page, client)
    expect(line).to_have_attribute("data-status", "pending")

    there.get_by_role("button", name="Un remboursement").click()
    _until(page, line, "withdrawn")
    page.goto(f"/clients/{client}")
    expect(order).to_have_attribute("data-status", "refunded")

    _decide_who_it_is(first_morning, page, there)
    _read_what_came(page, shot)


def _connect(page: Page, there: Page) -> None:
    page.get_by_role("link", name="Connecter une boutique").click()
    page.get_by_label("Nom", exact=True).fill("Boutique fictive")
    page.get_by_label("Adresse", exact=True).fill(there.url)
    page.get_by_label("Clé client").fill(there.locator("#consumer-key").inner_text())
    page.get_by_label("Secret client").fill(there.locator("#consumer-secret").inner_text())
    page.get_by_role("button", name="Connecter").click()
    page.get_by_test_id("new-secret").click()
    secret = page.get_by_test_id("shop-secret").input_value()
    there.get_by_label("URL de livraison").fill(page.get_by_test_id("delivery-url").input_value())
    there.get_by_label("Secret", exact=True).fill(secret)
    there.get_by_role("button", name="Enregistrer les webhooks").click()
    page.goto(HOME)
    page.get_by_test_id("woo-shop").get_by_role("link").first.click()
    expect(page.get_by_role("main")).not_to_contain_text(secret)
    page.get_by_test_id("test-shop").click()
    expect(page.get_by_test_id("toast")).to_contain_text("La boutique répond")
    page.get_by_test_id("pull-shop").click()
    expect(page.get_by_test_id("woo-pull").first).to_have_attribute("data-status", "success", timeout=LONG)


def _buy(page: Page, there: Page) -> str:
    """Somebody subscribes; returns the id of the client who comes of it, whose page is open."""
    there.get_by_role("button", name="Une commande arrive").click()
    page.goto(f"{HOME}/evenements?sujet=subscription.created")
    event = page.get_by_test_id("woo-event-row")
    _until(page, event, "done", attribute="data-state")
    page.get_by_role("link", name=re.compile("Abonnement n°")).click()
    expect(page).to_have_url(re.compile("/abonnements/"))
    page.get_by_role("main").locator("a[href*='/clients/']").first.click()
    return page.url.partition("/clients/")[2].partition("?")[0]


def _line_of(page: Page, client: str) -> Locator:
    """The client's line in the open batch, whose page is open."""
    line = page.get_by_test_id("batch-line").filter(has=page.locator(f"a[href$='/clients/{client}']"))
    page.goto("/lots")
    batch = page.get_by_test_id("batch-row").and_(page.locator("[data-status=open]"))
    eventually(lambda: page.reload() is not None and batch.count(), within=LONG / 1000)
    batch.get_by_role("link").click()
    _until(page, line, "pending")
    return line


def _until(page: Page, row: Locator, state: str, *, attribute: str = "data-status") -> None:
    """Look again until the row has come so far."""
    eventually(
        lambda: page.reload() is not None and row.count() and row.first.get_attribute(attribute) == state,
        within=LONG / 1000,
    )


def _decide_who_it_is(world: World, page: Page, there: Page) -> None:
    """Two clients have the next buyer's e-mail: one is chosen, and what waited goes on."""
    email = world.next_email_of_the_shop()
    with world.database() as connection:
        chosen, _other = connection.execute(
            "UPDATE clients SET email = %s WHERE id IN"
            " (SELECT id FROM clients WHERE source IS DISTINCT FROM 'WooCommerce' ORDER BY id LIMIT 2) RETURNING id",
            [email],
        ).fetchall()
    there.get_by_role("button", name="Une commande arrive").click()
    page.goto(f"{HOME}/a-revoir")
    row = page.get_by_test_id("woo-review-row")
    eventually(lambda: page.reload() is not None and row.count() == 1, within=LONG / 1000)
    expect(page.get_by_test_id("woo-review-count")).to_have_text("1")
    assert findings(page) == []
    row.locator(f"button[value='{chosen[0]}']").click()
    expect(page.get_by_role("main")).to_contain_text("Rien à revoir.")
    page.goto(f"/clients/{chosen[0]}")
    _until(page, page.get_by_test_id("woo-order-row"), "processing")
    sold = page.get_by_test_id("subscription-row").and_(page.locator("[data-status=active]"))
    eventually(lambda: page.reload() is not None and sold.count(), within=LONG / 1000)


def _read_what_came(page: Page, shot: Shot) -> None:
    """What the shop sent is masked, until an admin asks; the client's history tells."""
    page.goto(f"{HOME}/evenements?sujet=customer.updated")
    page.get_by_test_id("woo-event-row").first.get_by_role("link").first.click()
    body = page.get_by_test_id("woo-event-body")
    expect(body).to_contain_text("•••")
    expect(body).not_to_contain_text("@boutique.example")
    assert findings(page) == []
    shot(page, "woocommerce-evenement")
    page.get_by_test_id("reveal-body").click()
    expect(body).to_contain_text("@boutique.example")
    page.get_by_role("main").locator("a[href*='/clients/']").first.click()
    expect(page.get_by_role("main")).to_contain_text("Notification d’une boutique affichée en clair")
