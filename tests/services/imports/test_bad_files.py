"""Files that want to harm, or that nobody looked at: read in little memory, or refused in a sentence."""

import io
import re
import resource
import struct
import tempfile
import zipfile
from collections.abc import Callable

import pytest
import xlsxwriter

from tests.conftest import NOW, Cast
from tests.services.imports.conftest import RULES, applied, items_of, kept, planned
from webapp import tenancy
from webapp.errors import ForbiddenError, InvalidInputError
from webapp.extensions import db
from webapp.gateways.spreadsheets import BROKEN, UNPLACED
from webapp.models.clients import Client
from webapp.models.identity import Role
from webapp.services.imports import commands
from webapp.services.imports.reading import Options, Reading, examine
from webapp.services.operations import deciding
from webapp.services.operations.carry_out import carry_out

DEFLATE64 = 9
"""A way of packing that zipfile does not know. Of what is copied as it is, it makes the same bytes as zipfile's own."""


def _workbook(fill: Callable[[xlsxwriter.Workbook], None], **options: object) -> bytes:
    content = io.BytesIO()
    with xlsxwriter.Workbook(content, {"constant_memory": True, **options}) as workbook:
        fill(workbook)
    return content.getvalue()


def _examined(content: bytes) -> Reading:
    with tempfile.TemporaryFile() as file:  # another process reads it: it has a descriptor
        file.write(content)
        return examine(file, Options())


def test_a_million_blank_rows_are_none() -> None:
    def fill(workbook: xlsxwriter.Workbook) -> None:
        sheet, bold = workbook.add_worksheet(), workbook.add_format({"bold": True})
        sheet.write_row(0, 0, ["Nom", "E-mail"])
        sheet.write_row(1, 0, ["Durand", "ana@exemple.fr"])
        for row in range(2, 1_048_576, 1000):
            sheet.write_blank(row, 0, None, bold)
        sheet.write_blank(1_048_575, 1, None, bold)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    reading = _examined(_workbook(fill))
    assert (reading.total, reading.rows) == (1, [["Durand", "ana@exemple.fr"]])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024  # KiB


def test_formulas_count_by_what_they_came_to_and_those_that_failed_are_errors_at_their_cell(cast: Cast) -> None:
    def fill(workbook: xlsxwriter.Workbook) -> None:
        workbook.add_worksheet("Notes").write_formula(2, 1, "=NA()", None, "#N/A")
        sheet = workbook.add_worksheet("Clients & contrats")
        sheet.write_row(1, 1, ["Nom", "E-mail", "N° contrat", "Montant"])
        sheet.write_row(2, 1, ["Durand", "ana@exemple.fr", "C-1"])
        sheet.write_formula(2, 4, "=600*2.5", None, 1500)
        sheet.write_row(3, 1, ["Martin", "luc@exemple.fr", "C-2"])
        sheet.write_formula(3, 4, "=1/0", None, "#DIV/0!")
        sheet.write_formula(4, 1, "=A99", None, "#REF!")
        sheet.write_row(4, 2, ["zoe@exemple.fr", "C-3", 12])

    import_id = kept(_workbook(fill), cast.admin, "clients.xlsx", sheet="Clients & contrats")
    keys = commands.find(import_id, by=cast.admin).columns
    operation_id = commands.match(import_id, keys, RULES, by=cast.admin, at=NOW)
    carry_out(tenancy.current_organisation_id(), operation_id)
    assert [
        (item.line, item.action.value, item.after.get("amount"), item.reason) for item in items_of(operation_id)
    ] == [
        (3, "create", None, None),
        (3, "create", 1500.0, None),
        (4, "error", None, "Montant\u202f: La formule de cette cellule a échoué (#DIV/0!)."),
        (5, "error", None, "Nom\u202f: La formule de cette cellule a échoué (#REF!)."),
    ]


ODS = """<?xml version="1.0" encoding="UTF-8"?><office:document-content office:version="1.2"
 xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
 xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"
 xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"
 xmlns:calcext="urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0"
><office:body><office:spreadsheet><table:table table:name="Clients">{rows}</table:table></office:spreadsheet>
</office:body></office:document-content>"""


