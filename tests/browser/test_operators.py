"""An operator declares a claim, repairs, sends a report, closes it and asks how it was: each of it is seen by staff."""

import re

from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import LONG, Shot, SignIn
from tests.browser.test_accessibility import findings
from tests.browser.world import World, eventually

FIGURES = "/statistiques?onglet=depanssur"


def test_what_an_operator_tells_of_a_claim_is_decided_followed_and_counted(
    first_morning: World, sign_in: SignIn, shot: Shot
) -> None:
    page = sign_in("admin", at="/couvertures")
    accepted = _accepted(page)
    page.goto("/couvertures")
    page.get_by_role("row").filter(has_text="Assistance sérénité").filter(has_text="Actif").get_by_role(
        "link"
    ).first.click()
    number = re.search(r"V-\d+", page.get_by_role("heading", level=1).inner_text())
    assert number
    there = page.context.new_page()
    there.goto(first_morning.known["depanssur_operator_url"])
    there.get_by_label("Couverture").fill(number[0])
    there.get_by_label("Montant").fill("120.00")
    there.get_by_label("Mots du client").fill("<b>Fuite</b> sous l’évier")
    there.get_by_role("button", name="Déclarer").click()
    file = there.locator("tr[data-number]").first
    external_id = file.get_attribute("data-number")

    page.goto(f"/couvertures/operateurs/evenements?dossier={external_id}")
    event = page.get_by_test_id("operator-event-row")
    _until(page, event, "done")
    event.get_by_role("link", name=re.compile("DEP-")).click()
    expect(page.get_by_role("main")).to_contain_text("90\u00a0€ pris en charge sur 120\u00a0€ demandés")
    expect(page.get_by_role("main")).to_contain_text("<b>Fuite</b>")
    claim = page.url

    for act in ("Intervention", "Document", "Clore", "Enquête"):
        there.reload()
        file.get_by_role("button", name=act).click()
    eventually(lambda: _has_come(page, claim), within=LONG / 1000)
    assert findings(page) == []
    shot(page, "claim-with-news")
    assert _accepted(page) == accepted + 1


def _has_come(page: Page, claim: str) -> bool:
    """Whether the file is closed, with the operator's document and the client's answer."""
    page.goto(claim)
    is_closed = "Clos" in page.get_by_test_id("reported-state").inner_text()
    shown = [page.get_by_test_id(name).count() for name in ("claim-document", "claim-satisfaction")]
    return is_closed and shown == [1, 1]


def _accepted(page: Page) -> int:
    """How many claims were accepted this month, by the figures."""
    page.goto(FIGURES)
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="Sinistres acceptés", exact=True))
    return int(row.get_by_role("cell").inner_text())


def _until(page: Page, event: Locator, state: str) -> None:
    def is_so() -> bool:
        page.reload()
        return event.count() == 1 and event.get_attribute("data-state") == state

    eventually(is_so, within=LONG / 1000)
