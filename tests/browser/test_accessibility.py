"""axe-core on every page and state, light and dark: nothing serious, nothing critical."""

from collections.abc import Sequence
from typing import Any, Literal

import pytest
from playwright.sync_api import Page, expect
from playwright.sync_api import TimeoutError as NotInTimeError

from tests.browser.conftest import DESK, Shot, SignIn
from tests.browser.world import ROOT, World

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
Scheme = Literal["light", "dark"]
OF_COLOURS = ("color-contrast", "link-in-text-block")
"""The rules that a page may break in other colours alone."""
PHONE = {"width": 390, "height": 844}
LATER_ROWS = "tbody tr:nth-child(n+9)"
"""They are like the eight above, and take axe twice as long as all else."""


def findings(page: Page, *rules: str, without: Sequence[str] = ()) -> list[str]:
    """What axe calls serious or critical, as lines to read; by some of its rules only, or ``without`` some."""
    page.evaluate(AXE.read_text())  # each time: the page may have been left for another meanwhile
    asked: dict[str, Any] = {"resultTypes": ["violations"], "rules": {rule: {"enabled": False} for rule in without}}
    asked |= {"runOnly": rules} if rules else {}
    where = {"exclude": [[LATER_ROWS]]}
    result: dict[str, Any] = page.evaluate("([where, asked]) => axe.run(where, asked)", [where, asked])
    return [
        f"{violation['id']}: {violation['help']} — {node['target']} {node['html'][:160]}"
        for violation in result["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"][:3]
    ]


ROWS = {
    "client": "SELECT client_id FROM subscriptions ORDER BY id",
    "contract": "SELECT id FROM contracts WHERE source = 'WinLeadPlus' ORDER BY id",
    "commercial": "SELECT commercial_id FROM contracts WHERE commercial_id IS NOT NULL ORDER BY id",
    "subscription": "SELECT subscription_id FROM charges ORDER BY id",
    "refused": "SELECT id FROM charges WHERE attention = 'refused' ORDER BY id",
    "invoice": "SELECT id FROM invoices ORDER BY id",
}
"""Of each thing that has a page, one of the first organisation's that has something to show."""
PAGES = (
    "/clients/{client}",
    "/clients/{client}?onglet=paiements",
    "/clients/{client}?onglet=activites",
    "/clients/{client}?onglet=documents",
    "/clients/{client}/modifier",
    "/contrats",
    "/contrats/{contract}",
    "/contrats/{contract}/modifier",
    "/contrats/nouveau",
    "/commerciaux",
    "/commerciaux/{commercial}",
    "/commerciaux/{commercial}?onglet=contrats",
    "/commerciaux/{commercial}?onglet=activites",
    "/commerciaux/{commercial}?onglet=documents",
    "/statistiques?onglet=abonnements&periode=annee",
    "/statistiques?onglet=commercial",
    "/recherche?q=li",
    "/abonnements/{subscription}",
    "/abonnements/{subscription}?action=resilier",
    "/abonnements/{subscription}/lignes",
    "/abonnements/{subscription}/offre",
    "/abonnements/{subscription}/rythme",
    "/abonnements/{subscription}/paiement",
    "/abonnements/{subscription}/preferences",
    "/abonnements/nouveau?client={client}",
    "/preferences/nouvelle",
    "/prelevements/{refused}?action=abandonner",
    "/factures/{invoice}",
    "/synchronisations",
    "/synchronisations/reglages",
    "/societes",
    "/societes/nouvelle",
    "/lots/reglages/produits",
    "/mes-sessions",
    "/integrations/woocommerce",
    "/integrations/woocommerce/nouvelle",
    "/integrations/woocommerce/evenements",
    "/integrations/woocommerce/a-revoir",
)


def addresses(world: World) -> list[str]:
    """The pages, each with the ids of something that is there."""
    with world.database() as connection:
        found = {name: connection.execute(f"{statement} LIMIT 1").fetchone() for name, statement in ROWS.items()}  # type: ignore[arg-type]
    ids = {name: row[0] for name, row in found.items() if row}
    return [address.format_map(ids) for address in PAGES]


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


def test_every_other_page_in_light_in_dark_and_on_a_telephone(charged: World, sign_in: SignIn, shot: Shot) -> None:
    page = sign_in("admin")
    found = {}
    for number, address in enumerate(addresses(charged)):
        page.set_viewport_size(DESK)
        page.emulate_media(color_scheme="light")
        answer = page.goto(address)
        assert answer is not None
        assert answer.ok, address
        shot(page, f"page-{number:02d}-light")
        found[address] = findings(page)
        page.emulate_media(color_scheme="dark")
        shot(page, f"page-{number:02d}-dark")
        found[address] += [f"dark: {line}" for line in findings(page, *OF_COLOURS)]
        page.set_viewport_size(PHONE)
        try:  # a chart takes its new size a moment later
            page.wait_for_function("() => document.documentElement.scrollWidth <= innerWidth", timeout=5_000)
        except NotInTimeError:
            found[address] += ["wider than a telephone"]
    assert {address: lines for address, lines in found.items() if lines} == {}


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
