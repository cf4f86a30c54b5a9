"""From a client with nothing to a debit in a bank file, and on to another bank, by the pages alone."""

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from tests.browser.charging import charge_what_is_due
from tests.browser.conftest import Shot, SignIn
from tests.browser.test_accessibility import findings
from tests.browser.test_bank_files import open_account, tell_clients
from tests.browser.test_mandates import SIZES
from tests.browser.world import World
from tests.examples import one_of

Look = Callable[[str], None]


@pytest.fixture(params=one_of(("light", "desk"), ("dark", "telephone")), ids="-".join)
def page(request: pytest.FixtureRequest, synced: World, sign_in: SignIn) -> Page:
    """An admin's, in either theme."""
    scheme, size = request.param
    return sign_in("admin", color_scheme=scheme, viewport=SIZES[size])


@pytest.fixture
def look(request: pytest.FixtureRequest, page: Page, shot: Shot) -> Look:
    """Whether everybody can read the page, within the width of the screen."""
    variant = request.node.name.partition("[")[2].rstrip("]")

    def do(name: str) -> None:
        page.wait_for_load_state()
        assert findings(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        shot(page, f"{name}-{variant}")

    return do


def write_down(page: Page, name: str) -> str:
    """A client with an account and a mandate to be signed; the address of the mandate."""
    page.goto("/clients/nouveau")
    page.get_by_label("Nom", exact=True).fill(name)
    page.get_by_label("E-mail", exact=True).fill(f"{uuid4().hex}@example.org")
    page.get_by_label("IBAN").fill("FR76 3000 6000 0112 3456 7890 189")
    page.get_by_role("button", name="Créer").click()
    page.get_by_test_id("tab-paiements").click()
    page.get_by_test_id("mandate-new").click()
    page.get_by_role("button", name="Enregistrer").click()
    page.get_by_test_id("mandate-link").click()
    expect(page.get_by_test_id("mandate-pdf")).to_be_visible()
    return page.url


def keep_signed_copy(page: Page, folder: Path, look: Look) -> None:
    with page.expect_download() as download:
        page.get_by_test_id("mandate-pdf").click()
    signed = folder / "mandat signé.pdf"
    download.value.save_as(signed)
    page.get_by_label("Copie du mandat signé").set_input_files(signed)
    page.get_by_role("button", name="Ajouter").click()
    expect(page.get_by_test_id("signed-copy")).to_contain_text("mandat signé.pdf")
    page.get_by_test_id("signed-copy").scroll_into_view_if_needed()
    look("signed-copy")
    with page.expect_download() as download:
        page.get_by_test_id("signed-copy").click()
    assert Path(download.value.path()).read_bytes() == signed.read_bytes()


def make_default(page: Page, look: Look) -> None:
    page.get_by_test_id("default-means").get_by_role("link").click()
    choice = page.get_by_label("Moyen par défaut")
    choice.select_option(value=choice.locator("option", has_text="mandat").first.get_attribute("value") or "")
    page.get_by_role("button", name="Voir ce qui suit").click()
    expect(page.get_by_test_id("followers")).to_be_visible()
    look("default-means")
    page.get_by_role("button", name="Confirmer").click()
    expect(page.get_by_test_id("toast")).to_contain_text("Moyen par défaut enregistré")
    look("payments-tab")


def sell(page: Page) -> None:
    """A subscription from the client's page, paid by the client's default means, charged at once."""
    page.get_by_test_id("tab-apercu").click()
    page.get_by_role("link", name="Créer un abonnement").click()
    page.get_by_role("button", name="Continuer").last.click()
    page.get_by_label("Libellé").fill("Coffret")
    page.get_by_label("Prix unitaire HT").fill("20")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Moyen de paiement")).to_have_value("defaut")
    page.get_by_role("button", name="Continuer").last.click()
    page.get_by_role("button", name="Créer l’abonnement").click()
    page.locator("[data-action=activer]").click()
    expect(page.locator("[data-action=activer]")).to_have_count(0)
    charge_what_is_due(page)


def put_into_file(page: Page, name: str) -> str:
    """The text of the file with the debit of the client of that name."""
    tell_clients(page, name)
    page.get_by_role("button", name="Préparer un fichier").click()
    page.get_by_role("button", name="Générer le fichier").click()
    with page.expect_download() as download:
        page.get_by_test_id("file-content").click()
    return Path(download.value.path()).read_text()


def change_bank(page: Page, mandate: str, look: Look) -> None:
    page.goto(f"{mandate.partition('/mandats')[0]}/modifier")
    page.get_by_label("IBAN").fill("FR14 2004 1010 0505 0001 3M02 606")
    page.get_by_role("button", name="Enregistrer").click()
    expect(page.get_by_test_id("toast")).to_be_visible()
    page.goto(mandate)
    page.get_by_test_id("mandate-amend").click()
    page.get_by_label("Compte débité").select_option(index=1)
    page.get_by_label("Le client l’a confirmé par écrit").check()
    look("amendment")
    page.get_by_role("button", name="Enregistrer l’avenant").click()
    expect(page.get_by_test_id("amendment-row")).to_contain_text("avec le prochain prélèvement")
    look("amended")


def test_a_bare_client_is_debited_and_then_changes_banks(page: Page, look: Look, tmp_path: Path) -> None:
    open_account(page)
    name = f"Signataire {uuid4().hex[:8]}"
    mandate = write_down(page, name)
    keep_signed_copy(page, tmp_path, look)
    page.get_by_label("Signé le").fill("2026-11-02")
    page.get_by_role("button", name="Enregistrer", exact=True).click()
    make_default(page, look)
    sell(page)
    assert "<MndtId>MD-" in put_into_file(page, name)
    change_bank(page, mandate, look)
    client = mandate.partition("/mandats")[0]
    page.goto(f"{client}?onglet=documents")
    look("documents")
    page.goto(f"{client}?onglet=paiements")
    page.get_by_test_id("account-archive").first.click()
    expect(page.get_by_test_id("archiving-stops")).to_be_visible()
    look("archiving")
    page.get_by_role("button", name="Archiver le compte").click()
    expect(page.get_by_test_id("toast")).to_contain_text("archivé")
    page.goto("/prelevements/mandats?manque=compte-archive")
    expect(page.get_by_test_id("mandate-row").first).to_contain_text("Compte archivé")
    look("account-gone")


def test_a_list_is_read_before_it_is_applied(page: Page, look: Look, tmp_path: Path) -> None:
    page.goto("/prelevements/cartes")
    look("cards")
    page.goto("/prelevements/mandats")
    page.get_by_role("link", name="Compléter par une liste").click()
    expect(page.get_by_label("Fichier CSV")).to_be_visible()
    look("list-form")
    rows = tmp_path / "mandats.csv"
    rows.write_text("Client;RUM;Date\nFR14 2004 1010 0505 0001 3M02 606;R-1;2/11/2026\nx@example.org;é;30/02/2026\n")
    page.get_by_label("Fichier CSV").set_input_files(rows)
    page.get_by_role("button", name="Lire la liste").click()
    expect(page.get_by_test_id("import-refused")).to_have_count(2)
    look("list")
