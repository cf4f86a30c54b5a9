"""A cover is sold by keyboard, accepted by the link in the e-mail, and paid: then it waits.

How long it takes a commercial is reckoned by the keystroke-level model (Card, Moran and Newell, 1983): 0.28 s for each
key of somebody who types without training, 1.35 s to think before each field, choice and page, and the time that the
product takes to answer, as measured here.
"""

import re
import time
from html import unescape

from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import LONG, Shot, SignIn
from tests.browser.test_accessibility import findings
from tests.browser.world import World, eventually

KEY, THOUGHT, THREE_MINUTES = 0.28, 1.35, 180


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
        self.waited += time.monotonic() - started

    @property
    def seconds(self) -> float:
        """What it takes."""
        return self.keys * KEY + self.thoughts * THOUGHT + self.waited


def test_a_cover_is_sold_in_three_minutes_accepted_and_paid(
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
    _look(page, shot, "sale-summary")
    typist.enter("signature")
    _look(page, shot, "sale-signature")
    typist.press("Enter")
    expect(page.get_by_test_id("sale-sent")).to_be_visible()
    assert typist.seconds < THREE_MINUTES

    visitor = chromium.new_context(locale="fr-FR", viewport={"width": 390, "height": 844}, color_scheme="dark")
    _accept_and_pay(visitor.new_page(), _link_in_email(synced), shot)
    visitor.close()
    page.wait_for_url("**/couvertures/*", timeout=LONG)  # nobody touches the page: it finds out by itself

    def it_waits() -> bool:
        page.reload()
        return page.get_by_test_id("cover-state").get_attribute("data-state") == "waiting"

    eventually(it_waits)
    expect(page.get_by_test_id("cover-state")).to_contain_text("En carence")


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


def _look(page: Page, shot: Shot, name: str) -> None:
    page.wait_for_load_state()
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
    shot(page, name)
