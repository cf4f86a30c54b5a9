"""« Réglages des lots »: who sends, and by whom, with the keyboard, on a desk and on a telephone."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Shot, SignIn
from tests.browser.test_accessibility import findings
from tests.browser.world import World
from tests.examples import one_of

SIZES = {"desk": {"width": 1366, "height": 768}, "telephone": {"width": 390, "height": 844}}


@pytest.mark.parametrize("look", one_of(("desk", "light"), ("telephone", "dark")), ids="-".join)
def test_a_company_says_who_sends_and_opens_its_account(
    world: World, sign_in: SignIn, shot: Shot, look: tuple[str, str]
) -> None:
    size, scheme = look
    service = {"desk": "Domicile sans signature", "telephone": "Domicile avec signature"}[size]
    page = sign_in("admin", at="/lots/reglages", color_scheme=scheme, viewport=SIZES[size])
    looks_right(page)
    shot(page, f"carriers-{size}-{scheme}")

    page.get_by_role("link", name="Colissimo pour").first.press("Enter")
    page.get_by_label("Numéro de contrat").fill("123456")
    page.get_by_label("Service", exact=True).select_option(service)
    page.get_by_role("button", name="Enregistrer").press("Enter")
    expect(page.get_by_label("Mot de passe")).to_be_focused()
    looks_right(page)
    page.get_by_label("Numéro de contrat").fill("123456")
    page.get_by_label("Mot de passe").fill("secret")
    page.get_by_role("button", name="Enregistrer").press("Enter")
    expect(page.get_by_test_id("toast").last).to_contain_text("Compte Colissimo")
    row = page.locator("[data-carrier=colissimo]", has_text=service)
    row.get_by_role("link").press("Enter")
    expect(page.get_by_label("Mot de passe")).to_have_value("")
    assert "secret" not in page.content()

    page.goto("/lots/reglages")
    page.get_by_role("link", name="Modifier l’expédition").first.press("Enter")
    page.get_by_label("À une autre adresse").check()
    page.get_by_label("Service ou personne").fill("Colis")
    page.get_by_label("Numéro et rue").fill("8 quai du Commerce " + "x" * 36)
    page.get_by_label("Code postal").fill("59000")
    page.get_by_label("Ville", exact=True).fill("Lille")
    page.get_by_role("button", name="Enregistrer").press("Enter")
    expect(page.get_by_label("Numéro et rue")).to_be_focused()
    expect(page.locator("#rue-error")).to_contain_text("ne tient pas sur l’étiquette")
    looks_right(page)
    page.get_by_label("Numéro et rue").fill("8 quai du Commerce")
    page.get_by_role("button", name="Enregistrer").press("Enter")
    expect(page.get_by_test_id("shipper").first).to_contain_text("8 quai du Commerce, 59000 Lille")
    looks_right(page)


def test_the_pretend_carrier_is_asked_whether_it_is_there(world: World, sign_in: SignIn) -> None:
    page = sign_in("admin", at="/lots/reglages")
    check = page.locator("[data-carrier=sandbox]").first.get_by_test_id("check-connection")
    check.press("Enter")
    expect(page.get_by_test_id("toast").last).to_have_attribute("data-kind", "success")
    world.carrier(mode="down")
    check.press("Enter")
    expect(page.get_by_test_id("toast").last).to_have_attribute("data-kind", "error")
    world.carrier(mode="ok")


def looks_right(page: Page) -> None:
    """Nothing that axe finds, and nothing wider than the screen."""
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
