"""Lists that people upload as CSV, from whatever program wrote them: read strictly, and refused in a sentence."""

import csv
import io
from collections.abc import Sequence
from typing import NamedTuple

from webapp.errors import InvalidInputError

WRONG_CHARSET = (
    "L’encodage de ce fichier n’est ni UTF-8 ni celui d’Excel (Windows-1252)\u202f: enregistrez-le en UTF-8."
)


class Row(NamedTuple):
    """A row as it was written; ``line`` is the number of its last line in the file, from 1."""

    line: int
    cells: list[str]


def decode(content: bytes) -> str:
    """The text of a file. Told apart strictly: hardly any text of Windows-1252 with accents is UTF-8 by chance.

    Raises InvalidInputError, field ``file``.
    """
    for charset in ("utf-8-sig", "cp1252"):
        try:
            text = content.decode(charset)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise InvalidInputError(WRONG_CHARSET, field="file")


def read_rows(text: str, *, unreadable: str) -> list[Row]:
    """The rows, blank ones left out, separated by what stands most often in the first line: semicolon, comma or tab.

    Raises InvalidInputError, field ``file``, with the sentence ``unreadable`` for what is no CSV.
    """
    heading = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text), delimiter=max(";,\t", key=heading.count), strict=True)
    try:
        return [Row(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise InvalidInputError(unreadable, field="file") from error


def refuse_more(rows: Sequence[object], most: int) -> None:
    """Raise InvalidInputError, field ``file``, where a list has more rows than ``most``."""
    if len(rows) > most:
        raise InvalidInputError(f"Cette liste dépasse {most} lignes\u202f: découpez-la.", field="file")
