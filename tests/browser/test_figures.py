"""Pages of figures in a real browser: nothing serious for axe, charts drawn under our policy, numbers that lead on."""

from playwright.sync_api import expect

from tests.browser.conftest import Shot, SignIn
from tests.browser.looking import loaded_once
from tests.browser.world import World

PAGES = {
    "dashboard": "/?periode=annee",
    "contracts": "/contrats?statut=signes&mandat=sans",
    "commercials": "/commerciaux?periode=annee",
    "direction": "/statistiques?periode=annee",
    "commercial": "/statistiques?onglet=commercial&periode=annee",
    "risks": "/statistiques?onglet=risques",
    "teams": "/equipes",
    "backwards": "/?du=2026-11-20&au=2026-11-01",
}


def test_axe_has_nothing_serious_to_say(charged: World, sign_in: SignIn, shot: Shot) -> None:
    page = sign_in("admin")
    for name, address in PAGES.items():
        loaded_once(page, shot, address, name)


def test_charts_are_drawn_and_follow_the_theme(world: World, sign_in: SignIn) -> None:
    page = sign_in("admin", at="/?periode=annee", color_scheme="light")
    expect(page.locator("canvas").first).to_be_visible()
    ticks = "Chart.getChart(document.querySelector('canvas'))?.options.scales.x.ticks.color"
    page.wait_for_function(f"{ticks} !== undefined")
    light = page.evaluate(ticks)
    page.get_by_test_id("user-menu").click()
    page.get_by_role("button", name="Sombre").click()
    page.wait_for_function(f"light => {ticks} !== light", arg=light)


def test_a_manager_goes_from_a_number_to_its_rows_by_keyboard(world: World, sign_in: SignIn) -> None:
    page = sign_in("manager.nord", at="/?periode=annee")
    row = page.get_by_test_id("kpi-row").first
    count = row.get_attribute("data-count")
    row.get_by_role("link").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("result-count")).to_have_attribute("data-count", count or "")
