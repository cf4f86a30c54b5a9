"""From a client without anything to a first payment, by the pages and the provider's own page."""

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import LONG, Shot, SignIn
from tests.browser.test_accessibility import findings
from tests.browser.world import World
from tests.examples import one_of

SIZES = {"desk": {"width": 1366, "height": 768}, "telephone": {"width": 390, "height": 844}}


@pytest.mark.parametrize("look", one_of(("telephone", "dark"), ("desk", "light")), ids="-".join)
def test_a_client_gives_a_card_and_pays_the_first_cycle(
    synced: World, sign_in: SignIn, chromium: Browser, shot: Shot, look: tuple[str, str]
) -> None:
    size, scheme = look
    page = sign_in("admin", color_scheme=scheme, viewport=SIZES[size])
    synced.payment_provider(mode="ok", webhooks="reorder")
    client, subscription = _sell(page, f"Souscripteur {scheme} {size}")

    page.get_by_test_id("ask-for-means").click()
    assert findings(page) == []
    page.get_by_label("Encaisser ce qui est dû").check()
    shot(page, f"means-form-{scheme}-{size}")
    page.get_by_role("button", name="Préparer le lien").click()
    expect(page.get_by_test_id("means-request")).to_have_attribute("data-status", "draft")
    assert findings(page) == []
    shot(page, f"means-request-{scheme}-{size}")
    page.get_by_role("button", name="J’ai transmis le lien").click()
    expect(page.get_by_test_id("means-request")).to_have_attribute("data-status", "sent")
    link = page.get_by_test_id("means-link-address").input_value()

    visitor = chromium.new_context(color_scheme=scheme, viewport=SIZES[size], locale="fr-FR")  # type: ignore[arg-type]
    _answer(visitor.new_page(), link, shot, f"{scheme}-{size}")
    visitor.close()

    # Nobody touches the page: it finds out by itself.
    expect(page.get_by_test_id("means-request")).to_have_attribute("data-status", "done", timeout=LONG)
    expect(page.get_by_test_id("saved-method")).to_contain_text("Visa •••• 4242")
    shot(page, f"means-done-{scheme}-{size}")
    page.goto(subscription)
    expect(page.get_by_test_id("subscription-status")).to_have_attribute("data-status", "active")
    page.goto(f"{client}?onglet=paiements")
    expect(page.get_by_test_id("means-request-row")).to_have_attribute("data-status", "done")
    expect(page.get_by_test_id("invoice-row")).to_have_attribute("data-total", "23.88", timeout=LONG)
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shot(page, f"means-tab-{scheme}-{size}")
    assert synced.captures_of(subscription.rsplit("/", 1)[1]) == ["23.88"]


def _sell(page: Page, name: str) -> tuple[str, str]:
    """A new client with a pending subscription: the addresses of both."""
    page.goto("/clients/nouveau")
    page.get_by_label("Nom", exact=True).fill(name)
    page.get_by_role("button", name="Créer").click()
    page.get_by_role("link", name="Créer un abonnement").wait_for()
    client = page.url.partition("?")[0]
    page.get_by_role("link", name="Créer un abonnement").click()
    page.get_by_role("button", name="Continuer").last.click()
    page.get_by_label("Libellé").fill("Coffret")
    page.get_by_label("Prix unitaire HT").fill("19,90")
    page.get_by_role("button", name="Continuer").last.click()
    page.get_by_label("Moyen de paiement").wait_for()
    page.get_by_role("button", name="Continuer").last.click()
    page.get_by_role("button", name="Créer l’abonnement").click()
    page.get_by_test_id("ask-for-means").wait_for()
    return client, page.url


def _answer(visit: Page, link: str, shot: Shot, name: str) -> None:
    """What the client does: leave, come back, try a card without money, give another."""
    visit.goto(link)
    expect(visit.get_by_role("heading", name="Bac à sable")).to_be_visible()
    visit.get_by_role("link", name="Revenir sans rien enregistrer").click()
    expect(visit.get_by_test_id("means-link")).to_contain_text("Rien n’a été enregistré")
    assert findings(visit) == []
    shot(visit, f"means-left-{name}")
    visit.get_by_role("link", name="Ouvrir la page de paiement").click()
    visit.get_by_label("4000 0000 0000 9995").check()
    visit.get_by_role("button", name="Payer").click()
    expect(visit.get_by_role("alert")).to_contain_text("Provision insuffisante")
    visit.get_by_label("4242").check()
    visit.get_by_role("button", name="Payer").click()
    expect(visit.get_by_role("heading", name="Merci")).to_be_visible()
    shot(visit, f"means-thanks-{name}")
