"""The cells of a column into values, many at a time: most columns hold what we keep as it is, and are seen so whole."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from webapp.errors import InvalidInputError
from webapp.gateways.spreadsheets import Cell
from webapp.models.clients import full_name
from webapp.models.commercials import full_name as commercial_name
from webapp.services.imports.columns import Column
from webapp.services.imports.transforms import AT_ONCE, TextReader, refuse_failed_formula

PIECE = 200
"""Cells that are looked at together: one that is odd makes so many be read one by one."""
REMEMBERED = 4_096
UNNAMED = frozenset({full_name("", ""), commercial_name("", "", None, None)})
"""What our lists show where there is no name: it says nothing."""

Refuse = Callable[[int, str], None]
"""Told of a cell by its place, and of what is wrong with it."""


class ColumnReader:
    """Reads the cells of one column of a file. ``resolve`` makes of a value what we keep of it, as the id of a name."""

    def __init__(self, column: Column, *, is_1904: bool, resolve: Callable[[str], str] | None = None) -> None:
        self.column, self.resolve = column, resolve
        self._read = partial(column.read, is_1904=is_1904) if column.knows_1904 else column.read
        read_all = column.read.read_all if isinstance(column.read, TextReader) else AT_ONCE.get(column.read)
        self._read_all = read_all if resolve is None else None
        self._known: dict[str, str | None] = {}
        self._is_secret = column.part == "account"

    def read(self, cells: Sequence[Cell], refuse: Refuse) -> list[str | None]:
        """What the cells say, each in its place: None for nothing, and for what was refused."""
        values: list[str | None] = []
        for start in range(0, len(cells), PIECE):
            piece = cells[start : start + PIECE]
            at_once = self._read_all(piece) if self._read_all is not None else None
            values += self._one_by_one(piece, start, refuse) if at_once is None else at_once
        if not UNNAMED.isdisjoint(values):
            return [None if value in UNNAMED else value for value in values]
        return values

    def _one_by_one(self, cells: Sequence[Cell], start: int, refuse: Refuse) -> Iterator[str | None]:
        known = self._known
        if len(known) > REMEMBERED:
            known.clear()
        for place, cell in enumerate(cells, start):
            if cell is None or cell == "":
                yield None
                continue
            try:
                # Only texts are remembered: 1, 1.0 and True are one key. An IBAN is not kept longer than it must.
                if type(cell) is not str or self._is_secret:
                    yield self._value(cell)
                elif cell in known:
                    yield known[cell]
                else:
                    known[cell] = value = self._value(cell)
                    yield value
            except InvalidInputError as error:
                refuse(place, error.message)
                yield None

    def _value(self, cell: Cell) -> str | None:
        refuse_failed_formula(cell)
        value = self._read(cell)
        return self.resolve(value) if self.resolve and value and value not in UNNAMED else value
