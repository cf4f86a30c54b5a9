"""A column is read as its cells are one by one, whatever stands among what is seen to be plain at a glance."""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.examples import some
from webapp.errors import InvalidInputError
from webapp.gateways.spreadsheets import Cell
from webapp.services.imports.cells import PIECE, UNNAMED, ColumnReader
from webapp.services.imports.columns import BY_KEY
from webapp.services.imports.transforms import refuse_failed_formula

CITY, AMOUNT, EMAIL, PHONE, POSTCODE = (
    BY_KEY[key] for key in ("client.city", "contract.amount", "client.email", "client.phone", "client.postcode")
)
ODD = (
    "", " ", "Lyon", " Lyon", "Lyon ", "Aix  en Provence", "Saint-Étienne", "Saint-E\u0301tienne", "'=x", "'Lyon",
    "a|b", "| ", "|'=x", "Ly\u00a0on", "a\nb", "\u200eLyon", "�", "x" * 101, "x" * 100, "#DIV/0!", "#1", "Err:502",
    "Sans nom", "12", "1.234",
)  # fmt: skip
PLAIN = {
    AMOUNT: (0.0, 12.5, 0.01, 12, 1234567.89, None, 1.005, -0.0, -1.0, 1e10, 9999999999.99, True, "12,5"),
    EMAIL: (
        "a@b.fr", "A@b.fr", "", None, "a@b.fr\nc@d.fr", " a@b.fr", "mailto:a@b.fr", "é@b.fr", "\u212a@b.fr", "a@b",
        "a@" + "b." * 160 + "fr",
    ),
    PHONE: (
        "0612345678", "0330612345", "06 12 34 56 78", "0262123456", "0692123456", "0099", "", None, "+33612345678",
        "0612345678\n0712345678", 612345678.0, "'0612345678",
    ),
    POSTCODE: ("01000", "75011", "", None, "1000", 1000.0, "75 011", "2A004", "75011\n75012", "٧٥٠١١"),
}  # fmt: skip
NUMBERS = st.sampled_from([1.0, 2.5]) | st.integers(0, 3) | st.booleans() | st.none()
CELLS = st.lists(st.sampled_from(ODD) | st.text(max_size=4) | NUMBERS, max_size=12)


def _one_by_one(column: Any, cells: list[Cell]) -> tuple[list[str | None], list[tuple[int, str]]]:
    values: list[str | None] = []
    refused = []
    for place, cell in enumerate(cells):
        value = None
        try:
            if cell not in (None, "") or cell is False:
                refuse_failed_formula(cell)
                value = column.read(cell)
        except InvalidInputError as error:
            refused.append((place, error.message))
        values.append(None if value in UNNAMED else value)
    return values, refused


@settings(max_examples=some(300))
@example(cells=["Lyon", "Lille"], again=["Lyon", "Lille"])
@example(cells=[1, True, 1.0, "1"], again=["1", True, 1.0, 1])
@given(cells=CELLS, again=CELLS)
def test_a_column_says_what_its_cells_say(cells: list[Cell], again: list[Cell]) -> None:
    for column in (CITY, AMOUNT, EMAIL):
        reader = ColumnReader(column, is_1904=False)
        for given_cells in (cells, again):  # what is remembered of the first does not change the second
            refused: list[tuple[int, str]] = []
            values = reader.read(given_cells, lambda place, why, refused=refused: refused.append((place, why)))
            assert (values, refused) == _one_by_one(column, given_cells)


@settings(max_examples=some(300))
@given(data=st.data())
def test_what_is_read_at_once_is_what_is_read_one_by_one(data: st.DataObject) -> None:
    for column, cells in PLAIN.items():
        some_cells: list[Cell] = data.draw(st.lists(st.sampled_from(cells[:4]) | st.sampled_from(cells), max_size=6))
        refused: list[tuple[int, str]] = []
        values = ColumnReader(column, is_1904=False).read(
            some_cells, lambda at, why, told=refused: told.append((at, why))
        )
        assert (values, refused) == _one_by_one(column, some_cells)


@pytest.mark.parametrize("odd", ODD)
def test_one_odd_cell_among_plain_ones_is_read_as_it_is_alone(odd: str) -> None:
    cells: list[Cell] = ["Lyon", odd, "Lille"]
    refused: list[tuple[int, str]] = []
    values = ColumnReader(CITY, is_1904=False).read(cells, lambda place, why: refused.append((place, why)))
    assert (values, refused) == _one_by_one(CITY, cells)


def test_places_are_those_of_the_column_beyond_the_first_piece() -> None:
    refused: list[tuple[int, str]] = []
    cells: list[Cell] = ["Lyon"] * (PIECE + 3)
    cells[PIECE + 1] = "�"
    values = ColumnReader(CITY, is_1904=False).read(cells, lambda place, why: refused.append((place, why)))
    assert [place for place, _ in refused] == [PIECE + 1]
    assert values == ["Lyon"] * (PIECE + 1) + [None, "Lyon"]
