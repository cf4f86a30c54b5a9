"""An Excel file as a French company keeps it: from its drop to the clients, its rejects, and back; by keyboard."""

import io
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from python_calamine import CalamineWorkbook
from xlsxwriter import Workbook

from tests.browser.conftest import LONG, Shot, SignIn
from tests.browser.test_accessibility import findings
from tests.browser.test_mandates import SIZES
from tests.browser.world import World
from tests.examples import one_of

Look = Callable[[str], None]
HEADINGS = ["NOM Prénom", "Mail", "Tél. portable", "Né(e) le", "CP", "Ville", "N° contrat", "Montant TTC", "IBAN"]
IBAN = "FR76 3000 6000 0112 3456 7890 189"


def dirty_file(mark: str) -> bytes:
    """A title over merged cells, blank rows, telephones without their zero, dates and amounts in every form."""
    content = io.BytesIO()
    with Workbook(content) as book:
        sheet, day = book.add_worksheet("Clients 2026"), book.add_format({"num_format": "dd/mm/yyyy"})
        sheet.merge_range(0, 0, 0, 8, "Fichier clients, au 3 novembre")
        sheet.write_row(3, 0, HEADINGS)
        sheet.write_row(4, 0, [f"DUPONT{mark} Zoé", f"ZOE.{mark}@Exemple.fr ", 639981234])
        sheet.write_datetime(4, 3, date(1980, 7, 14), day)
        sheet.write_row(4, 4, [1000, "BOURG EN BRESSE", f"C-{mark}-1", "1 234,56 €", IBAN])
        sheet.write_row(
            6, 0, [f"de la Tour{mark} Luc", f"luc.{mark}@@exemple", "06.39.98.12.35", "3 mars 1975", "69003"]
        )
        sheet.write_row(6, 5, ["Lyon", f"C-{mark}-2", 99.9])
        sheet.write_row(7, 0, [f"MARTIN{mark} Ana", f"ana.{mark}@exemple.fr", "+33 6 39 98 12 36", "31/02/1980"])
    return content.getvalue()


@pytest.fixture(params=one_of(("light", "desk"), ("dark", "telephone")), ids="-".join)
def page(request: pytest.FixtureRequest, world: World, sign_in: SignIn) -> Page:
    """A manager's, in either theme."""
    scheme, size = request.param
    return sign_in("manager.nord", color_scheme=scheme, viewport=SIZES[size])


@pytest.fixture
def mark(request: pytest.FixtureRequest) -> str:
    """What tells the clients of this round."""
    return "AB"[request.node.name.count("telephone")]


@pytest.fixture
def look(request: pytest.FixtureRequest, page: Page, shot: Shot) -> Look:
    """Whether everybody can read the page, within the width of the screen."""
    variant = request.node.name.partition("[")[2].rstrip("]")

    def do(name: str) -> None:
        page.wait_for_load_state()
        assert findings(page) == []
        page.wait_for_function("() => document.documentElement.scrollWidth <= innerWidth", timeout=5_000)
        shot(page, f"{name}-{variant}")

    return do


def press(page: Page, name: str) -> None:
    """A button or link, by keyboard."""
    control = page.get_by_role("button", name=name).or_(page.get_by_role("link", name=name)).first
    control.focus()
    page.keyboard.press("Enter")


def drop(page: Page, name: str, content: bytes, look: Look) -> None:
    page.goto("/clients")
    press(page, "Importer")
    page.get_by_label("Fichier CSV, Excel").set_input_files(
        {"name": name, "mimeType": "application/octet-stream", "buffer": content}
    )
    look("import-1-file")
    press(page, "Lire le fichier")
    expect(page.get_by_test_id("import-preview")).to_be_visible(timeout=LONG)


def choose(page: Page, heading: str, meaning: str) -> None:
    """What a column is, with its select in focus."""
    choice = page.get_by_role("combobox", name=heading, exact=True)
    choice.focus()
    choice.select_option(label=meaning)


