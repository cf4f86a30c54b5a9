"""Consents on a client's page by keyboard, and the link by which the client withdraws one."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Shot, SignIn
from tests.browser.test_accessibility import findings
from tests.browser.world import World
from tests.examples import one_of

SIZES = {"desk": {"width": 1366, "height": 768}, "telephone": {"width": 390, "height": 844}}


@pytest.mark.parametrize("look", one_of(("telephone", "dark"), ("desk", "light")), ids="-".join)
def test_given_and_withdrawn_by_keyboard_in_two_presses_each(
    synced: World, sign_in: SignIn, shot: Shot, look: tuple[str, str]
) -> None:
    size, scheme = look
    page = sign_in("admin", color_scheme=scheme, viewport=SIZES[size])
    page.get_by_test_id("client-name").nth(3 if size == "desk" else 4).click()
    page.get_by_test_id("tab-consentements").press("Enter")
    email = page.locator("li[data-purpose=prospection_email]")
    expect(email).to_have_attribute("data-state", "")
    assert findings(page) == []

    for label, state in (("Noter un accord", "given"), ("Retirer l’accord", "withdrawn")):
        email.locator("summary", has_text=label).press("Enter")
        assert findings(page) == []
        shot(page, f"consents-{state}-form-{size}-{scheme}")
        email.locator("details[open]").get_by_role("button", name="Enregistrer").press("Enter")
        expect(email).to_have_attribute("data-state", state)
        expect(email.locator("summary").first).to_be_focused()
        expect(page.get_by_test_id("toast").last).to_contain_text("Prospection par e-mail")
    expect(page.get_by_test_id("consent-row")).to_have_count(2)
    _refused_on_paper(page)
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shot(page, f"consents-{size}-{scheme}")

    page.get_by_role("link", name="Textes présentés").click()
    expect(page.get_by_role("heading", name="Textes des consentements")).to_be_visible()
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shot(page, f"consent-wordings-{size}-{scheme}")


def _refused_on_paper(page: Page) -> None:
    """The form stays open, and the keyboard stands in the field that lacks something."""
    sms = page.locator("li[data-purpose=prospection_sms]")
    sms.locator("summary", has_text="Noter un accord").press("Enter")
    form = sms.locator("details[open]")
    form.get_by_label("Comment le client l’a dit").select_option("paper")
    form.get_by_role("button", name="Enregistrer").press("Enter")
    expect(form.get_by_label("Note")).to_be_focused()
    expect(form.get_by_role("alert")).to_contain_text("se prouve")
    expect(sms).to_have_attribute("data-state", "")


def test_a_link_that_is_none_says_what_to_do(synced: World, sign_in: SignIn, shot: Shot) -> None:
    page = sign_in("admin")
    page.goto("/desabonnement/inconnu")
    expect(page.get_by_test_id("unsubscribe")).to_contain_text("en répondant à ce message")
    assert findings(page) == []
    shot(page, "unsubscribe-unknown")