def _ods_row(*texts: str, times: int = 1) -> str:
    cells = "".join(
        '<table:table-cell table:formula="of:=1/0" office:value-type="string" office:string-value=""'
        f' calcext:value-type="error"><text:p>{text}</text:p></table:table-cell>'
        if text.startswith("#")
        else f'<table:table-cell office:value-type="string"><text:p>{text}</text:p></table:table-cell>'
        if text
        else '<table:table-cell table:number-columns-repeated="2"/>'
        for text in texts
    )
    return f'<table:table-row table:number-rows-repeated="{times}">{cells}</table:table-row>'


def test_a_formula_that_failed_in_an_opendocument_sheet_is_an_error_too(cast: Cast) -> None:
    rows = (
        _ods_row("", times=3) + _ods_row("", "Nom", "E-mail", "Ville") + _ods_row("", "Durand", "a@exemple.fr", "#N/A")
    )
    items = items_of(planned(_ods(rows), cast.admin, name="clients.ods"))
    assert [(item.line, item.reason) for item in items] == [
        (5, "Ville\u202f: La formule de cette cellule a échoué (#N/A).")
    ]


def _ods(rows: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("content.xml", ODS.format(rows=rows))
        archive.writestr("META-INF/manifest.xml", "<manifest/>")
    return content.getvalue()


def test_each_of_a_run_of_like_cells_and_rows_that_failed_is_an_error(cast: Cast) -> None:
    heads = _ods_row("Nom", "E-mail", "Ville", "Code postal")
    failed = (
        '<table:table-row table:number-rows-repeated="700">'
        '<table:table-cell office:value-type="string"><text:p>Durand</text:p></table:table-cell>'
        '<table:table-cell office:value-type="string"><text:p>a@exemple.fr</text:p></table:table-cell>'
        '<table:table-cell table:number-columns-repeated="2" office:value-type="string" calcext:value-type="error">'
        "<text:p>#N/A</text:p></table:table-cell></table:table-row>"
    )
    items = items_of(planned(_ods(heads + failed), cast.admin, name="clients.ods"))
    assert len(items) == 700
    assert all(item.reason and "Ville" in item.reason and "Code postal" in item.reason for item in items)


def _rewritten(content: bytes, member: str, old: str, new: str) -> bytes:
    """A workbook, with a pattern of one of its members replaced."""
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as whole, zipfile.ZipFile(written, "w") as archive:
        for each in whole.namelist():
            text = whole.read(each).decode()
            archive.writestr(each, re.sub(old, new, text) if each == member else text)
    return written.getvalue()


@pytest.mark.parametrize(
    ("member", "old", "new"),
    [
        ("xl/worksheets/sheet1.xml", r'<c r="[A-Z]+[0-9]+"', "<c"),
        ("xl/worksheets/sheet1.xml", r"<v>#DIV/0!</v>", ""),
    ],
)
def test_a_workbook_in_which_failed_formulas_cannot_be_found_is_refused(member: str, old: str, new: str) -> None:
    def fill(workbook: xlsxwriter.Workbook) -> None:
        sheet = workbook.add_worksheet()
        sheet.write_row(0, 0, ["Nom", "E-mail", "Montant"])
        sheet.write_row(1, 0, ["Durand", "ana@exemple.fr"])
        sheet.write_formula(1, 2, "=1/0", None, "#DIV/0!")

    with pytest.raises(InvalidInputError, match=re.escape(UNPLACED)):
        _examined(_rewritten(_workbook(fill), member, old, new))


def test_a_workbook_that_is_packed_in_an_unknown_way_is_refused() -> None:
    def fill(workbook: xlsxwriter.Workbook) -> None:
        workbook.add_worksheet().write_row(0, 0, ["Nom", "E-mail", "Montant"])

    written = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(_workbook(fill))) as whole,
        zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED, compresslevel=0) as archive,
    ):
        for each in whole.namelist():
            archive.writestr(each, whole.read(each))
    content = bytearray(written.getvalue())
    for mark, place in ((b"PK\x01\x02", 10), (b"PK\x03\x04", 8)):  # where a member's way of packing stands
        for found in re.finditer(re.escape(mark), content):
            content[found.start() + place] = DEFLATE64
    with pytest.raises(InvalidInputError, match=re.escape(BROKEN)):
        _examined(bytes(content))


