"""The process that reads one workbook (see ``spreadsheets``). It imports nothing of the application.

It has the workbook as its standard input, and writes what it reads to its standard output: lines of JSON. What it reads
may be hostile; it holds no secret and no connection, and its memory and time are limited by whoever starts it.
python-calamine holds a sheet whole (90 bytes a cell): that memory is this process's, and goes with it.
"""

import datetime
import sys
import zipfile
from typing import Any

import orjson
import python_calamine

BATCH = 500
"""Rows to a line of the output."""


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
    batch: list[list[Any]] = []
    for number, row in enumerate(chosen.iter_rows(), start=1):
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


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
