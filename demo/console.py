"""What bin/dev says: one prefixed line per line of each process, on standard output and in CRM_HOME/dev.log."""

import os
import select
import stat
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Self

from honcho.colour import get_colours
from honcho.printer import Message, Printer

PIPE_ROOM = 4096  # bytes that a pipe takes without blocking once it is ready for writing (PIPE_BUF)


class Console:
    """Prints without ever waiting for a reader.

    Whoever started us may have stopped reading our pipe; lines then go to the log alone, since waiting would stop
    the supervision of everything.
    """

    def __init__(self, log: Path, width: int) -> None:
        self._log = log.open("w", encoding="utf-8")
        self._outputs = (_Unhurried(), self._log)
        self._printers = [Printer(output, width=width) for output in self._outputs]
        self._colours: Iterator[str] = get_colours()
        self._colour_of: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._log.close()

    def line(self, name: str, text: str) -> None:
        """One line of a process."""
        if name not in self._colour_of:
            self._colour_of[name] = next(self._colours)
        message = Message("line", text or " ", datetime.now(), name, self._colour_of[name])  # noqa: DTZ005
        for printer in self._printers:
            printer.write(message)

    def say(self, text: str) -> None:
        """A sentence of our own, bare."""
        for output in self._outputs:
            output.write(text + "\n")
            output.flush()


class _Unhurried:
    """Standard output that drops what nobody reads."""

    def __init__(self) -> None:
        self._descriptor = sys.stdout.fileno()
        kind = os.fstat(self._descriptor).st_mode
        self._may_block = stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind)
        self._closed = False

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, text: str) -> None:
        data = text.encode("utf-8", "replace")
        for start in range(0, len(data), PIPE_ROOM):
            self._write_piece(data[start : start + PIPE_ROOM])

    def flush(self) -> None:
        """Nothing is held back."""

    def _write_piece(self, piece: bytes) -> None:
        if self._closed or (self._may_block and not self._has_room()):
            return
        try:
            os.write(self._descriptor, piece)
        except OSError:  # the reader has gone
            self._closed = True

    def _has_room(self) -> bool:
        _, writable, _ = select.select([], [self._descriptor], [], 0)
        return bool(writable)
