"""The lines that an import did not take, in the shape of its file, each with its reason: to correct and drop again."""

import csv
import io
import tempfile
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import PurePosixPath
from typing import IO, NamedTuple

import xlsxwriter
from sqlalchemy import ColumnElement, and_, or_, select

from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.gateways.spreadsheets import Cell
from webapp.models.imports import Import
from webapp.models.operations import ItemAction, OperationItem
from webapp.services.imports import commands, reading
from webapp.services.imports.reading import KeptFile, Reading, Row

REASON = "Motif"
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class RejectedFile(NamedTuple):
    """A file to be saved."""

    name: str
    content_type: str
    file: IO[bytes]


def reasons_of(kept: Import) -> dict[int, str]:
    """Why lines were not taken, by their numbers: in error, undecided, or left out when the plan was applied."""
    refused: ColumnElement[bool] = or_(
        OperationItem.action.in_((ItemAction.ERROR, ItemAction.UNDECIDED)), OperationItem.left_out.is_not(None)
    )
    statement = select(OperationItem.line, OperationItem.left_out, OperationItem.reason).where(
        and_(OperationItem.operation_id == kept.operation_id, OperationItem.line.is_not(None), refused)
    )
    found: dict[int, str] = {}
    for line, left_out, reason in db.session.execute(statement.order_by(OperationItem.position)):
        found.setdefault(int(line or 0), left_out or reason or "")
    return found


def write(kept: Import) -> RejectedFile:
    """The file of rejects, of the format of the original (an OpenDocument one comes as XLSX). Raises NotFoundError."""
    read = commands.reading_of(kept)
    if read is None or kept.stored_as is None or kept.operation_id is None:
        raise NotFoundError(reading.GONE)
    reasons = reasons_of(kept)
    stem = PurePosixPath(kept.file_name).stem[:100] or "import"
    written = tempfile.TemporaryFile()  # noqa: SIM115  whoever sends it closes it
    with reading.opened(KeptFile.of(kept)) as file:
        rows = _rejected(file, read, reasons)
        if read.kind == "csv":
            _write_csv(written, read, rows)
        else:
            _write_xlsx(written, read, rows)
    written.seek(0)
    ending, kind = ("csv", "text/csv") if read.kind == "csv" else ("xlsx", _XLSX)
    return RejectedFile(f"{stem}-rejets.{ending}", kind, written)


def _width(read: Reading) -> int:
    """The columns of the original, without the reasons of an earlier round."""
    return len(read.headings) - commands.has_reasons(read.headings)


def _rejected(file: IO[bytes], read: Reading, reasons: dict[int, str]) -> Iterator[list[Cell]]:
    width = _width(read)
    for row in reading.read_all(file, read):
        if row.line in reasons:
            yield [*_cells(row, width), reasons[row.line]]


def _cells(row: Row, width: int) -> list[Cell]:
    return reading.cells_of(row, width)


def _headings(read: Reading) -> list[str]:
    return [*read.headings[: _width(read)], REASON]


def _write_csv(written: IO[bytes], read: Reading, rows: Iterator[Sequence[Cell]]) -> None:
    encoding = "utf-8-sig" if read.encoding == "utf-8" else read.encoding or "utf-8-sig"
    # Our reasons have a space that older encodings lack; what came from the file is of its encoding.
    text = io.TextIOWrapper(written, encoding=encoding, errors="replace", newline="", write_through=True)
    writer = csv.writer(text, delimiter=read.separator or ";", lineterminator="\r\n")
    writer.writerow(_headings(read))
    for *cells, reason in rows:
        plain = str(reason) if encoding.startswith("utf") else str(reason).replace("\u202f", "\u00a0")
        writer.writerow([*cells, plain])
    text.detach()


def _write_xlsx(written: IO[bytes], read: Reading, rows: Iterator[Sequence[Cell]]) -> None:
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(written, options) as workbook:
        sheet = workbook.add_worksheet((read.sheet or "Rejets")[:31])
        day = workbook.add_format({"num_format": "dd/mm/yyyy"})
        for place, heading in enumerate(_headings(read)):
            sheet.write_string(0, place, heading)
        for number, cells in enumerate(rows, start=1):
            for place, cell in enumerate(cells):
                if isinstance(cell, date):
                    sheet.write_datetime(number, place, cell, day)
                elif cell not in (None, ""):
                    sheet.write(number, place, cell)
