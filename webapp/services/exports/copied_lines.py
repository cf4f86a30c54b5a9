"""Lines as COPY writes them, as lines of a CSV file.

Most need other separators and nothing else, and are changed hundreds at a time. The few that hold more than that are
taken apart, finished cell by cell, and written as ``csv`` does.
"""

import io
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from psycopg.abc import Buffer

from webapp.services.exports.writing import french_writer

Row = Sequence[Any]

_ODD = re.compile(rb"""[\t\n";\\](?:(?<=[";\\])|(?=[-=+@]))""")
"""A cell that ``csv`` would quote, that COPY has escaped, or that may be run as a formula."""
_FRENCH_PHONE = re.compile(rb"\+33(?<=[\t\n]\+33)([1-9])(\d\d)(\d\d)(\d\d)(\d\d)(?=[\t\n])")
"""What ``cells.readable`` makes readable, where it is a whole cell."""
_ESCAPED = re.compile(r"\\(.)")
_MEANT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class CsvLines:
    """Makes the lines of one file.

    ``finish`` does to rows what their cells still need, ``finishes_all`` says that each row needs it.
    """

    def __init__(self, finish: Callable[[Iterable[Row]], list[Row]], *, finishes_all: bool) -> None:
        self._finish, self._finishes_all = finish, finishes_all
        self._line = io.StringIO(newline="")
        self._writer = french_writer(self._line)

    def written(self, copied: Iterable[Buffer]) -> list[bytes]:
        """The lines of the file, each with its end."""
        block = b"\n" + b"".join(copied)
        if not self._finishes_all:
            block = _FRENCH_PHONE.sub(rb"0\1 \2 \3 \4 \5", block)
            if not _ODD.search(block):
                return _separated(block[1:]).splitlines(keepends=True)
        lines = block[1:-1].split(b"\n")
        odd = [place for place, line in enumerate(lines) if self._finishes_all or _ODD.search(b"\n" + line)]
        made = [_separated(line + b"\n") for line in lines]
        for place, row in zip(odd, self._finish(_cells(lines[place]) for place in odd), strict=True):
            made[place] = self._as_csv(row)
        return made

    def _as_csv(self, row: Row) -> bytes:
        self._line.seek(0)
        self._line.truncate()
        self._writer.writerow(row)
        return self._line.getvalue().encode()


def _separated(lines: bytes) -> bytes:
    return lines.replace(b"\t", b";").replace(b"\n", b"\r\n")


def _cells(line: bytes) -> list[str]:
    cells = line.decode().split("\t")
    return [_ESCAPED.sub(_meant, cell) if "\\" in cell else cell for cell in cells]


def _meant(escaped: re.Match[str]) -> str:
    return _MEANT.get(escaped[1], escaped[1])
