"""Files as they come: guessed, read strictly, and refused in a sentence where they cannot be."""

import io
import tempfile
import zipfile
from collections.abc import Callable
from typing import IO

import pytest
import xlsxwriter

from tests.conftest import Cast
from tests.services.imports.conftest import kept
from webapp.errors import InvalidInputError
from webapp.services.imports import commands
from webapp.services.imports.reading import NothingBelowError, Options, examine, kind_of

ROW = "Nom;Prénom;E-mail\nLefèvre;Zoé;zoe@exemple.fr\n"


def _file(content: bytes) -> IO[bytes]:
    return io.BytesIO(content)


def _workbook(fill: Callable[[xlsxwriter.Workbook], None], **options: object) -> bytes:
    content = io.BytesIO()
    with xlsxwriter.Workbook(content, options) as workbook:
        fill(workbook)
    return content.getvalue()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le", "mac_roman"])
def test_the_encoding_is_guessed(encoding: str) -> None:
    reading = examine(_file(ROW.encode(encoding)), Options())
    assert (reading.headings, reading.rows) == (["Nom", "Prénom", "E-mail"], [["Lefèvre", "Zoé", "zoe@exemple.fr"]])


def test_headings_may_stand_below_a_title() -> None:
    reading = examine(_file(b"Export du 3 novembre\n\n" + ROW.encode()), Options())
    assert (reading.header, reading.lines, reading.total) == (3, [4], 1)


@pytest.mark.parametrize(
    ("content", "field", "words"),
    [
        pytest.param(b"", "file", "vide", id="empty"),
        pytest.param(b"Nom;Mail\n", "header", "aucune ligne", id="no-rows"),
        pytest.param(b"\n;;\n", "file", "aucune ligne", id="blank"),
        pytest.param(b"Nom;Mail\nA\0;b\n", "file", "ligne 2", id="nul"),
        pytest.param(b'Nom;Mail\n"A;b\nc;d\n', "file", "ligne 2 n’est jamais", id="open-quote"),
        pytest.param(b'Nom;Mail\n"A"x;b\n', "file", "mal placé à la ligne 2", id="stray-quote"),
        pytest.param("é;b\n".encode() + "é;c\n".encode("cp1252"), "encoding", "deux encodages", id="mixed"),
        pytest.param(b"a" * 2_000_000, "file", "démesurée", id="giant-line"),
        pytest.param(b";".join([b"x"] * 300) + b"\n" + b";".join([b"x"] * 300), "file", "300 colonnes", id="wide"),
        pytest.param(b"%PDF-1.4", "file", "ni un CSV", id="pdf"),
        pytest.param(b"PK\x03\x04rest", "file", "abîmé", id="broken-archive"),
        pytest.param(
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"),
            "file",
            "mot de passe",
            id="locked",
        ),
        pytest.param(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "file", ".xls", id="old-excel"),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_sentence(content: bytes, field: str, words: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        examine(_file(content), Options())
    assert (refusal.value.field, words in refusal.value.message) == (field, True), refusal.value.message


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b"0" * 100_000_000)
    with pytest.raises(InvalidInputError, match="bien plus grand"):
        kind_of(_file(content.getvalue()))


def test_macros_are_refused() -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("xl/workbook.xml", b"<workbook/>")
        archive.writestr("xl/vbaProject.bin", b"x")
    with pytest.raises(InvalidInputError, match="macros"):
        kind_of(_file(content.getvalue()))


def test_a_workbook_of_an_old_mac_with_formulas_merged_cells_and_blank_rows() -> None:
    def fill(workbook: xlsxwriter.Workbook) -> None:
        sheet = workbook.add_worksheet("Données")
        sheet.merge_range(0, 0, 0, 2, "Clients au 3 novembre")
        sheet.write_row(2, 0, ["Nom", "Né le", "Montant"])
        sheet.write_string(3, 0, "Lefèvre")
        sheet.write_number(3, 1, 30_000)
        sheet.write_formula(3, 2, "=600*2", None, 1200)
        bold = workbook.add_format({"bold": True})
        for row in range(4, 2000):
            sheet.write_blank(row, 0, None, bold)

    with tempfile.TemporaryFile() as file:  # another process reads it: it has a descriptor
        file.write(_workbook(fill, date_1904=True))
        reading = examine(file, Options())
    assert (reading.sheet, reading.header, reading.is_1904, reading.total) == ("Données", 3, True, 1)
    assert reading.rows == [["Lefèvre", "30000", "1200"]]


def test_the_sheet_that_holds_a_table_is_read_and_another_can_be_chosen() -> None:
    def fill(workbook: xlsxwriter.Workbook) -> None:
        workbook.add_worksheet("Lisez-moi").write(0, 0, "Ne pas modifier")
        workbook.add_worksheet("Clients").write_row(0, 0, ["Nom", "Ville"])
        workbook.get_worksheet_by_name("Clients").write_row(1, 0, ["Lefèvre", "Lyon"])

    with tempfile.TemporaryFile() as file:
        file.write(_workbook(fill))
        assert examine(file, Options()).sheet == "Clients"
        with pytest.raises(NothingBelowError) as refusal:
            examine(file, Options(sheet="Lisez-moi"))
    assert (refusal.value.field, refusal.value.reading.sheets) == ("sheet", ["Lisez-moi", "Clients"])


def test_another_sheet_has_its_headings_elsewhere(cast: Cast) -> None:
    def fill(workbook: xlsxwriter.Workbook) -> None:
        for name, line in (("Nord", 3), ("Sud", 0)):
            sheet = workbook.add_worksheet(name)
            sheet.write_row(line, 0, ["Nom", "Ville"])
            sheet.write_row(line + 1, 0, [name, "Lyon"])

    found = commands.reading_of(commands.find(kept(_workbook(fill), cast.admin, sheet="Sud", header=4), by=cast.admin))
    assert found is not None
    assert (found.sheet, found.header, found.rows) == ("Sud", 1, [["Sud", "Lyon"]])
