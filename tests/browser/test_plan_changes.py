"""A plan changed in mid-month: the preview says what the invoice that follows says."""

import re

from playwright.sync_api import Page, expect

from tests.browser.charging import charge_what_is_due
from tests.browser.conftest import Shot, SignIn
from tests.browser.test_accessibility import findings
from tests.browser.world import World


def test_the_preview_of_a_change_equals_the_invoice_that_follows(synced: World, sign_in: SignIn, shot: Shot) -> None:
    page = sign_in("manager.nord")
    subscription = _sell(page)
    charge_what_is_due(page)
    page.goto(f"{subscription}/lignes")
    page.get_by_label("Prix unitaire HT").fill("60")
    page.get_by_label("Dès maintenant, au prorata").check()
    page.get_by_role("button", name="Voir l’aperçu").last.click()
    preview = page.get_by_test_id("change-preview")
    amount = preview.get_attribute("data-amount")
    assert amount is not None
    assert float(amount) > 0
    lines = [row.inner_text().split("\t") for row in page.get_by_test_id("preview-line").all()]
    shot(page, "change-preview")
    assert findings(page) == []
    page.get_by_role("button", name="Confirmer").click()
    expect(page.get_by_test_id("toast").filter(has_text="il vaut dès maintenant").first).to_be_visible()
    page.get_by_test_id("charge-row").filter(has_text="complément").get_by_role("link").click()
    invoice = page.locator("a[href^='/factures/']")
    expect(invoice).to_be_visible()
    invoice.click()
    shown = _plain(page.locator("main").inner_text())
    for label, _, before_tax in lines:
        assert _plain(label) in shown
        assert _plain(before_tax) in shown
    assert _plain(f"{float(amount):.2f}".replace(".", ",")) in shown


def _sell(page: Page) -> str:
    """A subscription of 30 € a month, paid by transfer, active; its address."""
    page.get_by_test_id("client-name").first.click()
    page.get_by_role("link", name="Créer un abonnement").click()
    page.get_by_role("button", name="Continuer").last.click()
    page.get_by_label("Libellé").fill("Coffret")
    page.get_by_label("Prix unitaire HT").fill("30")
    page.keyboard.press("Enter")
    page.get_by_label("Moyen de paiement").select_option(label="Virement")
    page.get_by_role("button", name="Continuer").last.click()
    page.get_by_role("button", name="Créer l’abonnement").click()
    page.locator("[data-action=activer]").click()
    expect(page.get_by_test_id("subscription-status")).to_have_attribute("data-status", "active")
    return page.url


def _plain(text: str) -> str:
    """Without the differences between spaces and dashes."""
    return re.sub(r"\s+", " ", text).replace("\u2212", "-").strip()
