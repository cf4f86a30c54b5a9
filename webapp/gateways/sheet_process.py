"""The process that reads one workbook (see ``spreadsheets``). It imports nothing of the application.

It has the workbook as its standard input, and writes what it reads to its standard output: lines of JSON. What it reads
may be hostile; it holds no secret and no connection, and its memory and time are limited by whoever starts it.
python-calamine holds a sheet whole (90 bytes a cell): that memory is this process's, and goes with it.
"""

import datetime
import re
import sys
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import orjson
import python_calamine

BATCH = 500
"""Rows to a line of the output."""
PIECE = 1024 * 1024
FAILED = re.compile(rb'<(?:\w+:)?c\s([^>/]*\bt="e"[^>/]*)>(.*?)</(?:\w+:)?c>', re.DOTALL)
PLACE = re.compile(rb'\br="([A-Z]{1,3})([0-9]{1,7})"')
CODE = re.compile(rb"<(?:\w+:)?v[^>]*>([^<]{1,20})<")
TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
ODS_KIND = "{urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0}value-type"
Failures = dict[int, dict[int, str]]
"""By row and column, from 0: the code of a formula that failed, as #DIV/0!."""


def main(sheet: str, head: int) -> None:
    """Write the sheets' names, then the rows of one of them: the first ``head``, or all where it is 0."""
    workbook = python_calamine.load_workbook(sys.stdin.buffer)
    names = [
        each.name
        for each in workbook.sheets_metadata
        if each.typ == python_calamine.SheetTypeEnum.WorkSheet
        and each.visible == python_calamine.SheetVisibleEnum.Visible
    ]
    chosen = workbook.get_sheet_by_name(sheet if sheet in names else names[0]) if names else None
    first = {
        "sheets": names,
        "sheet": chosen.name if chosen else None,
        "is_1904": _is_1904(),
    }
    _write(first)
    if chosen is None:
        return
    failures = _failures(chosen.name)
    left = chosen.start[1] if chosen.start else 0  # columns are counted from the first that holds anything
    batch: list[list[Any]] = []
    for number, row in enumerate(chosen.iter_rows(), start=1):
        for column, code in failures.get(number - 1, {}).items():
            if 0 <= column - left < len(row):
                row[column - left] = code
        batch.append(row)
        if number == head:
            break
        if len(batch) == BATCH:
            _write(batch)
            batch = []
    _write(batch)


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


def _failures(sheet: str) -> Failures:
    """The formulas of the sheet that failed, which python-calamine reads as blank cells.

    What it could read and this cannot has none: whether the file is whole is for python-calamine to say.
    """
    sys.stdin.buffer.seek(0)
    try:
        with zipfile.ZipFile(sys.stdin.buffer) as archive:
            if "content.xml" in archive.namelist():
                return _failures_of_ods(archive, sheet)
            part = _part_of(archive, sheet)
            return _failures_of_xlsx(archive, part) if part else {}
    except (ElementTree.ParseError, KeyError, ValueError, NotImplementedError, zipfile.BadZipFile, zlib.error):
        return {}


def _part_of(archive: zipfile.ZipFile, sheet: str) -> str | None:
    """The member of an XLSX that holds the sheet."""
    link = None
    for each in ElementTree.fromstring(archive.read("xl/workbook.xml")).iter():  # noqa: S314  see above: alone, limited
        if each.tag.endswith("}sheet") and each.get("name") == sheet:
            link = next((value for name, value in each.attrib.items() if name.endswith("}id")), None)
    for each in ElementTree.fromstring(archive.read("xl/_rels/workbook.xml.rels")).iter():  # noqa: S314
        if link is not None and each.get("Id") == link:
            target = each.get("Target", "")
            member = target[1:] if target.startswith("/") else f"xl/{target}"
            return member if member in archive.namelist() else None
    return None


def _failures_of_xlsx(archive: zipfile.ZipFile, part: str) -> Failures:
    found: Failures = {}
    for rows in _whole_rows(archive, part):
        if b't="e"' not in rows:
            continue
        for attributes, content in FAILED.findall(rows):
            place, code = PLACE.search(attributes), CODE.search(content)
            if place and code:
                row = found.setdefault(int(place[2]) - 1, {})
                row[_column(place[1])] = code[1].decode("ascii", "replace")
    return found


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


def _failures_of_ods(archive: zipfile.ZipFile, sheet: str) -> Failures:
    """Places are counted through, since runs of like cells and rows stand there once: only where something failed."""
    with archive.open("content.xml") as file:
        before = b""
        while piece := file.read(PIECE):
            if b'value-type="error"' in before + piece:
                break
            before = piece[-20:]
        else:
            return {}
    found: Failures = {}
    row, is_in = 0, False
    with archive.open("content.xml") as file:
        for event, each in ElementTree.iterparse(file, ("start", "end")):  # noqa: S314
            if each.tag == f"{TABLE}table":
                is_in = event == "start" and each.get(f"{TABLE}name") == sheet
            elif event == "end" and each.tag == f"{TABLE}table-row":
                times = int(each.get(f"{TABLE}number-rows-repeated", "1"))
                if is_in:
                    if failed := _failures_of_row(each):
                        found |= dict.fromkeys(range(row, row + min(times, BATCH)), failed)
                    row += times
                each.clear()
    return found


def _failures_of_row(row: ElementTree.Element) -> dict[int, str]:
    found, column = {}, 0
    for cell in row:
        if cell.get(ODS_KIND) == "error":
            found[column] = "".join(cell.itertext()).strip()[:20]
        column += int(cell.get(f"{TABLE}number-columns-repeated", "1"))
    return found


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
