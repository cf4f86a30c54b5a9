"""Reads workbooks (XLSX, ODS) in a process of their own, whose memory and time are bounded: they come from anywhere.

What the archive says of itself is checked before anything is unpacked; what it says wrongly ends that process only.
"""

import resource
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import IO, Any

import orjson

Cell = str | int | float | bool | date | None

PROGRAM = Path(__file__).with_name("sheet_process.py")
UNPACKED_LIMIT = 1_500_000_000
"""Bytes: 200,000 rows of 30 columns are some 400 million."""
RATIO_LIMIT = 200
"""How many bytes one packed byte may hold: sheets pack 10 to 30 to one, a bomb some 1,000 to one."""
RATIO_FREE = 64 * 1024 * 1024
MEMBERS_LIMIT = 5_000
MEMORY_LIMIT = 4_000_000_000
"""Bytes of address space of the process that reads: six million cells take some 700 million."""
SECONDS_LIMIT = 180
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


class UnreadableSheetError(Exception):
    """The workbook cannot be read; the message is French, for the person who gave it."""


LOCKED = "Ce fichier est protégé par un mot de passe\u202f: enregistrez-le sans mot de passe."
OLD_FORMAT = "Ce fichier est d’un ancien format d’Excel (.xls)\u202f: enregistrez-le au format .xlsx."
MACROS = "Ce classeur contient des macros\u202f: enregistrez-le au format .xlsx, sans macros."
BROKEN = "Ce fichier est abîmé, ou n’est pas un classeur Excel (.xlsx) ou OpenDocument (.ods)."
TOO_MUCH = "Ce classeur est bien plus grand, une fois ouvert, que ce que nous lisons\u202f: découpez-le."
UNPLACED = (
    "Nous ne pouvons pas voir, dans ce classeur, quelles formules ont échoué\u202f: "
    "ouvrez-le dans votre tableur et enregistrez-le à nouveau au format .xlsx."
)
NO_SHEET = "Ce classeur n’a aucune feuille visible."


@dataclass
class OpenSheet:
    """A sheet that is being read: the names of the workbook's sheets, its own, and its rows, to be read once.

    Rows come with all blank ones, so that their places count. ``is_1904``: bare numbers count days from 1904.
    """

    sheets: list[str]
    sheet: str
    is_1904: bool
    rows: Iterator[list[Cell]]


def check_archive(file: IO[bytes]) -> str:
    """``xlsx`` or ``ods``, by what the archive holds; nothing is unpacked. Raises UnreadableSheetError."""
    file.seek(0)
    head = file.read(8)
    if head == OLE:
        file.seek(0)
        raise UnreadableSheetError(LOCKED if "EncryptedPackage".encode("utf-16-le") in file.read() else OLD_FORMAT)
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, RuntimeError, OSError) as error:
        raise UnreadableSheetError(BROKEN) from error
    _refuse_bomb(members)
    names = {member.filename for member in members}
    if any(name.lower().endswith("vbaproject.bin") for name in names):
        raise UnreadableSheetError(MACROS)
    if "xl/workbook.xml" in names:
        return "xlsx"
    if "content.xml" in names and "META-INF/manifest.xml" in names:
        return "ods"
    raise UnreadableSheetError(BROKEN)


def _refuse_bomb(members: list[zipfile.ZipInfo]) -> None:
    packed = sum(member.compress_size for member in members)
    unpacked = sum(member.file_size for member in members)
    if (
        len(members) > MEMBERS_LIMIT
        or unpacked > UNPACKED_LIMIT
        or (unpacked > RATIO_FREE and unpacked > RATIO_LIMIT * max(packed, 1))
    ):
        raise UnreadableSheetError(TOO_MUCH)


def read_sheet(file: IO[bytes], sheet: str | None = None, *, head: int = 0) -> OpenSheet:
    """The sheet of that name, else the first that holds a table; ``head`` rows of it, or all.

    ``file`` has a file descriptor. Raises UnreadableSheetError, at once or while rows are read. What is not read to its
    end is given up.
    """
    check_archive(file)
    lines = _lines(file, sheet or "", head)
    said = orjson.loads(next(lines))
    if said["sheet"] is None:
        raise UnreadableSheetError(NO_SHEET)
    return OpenSheet(said["sheets"], said["sheet"], said["is_1904"], _cells(lines))


def _lines(file: IO[bytes], sheet: str, head: int) -> Iterator[bytes]:
    file.seek(0)
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(  # noqa: S603  our own program, with names as arguments
            [sys.executable, "-I", str(PROGRAM), sheet, str(head)],
            stdin=file,
            stdout=subprocess.PIPE,
            stderr=said,
            env={},
            preexec_fn=_limit,  # noqa: PLW1509  it calls the kernel and takes no lock
        )
        assert process.stdout is not None  # noqa: S101  for mypy
        try:
            yield from process.stdout
            if process.wait() != 0:
                said.seek(0)
                raise UnreadableSheetError(_why(process.returncode, said.read()))
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            process.wait()
            process.stdout.close()


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS_LIMIT, SECONDS_LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _why(code: int, said: bytes) -> str:
    if b"PasswordError" in said or b"assword" in said:
        return LOCKED
    if code < 0 or b"MemoryError" in said:
        return TOO_MUCH
    return UNPLACED if b"UnplacedError" in said else BROKEN


def _cells(lines: Iterator[bytes]) -> Iterator[list[Cell]]:
    for line in lines:
        rows: list[list[Any]] = orjson.loads(line)
        for row in rows:
            yield [_plain(cell) for cell in row] if list in map(type, row) else row


def _plain(cell: Any) -> Cell:
    """A date where it is one; a time of day, or a duration, as its text."""
    if type(cell) is not list:
        plain: Cell = cell
        return plain
    text: str = cell[0]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return moment.date() if moment.hour == moment.minute == moment.second == 0 else moment
