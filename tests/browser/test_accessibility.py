"""axe-core on every page and state, light and dark: nothing serious, nothing critical."""

from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Shot, SignIn
from tests.browser.world import ROOT, World

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
Scheme = Literal["light", "dark"]
PHONE = {"width": 390, "height": 844}


def findings(page: Page) -> list[str]:
    """What axe calls serious or critical, as lines to read."""
    page.evaluate(Path(AXE).read_text())
    result: dict[str, Any] = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{violation['id']}: {violation['help']} — {node['target']} {node['html'][:160]}"
        for violation in result["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"][:3]
    ]


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> Scheme:
    """The colours that the person's system asks for."""
    chosen: Scheme = request.param
    return chosen


def test_the_list_and_the_panel(synced: World, sign_in: SignIn, shot: Shot, scheme: Scheme) -> None:
    page = sign_in("commercial.nord", color_scheme=scheme)
    expect(page.get_by_test_id("client-row").first).to_be_visible()
    assert findings(page) == []
    shot(page, f"list-{scheme}")
    page.locator("#sync-panel > summary").click()
    expect(page.get_by_test_id("sync-run").first).to_be_visible()
    page.get_by_test_id("sync-run").first.get_by_role("link").click()
    expect(page.locator("#sync-items")).to_be_visible()
    assert findings(page) == []
    shot(page, f"panel-{scheme}")


def test_a_client_and_its_form(synced: World, sign_in: SignIn, shot: Shot, scheme: Scheme) -> None:
    page = sign_in("manager.nord", at="/clients?source=winleadplus", color_scheme=scheme)
    page.get_by_test_id("client-name").first.click()
    expect(page.get_by_test_id("timeline")).to_be_visible()
    assert findings(page) == []
    shot(page, f"client-{scheme}")
    page.goto("/clients/nouveau")
    page.get_by_label("E-mail", exact=True).fill("quatsch")
    page.locator("main form [type=submit]").last.click()
    expect(page.locator("[aria-invalid=true]").first).to_be_visible()
    assert findings(page) == []
    shot(page, f"form-{scheme}")


def test_refusals(world: World, sign_in: SignIn, shot: Shot, scheme: Scheme) -> None:
    page = sign_in("sans.role", color_scheme=scheme)
    assert findings(page) == []
    page.context.clear_cookies()
    page.goto("/connexion/retour?error=access_denied&state=unknown")
    expect(page.get_by_role("heading", name="Connexion impossible")).to_be_visible()
    assert findings(page) == []
    shot(page, f"sign-in-error-{scheme}")


def test_a_telephone_shows_the_list_without_scrolling_sideways(synced: World, sign_in: SignIn, shot: Shot) -> None:
    page = sign_in("commercial.nord", viewport=PHONE)
    expect(page.get_by_test_id("client-row").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert findings(page) == []
    shot(page, "telephone-list")
    page.get_by_test_id("client-name").first.click()
    expect(page.get_by_test_id("timeline")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    shot(page, "telephone-client")
