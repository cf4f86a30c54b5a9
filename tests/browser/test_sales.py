"""The life of a cover: sold by keyboard, accepted by the link in the e-mail, paid, and waiting; once that is over an
operator declares a claim, repairs, sends a report, closes it and asks how it was, and the figures count it.

How long it takes a commercial is reckoned by the keystroke-level model (Card, Moran and Newell, 1983): 0.28 s for each
key of somebody who types without training, 1.35 s to think before each field, choice and page, and the time that the
product takes to answer, as measured here.
"""

import re
import time
from html import unescape
from typing import Any

import psycopg
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import LONG, Shot, SignIn
from tests.browser.test_accessibility import findings
from tests.browser.world import World, eventually

FIGURES = "/statistiques?onglet=depanssur"
KEY, THOUGHT, THREE_MINUTES = 0.28, 1.35, 180


IS_AT_ITS_BEGINNING = """() => {
    const first = document.querySelector("[autofocus]")
    return !first || first === document.activeElement
}"""
"""A page that is loaded takes the focus to where one begins a moment later: a key before that is lost."""


class Typist:
    """A commercial who never touches the mouse; ``seconds`` is what it takes them, ``keys`` what they press."""

    def __init__(self, page: Page) -> None:
        self.page, self.keys, self.thoughts, self.waited = page, 0, 0, 0.0

    def press(self, *keys: str) -> None:
        """Keys, one after the other."""
        for key in keys:
            self.page.keyboard.press(key)
            self.keys += 1

    def write(self, text: str) -> None:
        """A text, into what has the focus."""
        self.thoughts += 1
        self.page.keyboard.type(text)
        self.keys += len(text)

    def go_to(self, target: Locator) -> None:
        """Tab by tab."""
        self.thoughts += 1
        for _ in range(30):
            if target.evaluate("element => element === document.activeElement"):
                return
            self.press("Tab")
        raise AssertionError(f"the keyboard does not reach {target}")

    def enter(self, page: str) -> None:
        """Enter, and the page of that name is there."""
        self.thoughts += 1
        started = time.monotonic()
        self.press("Enter")
        self.page.wait_for_url(f"**/{page}")
        self.page.wait_for_function(IS_AT_ITS_BEGINNING)
        self.waited += time.monotonic() - started

    @property
    def seconds(self) -> float:
        """What it takes."""
        return self.keys * KEY + self.thoughts * THOUGHT + self.waited


def test_a_cover_is_sold_in_three_minutes_accepted_paid_and_of_use(
    synced: World, sign_in: SignIn, chromium: Browser, shot: Shot
) -> None:
    synced.payment_provider(mode="ok", webhooks="reorder")
    page = sign_in("commercial.nord", at="/souscriptions/nouvelle")
    typist = Typist(page)
    _write_client(typist)
    _look(page, shot, "sale-home")
    typist.write("A")  # appartement
    typist.press("Tab")
    typist.write("L")  # locataire
    typist.press("Tab")
    typist.enter("formule")
    typist.go_to(page.get_by_role("radio", name=re.compile("Assistance habitation")).first)
    typist.press("Space")
    typist.go_to(page.get_by_role("checkbox", name=re.compile("Serrurerie")).first)
    typist.press("Space")
    expect(page.get_by_test_id("sale-price")).to_contain_text("17,22\u00a0€ TTC par mois")
    _look(page, shot, "sale-plan")
    typist.enter("documents")
    _look(page, shot, "sale-documents")
    typist.enter("paiement")
    _look(page, shot, "sale-payment")
    typist.enter("recapitulatif")
    typist.press("Space")
    expect(page.get_by_test_id("sale-offer")).to_contain_text("avec exécution immédiate")
    _look(page, shot, "sale-summary")
    typist.enter("signature")
    _look(page, shot, "sale-signature")
    typist.press("Enter")
    expect(page.get_by_test_id("sale-sent")).to_be_visible()
    assert typist.seconds < THREE_MINUTES

    confirmed = _sign(synced, chromium, shot)
    page.wait_for_url("**/couvertures/*", timeout=LONG)  # nobody touches the page: it finds out by itself
    cover = page.url.rsplit("/", 1)[1]
    eventually(lambda: _state(page) == "waiting", within=LONG / 1000)
    expect(page.get_by_test_id("cover-state")).to_contain_text("En carence")
    number = re.search(r"V-\d+", page.get_by_role("heading", level=1).inner_text())
    assert number
    assert [each["fileName"] for each in confirmed["attachments"]] == [
        "Fiche d’information 2026-01.pdf",
        "Conditions générales 2026-01.pdf",
    ]

    _forty_days_pass(synced, cover)
    assert _state(page) == "active"
    _claim_is_told_of(synced, sign_in("admin"), number[0], shot)


