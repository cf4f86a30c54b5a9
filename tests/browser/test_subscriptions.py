"""A recurring sale by hand: created in steps, started, charged by a click, paused; light, dark and on a telephone."""

from playwright.sync_api import expect

from tests.browser.conftest import LONG, Shot, SignIn
from tests.browser.looking import loaded_once
from tests.browser.world import World


def test_a_manager_sells_charges_and_pauses(synced: World, sign_in: SignIn, shot: Shot) -> None:
    page = sign_in("manager.nord")
    page.get_by_test_id("client-name").first.click()
    page.get_by_role("link", name="Créer un abonnement").click()
    page.get_by_role("button", name="Continuer").last.click()
    page.get_by_label("Libellé").fill("Coffret")
    page.get_by_label("Prix unitaire HT").fill("19,90")
    page.keyboard.press("Enter")
    page.get_by_label("Moyen de paiement").select_option(label="Virement")
    page.go_back()
    expect(page.get_by_label("Libellé")).to_have_value("Coffret")
    page.go_forward()
    page.get_by_label("Moyen de paiement").select_option(label="Virement")
    page.get_by_role("button", name="Continuer").last.click()
    expect(page.get_by_test_id("subscription-summary")).to_contain_text("23,88")
    page.get_by_role("button", name="Créer l’abonnement").click()
    page.locator("[data-action=activer]").click()
    expect(page.get_by_test_id("subscription-status")).to_have_attribute("data-status", "active")
    subscription = page.url

    page.goto("/prelevements")
    page.get_by_test_id("charges-run-button").click()
    progress = page.get_by_test_id("charges-progress")
    expect(progress).not_to_have_attribute("data-status", "running", timeout=LONG)
    expect(page.get_by_test_id("toast").filter(has_text="Prélèvements terminés").first).to_be_visible()
    expect(page.get_by_test_id("charges-preview")).to_have_attribute("data-count", "0")
    shot(page, "charges")

    page.goto(subscription)
    page.locator("[data-action=suspendre]").click()
    expect(page.get_by_label("Motif")).to_be_focused()
    page.get_by_label("Motif").fill("Vacances")
    page.get_by_test_id("action-form").get_by_role("button", name="Suspendre").click()
    expect(page.get_by_test_id("subscription-status")).to_have_attribute("data-status", "paused")


def test_every_page_of_money_can_be_read_by_everybody(charged: World, sign_in: SignIn, shot: Shot) -> None:
    page = sign_in("admin")
    for address in (
        "/abonnements",
        "/prelevements",
        "/prelevements/a-traiter",
        "/factures",
        "/preferences",
        "/lots/reglages/produits",
        "/abonnements/coupons",
    ):
        loaded_once(page, shot, address, address.strip("/").replace("/", "-"))
