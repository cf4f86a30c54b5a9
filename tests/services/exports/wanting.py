"""Exports as tests ask for them, and their files as spreadsheets read them."""

import csv
import io
from collections.abc import Sequence
from typing import Any

from python_calamine import CalamineWorkbook

from webapp import clock
from webapp.models.exports import ExportFormat
from webapp.models.identity import User
from webapp.services.exports import commands
from webapp.services.exports.lists import LISTS
from webapp.services.exports.reading import Wanted


def want(key: str, view: Any, *, by: User, keys: Sequence[str] = (), **asked: Any) -> Wanted:
    """A CSV of a list, unless something else is said."""
    values = {"file_format": ExportFormat.CSV, **asked}
    return commands.want(LISTS[key], view, keys=keys, by=by, at=clock.now(), **values)


def write(wanted: Wanted, *, by: User) -> bytes:
    """The file, made at once."""
    file = io.BytesIO()
    commands.write_at_once(wanted, file, by=by, at=clock.now())
    return file.getvalue()


def csv_rows(content: bytes) -> list[list[str]]:
    """The lines of a CSV file, its headings first."""
    assert content.startswith(b"\xef\xbb\xbf")
    text = content.decode("utf-8-sig")
    assert text.endswith("\r\n")
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=";"))


def sheets(content: bytes) -> dict[str, list[list[Any]]]:
    """The sheets of an Excel file, each with its headings first."""
    book = CalamineWorkbook.from_filelike(io.BytesIO(content))
    return {name: book.get_sheet_by_name(name).to_python() for name in book.sheet_names}
