"""The process that reads one workbook (see ``spreadsheets``). It imports nothing of the application.

It has the workbook as its standard input, and writes what it reads to its standard output: lines of JSON. What it reads
may be hostile; it holds no secret and no connection, and its memory and time are limited by whoever starts it.
python-calamine holds a sheet whole (90 bytes a cell): that memory is this process's, and goes with it.
"""

import datetime
import posixpath
import re
import sys
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple
from xml.etree import ElementTree

import orjson
import python_calamine

BATCH = 500
"""Rows to a line of the output."""
PIECE = 1024 * 1024
COLUMNS_LIMIT = 16_384
"""The widest sheet of any program: a row that says it repeats a cell more often lies."""
FAILED = re.compile(rb"""<(?:\w+:)?c\s([^>/]*\bt=["']e["'][^>/]*)>(.*?)</(?:\w+:)?c>""", re.DOTALL)
PLACE = re.compile(rb"""\br=["']([A-Z]{1,3})([0-9]{1,7})["']""")
CODE = re.compile(rb"<(?:\w+:)?v[^>]*>([^<]{1,20})<")
TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
ODS_KIND = "{urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0}value-type"


UNREAD = (
    ElementTree.ParseError,  # what should be XML is none
    LookupError,  # a member of the archive, or an attribute, that is not there
    ValueError,  # a sheet of that name stands never or twice; a number is none
    zipfile.BadZipFile,
    zlib.error,
)
"""What ends the search through a workbook that python-calamine could open: it unpacks no more than zipfile does."""


class UnplacedError(Exception):
    """Nobody can tell in which cells of the sheet a formula failed; ``spreadsheets`` knows it by its name."""


class Run(NamedTuple):
    """Rows one after the other, from ``first`` to before ``end`` (from 0), in which the same cells failed.

    ``codes``: by column, from 0, what the program wrote there, as #DIV/0!.
    """

    first: int
    end: int
    codes: dict[int, str]


def main(sheet: str, head: int) -> None:
    """Write the sheets' names, then the rows of one of them: the first ``head``, or all where it is 0."""
    workbook = python_calamine.load_workbook(sys.stdin.buffer)
    names = [
        each.name
        for each in workbook.sheets_metadata
        if each.typ == python_calamine.SheetTypeEnum.WorkSheet
        and each.visible == python_calamine.SheetVisibleEnum.Visible
    ]
    chosen = _chosen(workbook, [sheet] if sheet in names else names)
    first = {
        "sheets": names,
        "sheet": chosen.name if chosen else None,
        "is_1904": _is_1904(),
    }
    _write(first)
    if chosen is None:
        return
    batch: list[list[Any]] = []
    for number, row in enumerate(_rows(chosen), start=1):
        batch.append(row)
        if number == head:
            break
        if len(batch) == BATCH:
            _write(batch)
            batch = []
    _write(batch)


def _chosen(workbook: python_calamine.CalamineWorkbook, names: list[str]) -> python_calamine.CalamineSheet | None:
    """The first of these sheets that holds a table, else the first: a cover or a note often stands before it."""
    for name in names:
        sheet = workbook.get_sheet_by_name(name)
        if sheet.height > 1 and sheet.width > 1:
            return sheet
    return workbook.get_sheet_by_name(names[0]) if names else None


def _rows(sheet: python_calamine.CalamineSheet) -> Iterator[list[Any]]:
    """The rows of a sheet, with the code of a failed formula where python-calamine reads a blank cell."""
    failures = _failures(sheet.name)
    left = sheet.start[1] if sheet.start else 0  # columns are counted from the first that holds anything
    run = next(failures, None)
    for number, row in enumerate(sheet.iter_rows()):
        while run is not None and run.end <= number:
            run = next(failures, None)
        if run is not None and run.first <= number:
            for column, code in run.codes.items():
                if 0 <= column - left < len(row):
                    row[column - left] = code
        yield row


def _write(value: object) -> None:
    encoded = orjson.dumps(value, default=_marked, option=orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_APPEND_NEWLINE)
    sys.stdout.buffer.write(encoded)


def _marked(value: object) -> list[str]:
    """Dates and times stand in a list of one, so that they are told from texts."""
    if isinstance(value, datetime.timedelta):
        return [str(value)]
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return [value.isoformat()]
    raise TypeError


