"""Reads a file from its kept bytes: guesses how, shows the first rows, and hands out every row, in little memory."""

import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import IO, Any, NamedTuple
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from webapp import tenancy
from webapp.errors import InvalidInputError
from webapp.french import whole
from webapp.gateways import document_store
from webapp.gateways.spreadsheets import Cell, UnreadableSheetError, check_archive, read_sheet
from webapp.models.imports import Import
from webapp.services.imports import columns, csv_files
from webapp.services.imports.transforms import text_of

SIZE_LIMIT = 50_000_000
"""Bytes."""
TOO_LARGE = f"Ce fichier est trop lourd\u202f: {SIZE_LIMIT // 1_000_000}\u202fMo au plus. Découpez-le."
GONE = "Le fichier de cet import n’est plus conservé\u202f: déposez-le de nouveau."
MOST_ROWS = 200_000
MOST_COLUMNS = 250
PREVIEWED = 10
HEADER_WITHIN = 20
"""The headings stand in one of the first rows."""
KINDS = {"csv": "CSV", "xlsx": "Excel", "ods": "OpenDocument"}
_ARCHIVE = b"PK"
_OLE = b"\xd0\xcf\x11\xe0"


class Row(NamedTuple):
    """A row of the file; ``line`` is its line in it, from 1."""

    line: int
    cells: Sequence[Cell]

    @property
    def is_blank(self) -> bool:
        """Whether no cell holds anything."""
        for cell in self.cells:  # noqa: SIM110  a generator costs four times as much, and each row is asked twice
            if cell is not None and (not isinstance(cell, str) or cell.strip()):
                return False
        return True


@dataclass
class Reading:
    """How a file was read. ``header`` is the line of the headings, 0 where there are none."""

    kind: str
    header: int
    headings: list[str]
    rows: list[list[str]]
    lines: list[int]
    total: int
    encoding: str | None = None
    separator: str | None = None
    sheets: list[str] = field(default_factory=list)
    sheet: str | None = None
    is_1904: bool = False
    above: list[list[Any]] = field(default_factory=list)
    """The first rows as they stand, with their lines: among them a person picks the headings."""


class NothingBelowError(InvalidInputError):
    """Nothing stands below the headings. ``reading`` has the sheets and lines among which a person picks others."""

    def __init__(self, reading: Reading) -> None:
        field = "sheet" if len(reading.sheets) > 1 else "header" if reading.above else "file"
        super().__init__("Il n’y a aucune ligne sous les titres.", field=field)
        self.reading = reading


@dataclass(frozen=True)
class Options:
    """How a person wants a file read; None is guessed."""

    encoding: str | None = None
    separator: str | None = None
    sheet: str | None = None
    header: int | None = None

    @classmethod
    def of(cls, written: dict[str, Any]) -> "Options":
        """From what is kept. Raises InvalidInputError for what is no such choice, naming it."""
        encoding, separator = written.get("encoding"), written.get("separator")
        if encoding is not None and encoding not in csv_files.ENCODINGS:
            raise InvalidInputError("Cet encodage n’est pas proposé.", field="encoding")
        if separator is not None and separator not in csv_files.SEPARATORS:
            raise InvalidInputError("Ce séparateur n’est pas proposé.", field="separator")
        header = written.get("header")
        if header is not None and not 0 <= header <= 1000:
            raise InvalidInputError("La ligne de titres n’est pas là.", field="header")
        return cls(encoding, separator, written.get("sheet"), header)


class KeptFile(NamedTuple):
    """The file of an import as the store has it, and its key."""

    organisation_id: UUID
    name: str
    key: bytes

    @classmethod
    def keep(cls, file: IO[bytes]) -> "KeptFile":
        """Write the rest of ``file``, encrypted with a key of its own, for the current organisation."""
        kept = cls(tenancy.current_organisation_id(), secrets.token_hex(32), AESGCM.generate_key(256))
        with document_store.SealedFile(kept.name, organisation_id=kept.organisation_id, key=kept.key) as written:
            while piece := file.read(document_store.CHUNK):
                written.write(piece)
        return kept

    @classmethod
    def of(cls, kept: Import) -> "KeptFile":
        """That of an import. Raises InvalidInputError, field « file », where it is kept no more."""
        if kept.stored_as is None:
            raise InvalidInputError(GONE, field="file")
        return cls(kept.organisation_id, kept.stored_as, kept.file_key_in_clear())


@contextmanager
def opened(kept: KeptFile) -> Iterator[IO[bytes]]:
    """The kept file in clear, in a temporary file without a name that goes when this ends.

    Raises InvalidInputError, field « file », where it is gone.
    """
    with tempfile.TemporaryFile() as file:
        try:
            for chunk in document_store.read_sealed(kept.name, organisation_id=kept.organisation_id, key=kept.key):
                file.write(chunk)
        except FileNotFoundError as error:
            raise InvalidInputError(GONE, field="file") from error
        file.seek(0)
        yield file


