"""The texts of messages in a browser: a slip is named at its line and mended, versions are compared and taken up."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Shot, SignIn
from tests.browser.test_accessibility import findings
from tests.browser.world import World

SIZES = {"desk": {"width": 1366, "height": 768}, "telephone": {"width": 390, "height": 844}}


def test_a_text_with_a_slip_is_mended_saved_and_taken_back(synced: World, sign_in: SignIn, shot: Shot) -> None:
    page = sign_in("admin")
    page.get_by_test_id("nav").get_by_role("link", name="Messages").click()
    page.get_by_role("link", name="Réglages").click()
    page.get_by_role("link", name="Paiement refusé", exact=True).click()
    preview, text = page.get_by_test_id("preview"), page.get_by_label("Texte", exact=True)
    expect(preview).to_contain_text("Bonjour Camille Martin")

    text.fill("Bonjour {{ nom_complet }},\n\nIl manque {{ montnat }}.")
    expect(preview.get_by_role("alert")).to_contain_text("Ligne 3")
    expect(preview.get_by_role("alert")).to_contain_text("Vouliez-vous dire «\u00a0montant\u00a0»")
    page.get_by_role("button", name="Enregistrer").click()
    expect(text).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#texte-error")).to_contain_text("Ligne 3")
    expect(text).to_have_value("Bonjour {{ nom_complet }},\n\nIl manque {{ montnat }}.")
    assert findings(page) == []
    shot(page, "message-text-refused")

    text.fill("Bonjour {{ nom_complet }},\n\nIl manque **{{ montant }}**.")
    expect(preview.locator("strong")).to_have_text("49,90\u00a0€")
    page.get_by_role("button", name="Enregistrer").click()
    expect(page.get_by_test_id("toast")).to_contain_text("Version 2 enregistrée")
    expect(page.get_by_test_id("version-row").first).to_have_attribute("data-version", "2")

    page.get_by_test_id("version-row").nth(1).get_by_role("link").click()
    expect(page.get_by_test_id("diff").locator("ins", has_text="Il manque **{{ montant }}**.")).to_be_visible()
    assert findings(page) == []
    shot(page, "message-text-diff")
    page.get_by_role("button", name="Reprendre cette version").click()
    expect(page.get_by_test_id("toast")).to_contain_text("Version 3 enregistrée")
    expect(preview).to_contain_text("n’a pas abouti")


def test_the_preview_shows_a_client_who_is_searched_for(synced: World, sign_in: SignIn) -> None:
    page = sign_in("admin")
    name = page.get_by_test_id("client-name").first.inner_text().split()[0]
    page.goto("/reglages/messages/textes/free?canal=sms")
    expect(page.get_by_test_id("sms-size")).to_contain_text("1 SMS")
    page.get_by_label("Aperçu pour le client").fill(name)
    expect(page.get_by_test_id("preview")).to_contain_text("Avec les données de")
    expect(page.get_by_test_id("preview")).to_contain_text(name)


@pytest.mark.parametrize("look", [("desk", "light"), ("telephone", "dark")], ids="-".join)
def test_the_pages_are_accessible_and_fit(synced: World, sign_in: SignIn, shot: Shot, look: tuple[str, str]) -> None:
    size, scheme = look
    page = sign_in("admin", color_scheme=scheme, viewport=SIZES[size])
    for name, path in (
        ("texts", "/reglages/messages"),
        ("text", "/reglages/messages/textes/dunning_reminder"),
        ("frame", "/reglages/messages/presentation"),
    ):
        page.goto(path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert findings(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        shot(page, f"message-{name}-{size}-{scheme}")


def test_the_frame_is_seen_before_it_is_saved(synced: World, sign_in: SignIn) -> None:
    page = sign_in("admin")
    page.goto("/reglages/messages/presentation")
    light = page.frame_locator("iframe[title='Aperçu en clair']")
    expect(light.get_by_text("Nous prélèverons")).to_be_visible()
    page.get_by_label("Ajout au pied de page").fill("Fermé le mardi")
    expect(light.get_by_text("Fermé le mardi")).to_be_visible()
    page.get_by_label("Couleur").fill("#ffee00")
    expect(page.locator("#apercu").get_by_role("alert")).to_contain_text("trop claire")