def plan(page: Page) -> None:
    press(page, "Préparer le plan")
    expect(page.get_by_test_id("import-sentence")).to_be_visible(timeout=LONG)


def apply(page: Page, look: Look, name: str) -> None:
    """The plan, applied on the operation's page, and back on the import's."""
    page.get_by_test_id("import-operation").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Appliquer")).to_be_visible()
    look(name)
    page.once("dialog", lambda dialog: dialog.accept())
    press(page, "Appliquer")
    expect(page.get_by_role("link", name="le fichier et ses rejets")).to_be_visible()


def test_a_dirty_file_to_the_end(page: Page, mark: str, look: Look, tmp_path: Path) -> None:
    drop(page, "clients 2026.xlsx", dirty_file(mark), look)
    expect(page.get_by_test_id("import-preview")).to_contain_text("BOURG EN BRESSE")
    look("import-2-preview")
    press(page, "Colonnes")
    for heading, meaning in zip(HEADINGS, ["NOM Prénom", "E-mail", "Téléphone", "Date de naissance"], strict=False):
        choose(page, heading, meaning)
    look("import-3-columns")
    plan(page)
    expect(page.get_by_test_id("import-sentence")).to_contain_text("2 en erreur")
    look("import-4-plan")
    apply(page, look, "import-5-operation")
    expect(page.get_by_text("terminée le")).to_be_visible(timeout=LONG)
    page.goto("/clients?q=" + f"dupont{mark}")
    expect(page.get_by_role("main")).to_contain_text(f"DUPONT{mark}")
    page.go_back()
    press(page, "le fichier et ses rejets")
    expect(page.get_by_test_id("import-rejects")).to_be_visible()
    look("import-6-result")
    with page.expect_download() as download:
        press(page, "Lignes rejetées")
    rejected = CalamineWorkbook.from_path(download.value.path()).get_sheet_by_index(0).to_python()
    assert rejected[0] == [*HEADINGS, "Motif"]
    assert [row[0] for row in rejected[1:]] == [f"de la Tour{mark} Luc", f"MARTIN{mark} Ana"]
    assert "e-mail n’est pas valide" in str(rejected[1][-1])
    undo_address = page.get_by_test_id("import-operation").get_attribute("href") or ""

    rejected[1][1], rejected[2][3] = f"luc.{mark}@exemple.fr", "28/02/1980"
    content = io.BytesIO()
    with Workbook(content) as book:
        sheet = book.add_worksheet()
        for number, row in enumerate(rejected):
            sheet.write_row(number, 0, row, book.add_format({"num_format": "@"}))
    drop(page, "clients 2026-rejets.xlsx", content.getvalue(), look)
    press(page, "Colonnes")
    plan(page)  # the columns are remembered
    expect(page.get_by_test_id("import-sentence")).not_to_contain_text("en erreur")
    apply(page, look, "import-7-corrected")
    expect(page.get_by_text("terminée le")).to_be_visible(timeout=LONG)

    page.goto(undo_address)
    press(page, "Annuler cette opération")
    expect(page.get_by_role("button", name="Appliquer")).to_be_visible(timeout=LONG)
    look("import-8-undo")
    page.once("dialog", lambda dialog: dialog.accept())
    press(page, "Appliquer")
    expect(page.get_by_text("terminée le")).to_be_visible(timeout=LONG)
    page.goto("/clients?q=" + f"dupont{mark}")
    expect(page.get_by_role("main")).not_to_contain_text(f"DUPONT{mark}")


def test_a_file_that_is_too_large_is_refused_before_it_is_sent(world: World, sign_in: SignIn, tmp_path: Path) -> None:
    page = sign_in("manager.nord", at="/imports/nouveau")
    large = tmp_path / "grand.csv"
    with large.open("wb") as file:
        file.truncate(200_000_000)
    field = page.get_by_label("Fichier CSV, Excel")
    field.set_input_files(large)
    assert "50\u202fMo au plus" in field.evaluate("field => field.validationMessage")
    page.get_by_role("button", name="Lire le fichier").click()
    expect(page).to_have_url(f"{world.url}/imports/nouveau")
