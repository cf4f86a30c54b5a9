"""A gift by hand: an address of its own and a message, a cycle that is skipped, and the client's address again."""

from datetime import date, timedelta

from playwright.sync_api import expect

from tests.browser.conftest import Shot, SignIn
from tests.browser.test_accessibility import findings
from tests.browser.world import World


def test_a_gift_goes_elsewhere_and_a_cycle_is_skipped(synced: World, sign_in: SignIn, shot: Shot) -> None:
    page = sign_in("commercial.nord")
    page.get_by_test_id("client-name").first.click()
    page.get_by_role("link", name="Créer un abonnement").click()
    first = page.get_by_label("Première échéance")
    first.fill(str(date.fromisoformat(first.input_value()) + timedelta(days=30)))
    page.get_by_role("button", name="Continuer").last.click()
    page.get_by_label("Libellé").fill("Coffret")
    page.get_by_label("Prix unitaire HT").fill("19,90")
    page.get_by_role("button", name="Continuer").last.click()
    page.get_by_role("button", name="Continuer").last.click()
    page.get_by_role("button", name="Créer l’abonnement").click()
    page.locator("[data-action=activer]").click()

    page.get_by_role("link", name="Modifier la livraison").click()
    page.get_by_label("Destinataire", exact=True).fill("Zoé Petit")
    page.get_by_label("Adresse", exact=True).fill("12 bis rue du Port")
    page.get_by_label("Ville", exact=True).fill("Calais")
    page.get_by_label("Message (facultatif)").fill("Bon anniversaire,\nMamie")
    page.get_by_role("button", name="Enregistrer").click()
    expect(page.get_by_label("Code postal")).to_be_focused()
    assert findings(page) == []
    page.get_by_label("Code postal").fill("62100")
    page.get_by_role("button", name="Enregistrer").click()
    destination = page.get_by_test_id("destination")
    expect(destination).to_have_attribute("data-origin", "own")
    expect(destination).to_contain_text("62100 Calais")
    shot(page, "gift")

    page.locator("[data-action=sauter]").click()
    expect(page.get_by_test_id("skipped-cycle")).to_be_visible()
    expect(page.get_by_test_id("forecast-row").first).to_contain_text("sautée")
    assert findings(page) == []
    page.locator("[data-action=retablir]").click()
    expect(page.get_by_test_id("skipped-cycle")).to_have_count(0)

    page.get_by_role("link", name="Modifier la livraison").click()
    page.get_by_text("Livrer chez le client", exact=True).click()
    page.get_by_role("button", name="Effacer l’adresse").click()
    expect(destination).not_to_have_attribute("data-origin", "own")
    expect(destination).to_contain_text("Mamie")
