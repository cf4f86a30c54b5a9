"""A list that completes mandates (CSV), as people write it: its charset, its separators, its headings, its dates."""

import re
import unicodedata
from datetime import UTC, date, datetime
from typing import NamedTuple

from webapp.errors import InvalidInputError
from webapp.services.uploaded_lists import Row, decode, read_rows, refuse_more

MOST_LINES = 2_000
CELL_LENGTH = 200
HEADINGS = {
    "client": ("client", "idclient", "identifiant", "email", "mail", "courriel", "nom"),
    "postcode": ("codepostal", "cp"),
    "iban": ("iban",),
    "umr": ("rum", "umr", "reference", "referencerum"),
    "signed_on": ("date", "datedesignature", "datesignature", "signature", "signele"),
    "signed_in": ("lieu", "lieudesignature"),
}
"""What each column is called, without accents, capitals and what is no letter."""
UNREADABLE = "Ce fichier n’est pas une liste de mandats\u202f: colonnes attendues Client (ou IBAN), RUM et Date."
_MONTHS = "janvier fevrier mars avril mai juin juillet aout septembre octobre novembre decembre".split()
_NUMERIC = re.compile(r"(\d{1,2})[/.\- ](\d{1,2})[/.\- ](\d{4}|\d{2})", re.ASCII)
_ISO = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:[T ]00:00(?::00)?)?", re.ASCII)
_IN_WORDS = re.compile(r"(\d{1,2})(?:er)? ([a-z]+) (\d{4})", re.ASCII)


class ListedMandate(NamedTuple):
    """A line as it was written; ``number`` is that of the line in the file, the heading being the first."""

    number: int
    client: str
    postcode: str
    iban: str
    umr: str
    signed_on: str
    signed_in: str


def read_list(content: bytes) -> list[ListedMandate]:
    """The lines, blank ones left out. Raises InvalidInputError, field ``file``, for what is no such list."""
    heading, *rows = read_rows(decode(content), unreadable=UNREADABLE) or [Row(1, [])]
    places = _places(heading.cells)
    refuse_more(rows, MOST_LINES)
    if not rows:
        raise InvalidInputError("Cette liste n’a pas de ligne.", field="file")
    return [_line(row.line, row.cells, places) for row in rows]


def _places(headings: list[str]) -> dict[str, int]:
    names = [re.sub(r"[^a-z]", "", _without_accents(heading)) for heading in headings]
    places = {
        column: names.index(word) for column, words in HEADINGS.items() for word in reversed(words) if word in names
    }
    if not {"umr", "signed_on"} <= places.keys() or not {"client", "iban"} & places.keys():
        raise InvalidInputError(UNREADABLE, field="file")
    return places


def _line(number: int, row: list[str], places: dict[str, int]) -> ListedMandate:
    def cell(column: str) -> str:
        place = places.get(column, len(row))
        return row[place].strip()[:CELL_LENGTH] if place < len(row) else ""

    return ListedMandate(number, *(cell(column) for column in HEADINGS))


def read_date(text: str) -> date:
    """The day that was written: 03/11/2026, 3-11-26, 2026-11-03, « 3 novembre 2026 ». Raises InvalidInputError."""
    plain = " ".join(_without_accents(text).split())
    if numeric := _NUMERIC.fullmatch(plain):
        day, month, year = (int(part) for part in numeric.groups())
    elif iso := _ISO.fullmatch(plain):
        year, month, day = (int(part) for part in iso.groups())
    elif (words := _IN_WORDS.fullmatch(plain)) and words[2] in _MONTHS:
        day, month, year = int(words[1]), _MONTHS.index(words[2]) + 1, int(words[3])
    else:
        raise InvalidInputError("La date n’est pas lisible\u202f: écrivez-la 03/11/2026.", field="signed_on")
    try:
        return datetime(year + 2000 if year < 100 else year, month, day, tzinfo=UTC).date()
    except ValueError as error:
        raise InvalidInputError("Cette date n’existe pas.", field="signed_on") from error


def _without_accents(text: str) -> str:
    folded = unicodedata.normalize("NFKD", text.lower())
    return "".join(character for character in folded if not unicodedata.combining(character))