def _sign(world: World, chromium: Browser, shot: Shot) -> dict[str, Any]:
    """The client accepts and pays, on a telephone; returns the confirmation that they are sent."""
    visitor = chromium.new_context(locale="fr-FR", viewport={"width": 390, "height": 844}, color_scheme="dark")
    _accept_and_pay(visitor.new_page(), _link_in_email(world), shot)
    visitor.close()
    sent: list[dict[str, Any]] = eventually(lambda: world.emails_with("est enregistrée"))
    return sent[-1]


def _state(page: Page) -> str | None:
    """How the cover stands now."""
    page.reload()
    return page.get_by_test_id("cover-state").get_attribute("data-state")


def _write_client(typist: Typist) -> None:
    """The client is looked for, and not there: so they are written down."""
    typist.write("Quiévreux")
    expect(typist.page.locator("#clients-trouves")).to_contain_text("Aucun client")
    form = typist.page.get_by_test_id("new-client")
    for label, text in (
        ("Nom", "Quiévreux"),
        ("Prénom", "Odile"),
        ("E-mail", "odile.quievreux@example.com"),
        ("Téléphone", "06 39 98 41 27"),
        ("Adresse", "12 rue des Tanneurs"),
        ("Code postal", "59000"),
        ("Ville", "Lille"),
    ):
        typist.go_to(form.get_by_label(label, exact=True))
        typist.write(text)
    typist.enter("logement")


def _link_in_email(world: World) -> str:
    """The link in what the client was sent."""
    sent = eventually(lambda: world.emails_with("Votre souscription à accepter"))
    return re.findall(r'http[^"]+/accord/[\w-]+', unescape(sent[-1]["html"]))[0]


def _accept_and_pay(visit: Page, link: str, shot: Shot) -> None:
    visit.goto(link)
    expect(visit.get_by_test_id("acceptance")).to_contain_text("17,22\u00a0€ TTC par mois")
    _look(visit, shot, "sale-accept")
    visit.get_by_role("button", name="J’accepte").click()
    expect(visit.get_by_test_id("acceptance")).to_contain_text("Vous avez accepté")
    _look(visit, shot, "sale-accepted")
    visit.get_by_role("link", name="Donner mon moyen de paiement").click()
    visit.get_by_label("4242").check()
    visit.get_by_role("button", name="Payer").click()
    expect(visit.get_by_role("heading", name="Merci")).to_be_visible()


def _forty_days_pass(world: World, cover: str) -> None:
    """The cover began forty days earlier than it did. What is only ever added to is moved by nobody but a superuser."""
    with psycopg.connect(world.admin_url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(
            "UPDATE covers SET concluded_on = concluded_on - 40, effective_on = effective_on - 40 WHERE id = %s",
            [cover],
        )
        for table in ("cover_periods", "cover_homes", "cover_options"):
            connection.execute(f"UPDATE {table} SET since = since - 40 WHERE cover_id = %s", [cover])
        connection.execute("UPDATE cover_facts SET at = at - interval '40 days' WHERE cover_id = %s", [cover])


def _claim_is_told_of(world: World, page: Page, number: str, shot: Shot) -> None:
    """An operator declares a claim of the cover, and works it off: it is decided, explained, followed and counted."""
    accepted = _accepted(page)
    there = page.context.new_page()
    there.goto(world.known["depanssur_operator_url"])
    there.get_by_label("Couverture").fill(number)
    there.get_by_label("Montant").fill("120.00")
    there.get_by_label("Mots du client").fill("<b>Fuite</b> sous l’évier")
    there.get_by_role("button", name="Déclarer").click()
    file = there.locator("tr[data-number]").first
    external_id = file.get_attribute("data-number")

    page.goto(f"/couvertures/operateurs/evenements?dossier={external_id}")
    event = page.get_by_test_id("operator-event-row")
    eventually(lambda: _is_done(page, event), within=LONG / 1000)
    event.get_by_role("link", name=re.compile("DEP-")).click()
    expect(page.get_by_role("main")).to_contain_text("70\u00a0€ pris en charge sur 120\u00a0€ demandés")
    expect(page.get_by_role("main")).to_contain_text("Le délai de carence était terminé")
    expect(page.get_by_role("main")).to_contain_text("<b>Fuite</b>")
    claim = page.url

    for act in ("Intervention", "Document", "Clore", "Enquête"):
        there.reload()
        with there.expect_navigation():  # to load a page that is being left fails
            file.get_by_role("button", name=act).click()
    eventually(lambda: _has_come(page, claim), within=LONG / 1000)
    assert findings(page) == []
    shot(page, "claim-with-news")
    assert _accepted(page) == accepted + 1


def _is_done(page: Page, event: Locator) -> bool:
    page.reload()
    return event.count() == 1 and event.get_attribute("data-state") == "done"


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


def _look(page: Page, shot: Shot, name: str) -> None:
    page.wait_for_load_state()
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
    shot(page, name)
