"""Debits by bank file, all by hand in the browser: the account, the file, its way to the bank, a return; no command."""

from datetime import date, timedelta
from email.utils import parsedate_to_datetime

from playwright.sync_api import Page, expect

from tests.browser.charging import charge_what_is_due
from tests.browser.conftest import Shot, SignIn
from tests.browser.looking import loaded_once
from tests.browser.test_accessibility import findings
from tests.browser.world import World, eventually
from webapp.clock import PARIS
from webapp.services.bank_files.banking_days import first_banking_day


def open_account(page: Page) -> None:
    """Open the company's account for bank files, or change it."""
    page.goto("/prelevements")
    page.get_by_role("link", name="Prestataires").click()
    page.get_by_role("link", name="Fichier SEPA", exact=True).click()
    page.get_by_label("ICS").fill("FR72 ZZZ 123456")
    page.get_by_label("IBAN du compte crédité").fill("FR14 2004 1010 0505 0001 3M02 606")
    page.get_by_label("BIC").fill("PSSTFRPPXXX")
    page.get_by_role("button", name="Enregistrer").click()
    expect(page.get_by_test_id("toast")).to_contain_text("enregistré")


def sell_by_mandate(page: Page) -> str:
    """Sell a subscription, due today, to a client of our own who has given a mandate; it is charged at once.

    Returns the client's name.
    """
    page.goto("/clients?source=crm")
    client = page.get_by_test_id("client-name").first
    name = client.inner_text()
    client.click()
    page.get_by_role("link", name="Créer un abonnement").click()
    page.get_by_role("button", name="Continuer").last.click()
    page.get_by_label("Libellé").fill("Coffret")
    page.get_by_label("Prix unitaire HT").fill("20")
    page.keyboard.press("Enter")
    means = page.get_by_label("Moyen de paiement")
    means.select_option(value=means.locator("option", has_text="andat").first.get_attribute("value") or "")
    page.get_by_role("button", name="Continuer").last.click()
    page.get_by_role("button", name="Créer l’abonnement").click()
    page.locator("[data-action=activer]").click()
    expect(page.locator("[data-action=activer]")).to_have_count(0)
    charge_what_is_due(page)
    return name


def next_banking_day(page: Page) -> date:
    """As the product's own clock has it."""
    now = parsedate_to_datetime(page.request.get("/connexion").headers["date"])
    return first_banking_day(now.astimezone(PARIS).date() + timedelta(days=1))


def tell_clients(page: Page, name: str) -> None:
    """The first look for a file writes the notices of debits that wait, among them that of the client of this name;
    they leave by e-mail.

    It is for a day so near that no debit was announced for it.
    """
    debit = page.get_by_test_id("waiting-debit").filter(has_text=name)

    def it_waits() -> bool:
        page.goto("/prelevements/fichiers")
        return debit.count() == 1

    eventually(it_waits)
    page.get_by_label("Date de prélèvement").fill(next_banking_day(page).isoformat())
    page.get_by_role("button", name="Préparer un fichier").click()
    expect(page.get_by_role("alert")).to_contain_text("Aucun prélèvement ne peut être présenté")

    def everybody_is_told() -> bool:
        page.goto("/prelevements/fichiers")
        return debit.count() == 1 and page.get_by_test_id("untold-debit").count() == 0

    eventually(everybody_is_told)
    page.goto("/prelevements/fichiers")  # told while the page was made, it may still propose the day before that


def test_a_debit_goes_to_the_bank_and_comes_back(synced: World, sign_in: SignIn, shot: Shot) -> None:
    page = sign_in("admin")
    open_account(page)
    tell_clients(page, sell_by_mandate(page))
    expect(page.get_by_test_id("waiting-debit")).to_have_count(1)
    shot(page, "bank-files")
    page.get_by_role("button", name="Préparer un fichier").click()
    status = page.get_by_test_id("file-status")
    expect(status).to_have_attribute("data-status", "prepared")
    page.get_by_role("button", name="Générer le fichier").click()
    with page.expect_download() as download:
        page.get_by_test_id("file-content").click()
    assert download.value.suggested_filename.endswith(".xml")
    page.get_by_role("button", name="Marquer comme envoyé").click()
    expect(status).to_have_attribute("data-status", "sent")
    assert findings(page) == []
    shot(page, "bank-file")

    page.get_by_role("link", name="Noter un rejet").click()
    page.get_by_label("Code de rejet").select_option("AM04")
    page.get_by_role("button", name="Noter le rejet").click()
    expect(page.get_by_test_id("toast")).to_contain_text("Rejet noté")
    page.goto("/prelevements/fichiers")
    page.get_by_test_id("file-row").get_by_role("link").first.click()  # the latest
    expect(page.get_by_test_id("debit-row")).to_have_attribute("data-status", "refused")


def test_every_page_can_be_read_by_everybody(charged: World, sign_in: SignIn, shot: Shot) -> None:
    page = sign_in("admin")
    for name in ("fichiers", "fichiers/retours", "notifications", "evenements", "prestataires"):
        loaded_once(page, shot, f"/prelevements/{name}", name.replace("/", "-"))
    stripe = page.get_by_role("link", name="Stripe", exact=True).get_attribute("href") or ""
    loaded_once(page, shot, stripe, "stripe")