def _is_1904() -> bool:
    """Whether bare numbers count days from 1904, as in workbooks of old Macs."""
    sys.stdin.buffer.seek(0)
    try:
        with zipfile.ZipFile(sys.stdin.buffer) as archive, archive.open("xl/workbook.xml") as part:
            head = part.read(64 * 1024)
    except (KeyError, zipfile.BadZipFile, OSError):
        return False
    return b'date1904="1"' in head or b'date1904="true"' in head


def _failures(sheet: str) -> Iterator[Run]:
    """Where the formulas of the sheet failed, which python-calamine reads as blank cells; in the order of rows.

    Raises UnplacedError where that cannot be told: a blank cell says nothing, and a failed one must not read as blank.
    """
    sys.stdin.buffer.seek(0)
    try:
        with zipfile.ZipFile(sys.stdin.buffer) as archive:
            is_ods = "content.xml" in archive.namelist()
            return iter(_failures_of_ods(archive, sheet) if is_ods else _failures_of_xlsx(archive, sheet))
    except UNREAD as why:
        raise UnplacedError from why


def _part_of(archive: zipfile.ZipFile, sheet: str) -> str:
    """The member of an XLSX that holds the sheet. Raises KeyError or ValueError where the workbook does not say."""
    sheets = ElementTree.fromstring(archive.read("xl/workbook.xml")).iter()  # noqa: S314  see above: alone, limited
    (named,) = (each for each in sheets if each.tag.endswith("}sheet") and each.get("name") == sheet)
    (link,) = (value for name, value in named.attrib.items() if name.endswith("}id"))
    parts = ElementTree.fromstring(archive.read("xl/_rels/workbook.xml.rels")).iter()  # noqa: S314
    (target,) = (each.attrib["Target"] for each in parts if each.get("Id") == link)
    return posixpath.normpath(posixpath.join("/xl", target))[1:]


def _failures_of_xlsx(archive: zipfile.ZipFile, sheet: str) -> list[Run]:
    found: dict[int, dict[int, str]] = {}
    for rows in _whole_rows(archive, _part_of(archive, sheet)):
        if b't="e"' not in rows and b"t='e'" not in rows:  # far quicker than the pattern
            continue
        for attributes, content in FAILED.findall(rows):
            place, code = PLACE.search(attributes), CODE.search(content)
            if not (place and code):
                raise UnplacedError
            found.setdefault(int(place[2]) - 1, {})[_column(place[1])] = code[1].decode()
    return [Run(row, row + 1, codes) for row, codes in sorted(found.items())]


def _whole_rows(archive: zipfile.ZipFile, part: str) -> Iterator[bytes]:
    """The text of a sheet, in pieces that end with a row."""
    rest = b""
    with archive.open(part) as file:
        while piece := file.read(PIECE):
            end = piece.rfind(b"row>") + 4
            if end < 4:
                rest += piece
            else:
                yield rest + piece[:end]
                rest = piece[end:]
    yield rest


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number - 1


def _failures_of_ods(archive: zipfile.ZipFile, sheet: str) -> list[Run]:
    """Places are counted through, since runs of like cells and rows stand there once: only where something failed."""
    if not _holds_failures(archive):
        return []
    found = []
    row, is_in = 0, False
    with archive.open("content.xml") as file:
        for event, each in ElementTree.iterparse(file, ("start", "end")):  # noqa: S314
            if each.tag == f"{TABLE}table":
                is_in = event == "start" and each.get(f"{TABLE}name") == sheet
            elif event == "end" and each.tag == f"{TABLE}table-row":
                times = int(each.get(f"{TABLE}number-rows-repeated", "1"))
                if is_in:
                    if codes := _failures_of_row(each):
                        found.append(Run(row, row + times, codes))
                    row += times
                each.clear()
    return found


def _holds_failures(archive: zipfile.ZipFile) -> bool:
    """Whether a cell of an ODS failed at all; far quicker than counting places."""
    with archive.open("content.xml") as file:
        before = b""
        while piece := file.read(PIECE):
            if b'value-type="error"' in before + piece:
                return True
            before = piece[-20:]
    return False


def _failures_of_row(row: ElementTree.Element) -> dict[int, str]:
    found: dict[int, str] = {}
    column = 0
    for cell in row:
        times = int(cell.get(f"{TABLE}number-columns-repeated", "1"))
        if cell.get(ODS_KIND) == "error":
            code = "".join(cell.itertext()).strip()[:20]
            found |= dict.fromkeys(range(column, min(column + times, COLUMNS_LIMIT)), code)
        column += times
    return found


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
