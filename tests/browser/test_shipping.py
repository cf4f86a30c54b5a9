"""A prepared batch is dispatched, labelled, printed, handed over and completed, at a desk."""

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import LONG, Shot, SignIn
from tests.browser.test_accessibility import findings
from tests.browser.world import World


def test_a_manager_ships_a_batch(first_morning: World, sign_in: SignIn, shot: Shot) -> None:
    page = sign_in("manager.nord", at="/prelevements", viewport={"width": 1280, "height": 844})
    _prepare(page)

    page.get_by_role("link", name="Expéditions", exact=True).last.click()
    _look(page, shot, "shipping-locked")
    page.get_by_test_id("batch-action").press("Enter")
    rest = page.get_by_label("préparée")
    expect(rest).to_have_attribute("aria-invalid", "true")
    _look(page, shot, "shipping-refused")
    rest.select_option("reporter")
    page.get_by_label("Motif").fill("Rupture de stock")
    page.get_by_test_id("batch-action").press("Enter")
    row = page.get_by_test_id("shipment-row")
    expect(row).to_have_attribute("data-status", "labelled", timeout=LONG)
    assert row.get_attribute("data-tracking")
    _look(page, shot, "shipping-labelled")

    batch = page.url
    row.get_by_role("link").first.press("Enter")
    with page.expect_download() as label:
        page.get_by_test_id("label-download").press("Enter")
    assert label.value.path().read_bytes().startswith(b"%PDF-")
    _look(page, shot, "shipment")

    page.goto(re.sub(r"onglet=\w+", "onglet=documents", batch))
    for kind in ("delivery_notes", "labels"):
        page.locator(f"[data-testid=ask-documents][data-kind={kind}]").press("Enter")
        part = page.locator(f"[data-testid=document-part][data-kind={kind}]")
        expect(part).to_have_attribute("data-status", "made", timeout=LONG)
    _look(page, shot, "shipping-documents")

    page.goto(batch)
    row.get_by_role("checkbox").check()
    page.get_by_test_id("hand-over-chosen").press("Enter")
    expect(page.get_by_test_id("toast").first).to_contain_text("1 expédition remise au transporteur.")
    expect(row).to_have_attribute("data-status", "handed_over")
    page.locator("[data-action=complete]").press("Enter")
    expect(page.get_by_test_id("batch-status")).to_have_attribute("data-status", "completed")
    row.get_by_role("link").last.press("Enter")
    expect(page.get_by_test_id("client-shipments").get_by_test_id("shipment-row")).to_have_count(1)
    expect(page.get_by_test_id("timeline-event").filter(has_text="Expédition remise au transporteur")).to_have_count(1)
    _look(page, shot, "client-shipped")


def _prepare(page: Page) -> None:
    """What is due is charged, locked, and one consignment of it prepared."""
    page.get_by_role("button", name="Lancer les prélèvements").click()
    page.goto("/lots")
    open_batch = page.get_by_test_id("batch-row").first
    expect(open_batch).to_be_visible(timeout=LONG)
    open_batch.get_by_role("link").click()
    expect(page.get_by_test_id("batch-line").nth(1)).to_be_visible(timeout=LONG)
    page.get_by_text("Verrouiller maintenant").press("Enter")
    page.get_by_test_id("batch-action").press("Enter")
    expect(page.get_by_test_id("batch-status")).to_have_attribute("data-status", "locked", timeout=LONG)
    page.get_by_role("link", name="Préparation").click()
    page.get_by_label("Référence scannée").fill("L000001-0001")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("scan-result")).to_contain_text("L000001-0001 est préparé.")


def _look(page: Page, shot: Shot, name: str) -> None:
    """It is accessible, and nothing sticks out of the screen."""
    shot(page, name)
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