def kind_of(file: IO[bytes]) -> str:
    """``csv``, ``xlsx`` or ``ods``, by the content. Raises InvalidInputError, field « file »."""
    file.seek(0)
    head = file.read(4)
    if not head:
        raise InvalidInputError("Ce fichier est vide.", field="file")
    if head[:2] == _ARCHIVE or head == _OLE:
        try:
            return check_archive(file)
        except UnreadableSheetError as error:
            raise InvalidInputError(str(error), field="file") from error
    if head.startswith((b"%PDF", b"\x89PNG", b"\xff\xd8\xff", b"{\\rt")):
        raise InvalidInputError("Ce fichier n’est ni un CSV, ni un classeur Excel ou OpenDocument.", field="file")
    return "csv"


def examine(file: IO[bytes], options: Options) -> Reading:
    """How the file reads, and its first rows; the whole of it is looked at once.

    Raises InvalidInputError, naming « file », « encoding », « separator », « sheet » or « header ».
    """
    kind = kind_of(file)
    reading = Reading(kind=kind, header=0, headings=[], rows=[], lines=[], total=0)
    rows = _opened_rows(file, options, reading)
    head = list(islice(rows, HEADER_WITHIN + PREVIEWED))
    present = [row for row in head if not row.is_blank]
    reading.above = [[row.line, [text_of(cell) for cell in row.cells]] for row in present[:HEADER_WITHIN]]
    header = _header(present, options)
    reading.header = header.line if header else 0
    below = [row for row in present if row.line > reading.header]
    width = max((_width(row) for row in [*below, *([header] if header else [])]), default=0)
    reading.headings = _headings(header, width)
    reading.rows = [[text_of(cell) for cell in _fitted(row.cells, width)] for row in below[:PREVIEWED]]
    reading.lines = [row.line for row in below[:PREVIEWED]]
    reading.total = len(below) + sum(1 for row in _limited(rows, len(below)) if not row.is_blank)
    if width > MOST_COLUMNS:
        raise InvalidInputError(f"Ce fichier a {width} colonnes\u202f: {MOST_COLUMNS} au plus.", field="file")
    if reading.total == 0:
        raise NothingBelowError(reading)
    return reading


def read_all(file: IO[bytes], reading: Reading) -> Iterator[Row]:
    """Every row below the headings that is not blank, as ``examine`` read it. Raises InvalidInputError."""
    options = Options(reading.encoding, reading.separator, reading.sheet, reading.header)
    again = Reading(kind=reading.kind, header=0, headings=[], rows=[], lines=[], total=0)
    below = (row for row in _opened_rows(file, options, again) if row.line > reading.header and not row.is_blank)
    yield from _limited(below, 0)


def _opened_rows(file: IO[bytes], options: Options, reading: Reading) -> Iterator[Row]:
    """The rows; what was guessed on the way stands in ``reading``."""
    if reading.kind == "csv":
        reading.encoding = options.encoding or csv_files.guess_encoding(file)
        reading.separator = options.separator or csv_files.guess_separator(file, reading.encoding)
        rows = csv_files.read_rows(file, reading.encoding, reading.separator)
        return (Row(line, cells) for line, cells in rows)
    try:
        opened_sheet = read_sheet(file, options.sheet)
    except UnreadableSheetError as error:
        raise InvalidInputError(str(error), field="file") from error
    reading.sheets, reading.sheet, reading.is_1904 = opened_sheet.sheets, opened_sheet.sheet, opened_sheet.is_1904
    return _sheet_rows(opened_sheet.rows)


def _sheet_rows(rows: Iterator[list[Cell]]) -> Iterator[Row]:
    try:
        for line, cells in enumerate(rows, start=1):
            yield Row(line, cells)
    except UnreadableSheetError as error:
        raise InvalidInputError(str(error), field="file") from error


def _limited(rows: Iterator[Row], before: int) -> Iterator[Row]:
    """The rows. Raises InvalidInputError beyond MOST_ROWS that are not blank."""
    count = before
    for row in rows:
        count += not row.is_blank
        if count > MOST_ROWS:
            raise InvalidInputError(f"Ce fichier dépasse {whole(MOST_ROWS)} lignes\u202f: découpez-le.", field="file")
        yield row


def _header(present: Sequence[Row], options: Options) -> Row | None:
    """The row of headings: the one that was chosen, else the one in which most reads as headings, else the first."""
    if options.header is not None:
        chosen = next((row for row in present if row.line == options.header), None)
        if chosen is None and options.header > 0:
            raise InvalidInputError("La ligne de titres choisie est vide, ou trop loin du début.", field="header")
        return chosen
    candidates = present[:HEADER_WITHIN]
    best = max(candidates, key=lambda row: columns.known_headings(row.cells), default=None)
    if best is not None and columns.known_headings(best.cells) > 0:
        return best
    return next((row for row in candidates if _width(row) > 1), candidates[0] if candidates else None)


def _width(row: Row) -> int:
    """How far its cells reach."""
    cells = row.cells
    width = len(cells)
    while width and cells[width - 1] in (None, ""):
        width -= 1
    return width


def _headings(header: Row | None, width: int) -> list[str]:
    cells = _fitted(header.cells, width) if header else [""] * width
    return [" ".join(text_of(cell).split())[:100] or f"Colonne {number}" for number, cell in enumerate(cells, start=1)]


def _fitted(cells: Sequence[Cell], width: int) -> list[Cell]:
    return [*cells[:width], *[""] * (width - len(cells))]


def cells_of(row: Row, width: int) -> list[Cell]:
    """Exactly ``width`` cells."""
    return _fitted(row.cells, width)
