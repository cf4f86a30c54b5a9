"""What was charged fills a batch, is held, locked, scanned and set aside, on a telephone (test_shipping.py: a desk)."""

from playwright.sync_api import Page, expect

from tests.browser.conftest import LONG, Shot, SignIn
from tests.browser.test_accessibility import findings
from tests.browser.world import World


def test_a_manager_prepares_a_batch(first_morning: World, sign_in: SignIn, shot: Shot) -> None:
    page = sign_in("manager.nord", at="/prelevements", color_scheme="dark", viewport={"width": 390, "height": 844})
    page.get_by_role("button", name="Lancer les prélèvements").click()
    page.goto("/lots")
    row = page.get_by_test_id("batch-row")
    expect(row.first).to_be_visible(timeout=LONG)  # the open batch is asked for by itself
    _look(page, shot, "batches")

    row.first.get_by_role("link").press("Enter")
    lines = page.get_by_test_id("batch-line")
    expect(lines.first).to_have_attribute("data-status", "pending")
    held = lines.count() - 1
    lines.last.get_by_role("checkbox").check()
    page.get_by_label("Motif").press("Enter")  # presses no button of a line
    expect(page.get_by_test_id("toast")).to_have_count(0)
    page.get_by_label("Motif").fill("Adresse à confirmer")
    page.get_by_role("button", name="Retenir").press("Enter")
    expect(page.get_by_test_id("toast").first).to_contain_text("1 ligne retenue.")
    _look(page, shot, "batch-open")

    page.get_by_text("Verrouiller maintenant").press("Enter")
    page.get_by_test_id("batch-action").press("Enter")
    expect(page.get_by_test_id("batch-status")).to_have_attribute("data-status", "locked", timeout=LONG)
    expect(page.get_by_test_id("toast").first).to_contain_text("verrouillé")
    _look(page, shot, "batch-locked")

    page.get_by_role("link", name="Préparation").press("Enter")
    field = page.get_by_label("Référence scannée")
    expect(field).to_be_focused()
    for reference, said in (
        ("L000001-0001", "L000001-0001 est préparé."),
        ("L000001-0001", "Déjà préparé"),
        ("L000009-0001", "Référence inconnue dans ce lot."),
    ):
        page.keyboard.type(reference)
        page.keyboard.press("Enter")
        expect(page.get_by_test_id("scan-result")).to_contain_text(said)
        expect(field).to_be_focused()
        expect(field).to_have_value("")
    expect(page.get_by_test_id("prepared")).to_have_attribute("data-prepared", "1")
    _look(page, shot, "batch-preparation")

    page.get_by_role("link", name="Lignes").press("Enter")
    expect(lines).to_have_count(held)
    lines.first.get_by_role("checkbox").check()
    page.get_by_label("Motif").fill("Carton abîmé")
    page.get_by_role("button", name="Mettre de côté").press("Enter")
    expect(page.get_by_test_id("toast").first).to_contain_text("1 ligne mise de côté.")
    page.get_by_label("Parties du lot").get_by_role("link", name="De côté").press("Enter")
    aside = page.get_by_test_id("set-aside-row")
    expect(aside).to_contain_text("Carton abîmé")
    _look(page, shot, "batch-aside")
    aside.get_by_role("button", name="Reprendre dans ce lot").press("Enter")
    expect(page.get_by_test_id("toast").first).to_contain_text("1 ligne reprise dans ce lot.")
    expect(page.get_by_text("Rien n’est de côté.")).to_be_visible()


def _look(page: Page, shot: Shot, name: str) -> None:
    """It is accessible, and nothing sticks out of the screen."""
    shot(page, name)
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
