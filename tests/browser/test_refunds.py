"""Money given back: from the invoice to the credit note, by keyboard; light, dark and on a telephone."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.charging import charge_what_is_due
from tests.browser.conftest import Shot, SignIn
from tests.browser.test_accessibility import findings
from tests.browser.world import World, eventually
from tests.examples import one_of


@pytest.mark.parametrize(("scheme", "width"), one_of(("light", 1366), ("dark", 390)))
def test_a_manager_gives_part_of_a_payment_back(
    synced: World, sign_in: SignIn, shot: Shot, scheme: str, width: int
) -> None:
    page = sign_in("manager.nord", color_scheme=scheme, viewport={"width": width, "height": 844})
    charge_what_is_due(page)  # some of the demo's subscriptions are paid at once
    page.goto(eventually(lambda: _find_paid_online(synced)))
    page.get_by_role("link", name="Rembourser").press("Enter")
    expect(page.get_by_label("Montant TTC")).to_be_focused()
    page.get_by_label("Montant TTC").fill("1,50")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Motif")).to_have_attribute("aria-invalid", "true")
    _look(page, shot, f"refund-form-{scheme}-{width}")
    page.get_by_label("Motif").fill("Colis arrivé abîmé")
    page.get_by_test_id("action-form").get_by_role("button", name="Rembourser").press("Enter")
    expect(page.get_by_test_id("toast").first).to_contain_text(re.compile(r"Remboursement de P-\d+ enregistré"))
    _look(page, shot, f"refund-{scheme}-{width}")

    page.get_by_role("link", name=re.compile("FA-")).click()
    expect(page.get_by_role("heading", name=re.compile("Facture FA-"))).to_be_visible()
    eventually(lambda: _has_numbered_note(page))
    _look(page, shot, f"invoice-credited-{scheme}-{width}")
    page.get_by_test_id("credit-note-row").last.get_by_role("link").press("Enter")
    expect(page.get_by_test_id("corrected-invoice")).to_contain_text("Facture FA-")
    _look(page, shot, f"credit-note-{scheme}-{width}")
    with page.expect_download() as download:
        page.get_by_test_id("invoice-pdf").click()
    assert re.fullmatch(r"Avoir AV-\d{6}\.pdf", download.value.suggested_filename)
    page.goto("/factures")
    page.get_by_test_id("filter-kind").select_option(label="Avoirs")
    expect(page.get_by_test_id("result-count")).to_contain_text("avoir")
    expect(page).to_have_url(re.compile("genre=credit_note"))


def _find_paid_online(world: World) -> str | None:
    """The page of an invoice that a provider was paid for: another worker numbers it, a moment after the charge."""
    with world.database() as connection:
        row = connection.execute(
            "SELECT invoices.id FROM invoices JOIN payments USING (organisation_id, charge_id)"
            " WHERE invoices.status = 'paid' AND payments.provider IS NOT NULL"
            " ORDER BY invoices.number LIMIT 1"
        ).fetchone()
    return f"/factures/{row[0]}" if row else None


def _has_numbered_note(page: Page) -> bool:
    page.reload()
    note = page.get_by_test_id("credit-note-row").last
    return bool(note.count()) and (note.get_attribute("data-number") or "").startswith("AV-")


def _look(page: Page, shot: Shot, name: str) -> None:
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shot(page, name)