@pytest.mark.parametrize("code", ["#DIV/0!", "#N/A", "#NOM ?", "#VALEUR!", "Err:502"])
def test_what_a_failed_formula_left_in_a_csv_is_an_error(cast: Cast, code: str) -> None:
    items = items_of(planned(f"Nom;E-mail;Ville\nDurand;a@exemple.fr;{code}\nPetit;b@exemple.fr;#1 Lyon\n", cast.admin))
    assert [item.reason for item in items] == [f"Ville\u202f: La formule de cette cellule a échoué ({code}).", None]


def test_merged_cells_hold_their_value_in_the_first_one(cast: Cast) -> None:
    def fill(workbook: xlsxwriter.Workbook) -> None:
        sheet = workbook.add_worksheet()
        sheet.write_row(0, 0, ["Nom", "E-mail", "Ville"])
        sheet.merge_range(1, 2, 2, 2, "Lyon")
        sheet.write_row(1, 0, ["Durand", "ana@exemple.fr"])
        sheet.write_row(2, 0, ["Martin", "luc@exemple.fr"])

    after = [item.after.get("city") for item in items_of(planned(_workbook(fill, constant_memory=False), cast.admin))]
    assert after == ["Lyon", None]  # nobody knows whether the second was meant


@pytest.mark.parametrize(("is_1904", "serial"), [(False, 32874), (True, 31412)])
def test_days_may_be_bare_numbers_from_either_year(cast: Cast, is_1904: bool, serial: int) -> None:
    def fill(workbook: xlsxwriter.Workbook) -> None:
        sheet = workbook.add_worksheet()
        sheet.write_row(0, 0, ["Nom", "E-mail", "Né le"])
        sheet.write_row(1, 0, ["Durand", "ana@exemple.fr", serial])

    (item,) = items_of(planned(_workbook(fill, date_1904=is_1904), cast.admin, name="clients.xlsx"))
    assert item.after["birth_date"] == "1990-01-01"


def test_headings_that_stand_twice_are_left_to_a_person(cast: Cast) -> None:
    import_id = kept("Nom;E-mail;Téléphone;Téléphone\nDurand;ana@exemple.fr;0639981234;0639981235\n", cast.admin)
    found = commands.find(import_id, by=cast.admin)
    assert found.columns == ["client.last_name", "client.email", None, None]
    keys = ["client.last_name", "client.email", "client.phone", "client.phone"]
    with pytest.raises(InvalidInputError, match="choisi pour plusieurs colonnes"):
        commands.match(import_id, list(keys), {}, by=cast.admin, at=NOW)


def test_a_bomb_that_lies_about_its_size_is_refused() -> None:
    """The directory of the archive says that a sheet is small: the limits that look at it see nothing."""

    def fill(workbook: xlsxwriter.Workbook) -> None:
        sheet = workbook.add_worksheet()
        sheet.write_row(0, 0, ["Nom", "E-mail"])
        for row in range(1, 20_000):
            sheet.write_row(row, 0, ["x" * 500, "a@exemple.fr"])

    data = bytearray(_workbook(fill))
    place = data.rindex(b"PK\x01\x02", 0, data.rindex(b"xl/worksheets/sheet1.xml"))
    struct.pack_into("<L", data, place + 24, 10)
    with pytest.raises(InvalidInputError) as refusal:
        _examined(bytes(data))
    assert (refusal.value.field, "abîmé" in refusal.value.message) == ("file", True)


def test_who_lost_the_right_applies_nothing(cast: Cast) -> None:
    operation_id = planned("Nom;E-mail\nDurand;ana@exemple.fr\n", cast.manager)
    cast.manager.roles = [Role.COMMERCIAL]
    db.session.flush()
    with pytest.raises(ForbiddenError, match="manager ou un administrateur"):
        deciding.apply(operation_id, by=cast.manager, at=NOW)
    assert db.session.query(Client).filter_by(email="ana@exemple.fr").count() == 0
    assert applied(operation_id, cast.admin).applied == 1


def test_a_file_that_is_gone_is_said(cast: Cast) -> None:
    import_id = kept("Nom;E-mail\nDurand;ana@exemple.fr\n", cast.admin)
    found = commands.find(import_id, by=cast.admin)
    commands.document_store.drop(str(found.stored_as), organisation_id=cast.organisation.id)
    commands.correct(import_id, {}, by=cast.admin, at=NOW)
    commands.read(cast.organisation.id, import_id)
    assert "déposez-le de nouveau" in str(commands.find(import_id, by=cast.admin).error)
