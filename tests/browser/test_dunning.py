"""An unpaid client is followed: the list, the case, a promise, a letter that is posted; light, dark, on a telephone."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Shot, SignIn
from tests.browser.test_accessibility import findings
from tests.browser.world import World
from tests.examples import one_of


@pytest.mark.parametrize(("scheme", "width"), one_of(("dark", 390), ("light", 1366)))
def test_a_manager_follows_an_unpaid_client(
    first_morning: World, sign_in: SignIn, shot: Shot, scheme: str, width: int
) -> None:
    page = sign_in(
        "manager.nord", at="/relances?groupe=tous", color_scheme=scheme, viewport={"width": width, "height": 844}
    )
    expect(page.get_by_test_id("case-row")).to_have_count(4)
    _look(page, shot, f"cases-{scheme}-{width}")

    page.get_by_test_id("case-row").last.get_by_role("link").first.press("Enter")
    expect(page.get_by_test_id("to-come")).to_contain_text("Mise en demeure (lettre)")
    page.get_by_role("link", name="Promesse").press("Enter")
    expect(page.get_by_label("Jusqu’au")).to_be_focused()
    page.get_by_label("Jusqu’au").fill("2020-01-01")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Jusqu’au")).to_have_attribute("aria-invalid", "true")
    _look(page, shot, f"promise-{scheme}-{width}")
    page.get_by_label("Jusqu’au").fill(str(page.get_by_label("Jusqu’au").get_attribute("min")))
    page.get_by_test_id("action-form").get_by_role("button", name="Promesse").press("Enter")
    expect(page.get_by_test_id("toast").first).to_contain_text("Promesse notée")
    expect(page.get_by_test_id("case-status")).to_have_attribute("data-status", "paused")
    _look(page, shot, f"case-{scheme}-{width}")

    page.goto("/relances/lettres")
    first = page.get_by_test_id("letter-row").first
    expect(first).to_be_visible()
    for box in page.get_by_test_id("letter-row").get_by_role("checkbox").all()[1:]:
        box.uncheck()
    first.get_by_role("textbox").fill("1A 123 456 7890 1")
    _look(page, shot, f"letters-{scheme}-{width}")
    client = str(first.get_by_role("rowheader").inner_text()).splitlines()[0]
    page.get_by_test_id("posted").press("Enter")
    expect(page.get_by_test_id("toast").first).to_contain_text("1 lettre postée")

    page.goto(f"/clients?q={client.split(maxsplit=1)[0]}")
    page.get_by_role("link", name=client).first.click()
    expect(page.get_by_test_id("unpaid-badge")).to_contain_text(re.compile("Impayé .* mise en demeure envoyée le"))
    _look(page, shot, f"client-{scheme}-{width}")


def _look(page: Page, shot: Shot, name: str) -> None:
    """It is accessible, and nothing sticks out of the screen."""
    shot(page, name)
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
