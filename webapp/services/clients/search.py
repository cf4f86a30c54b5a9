"""Turning what someone typed into patterns over ``Client.search_text``.

The text was folded by the same SQL function as the clients' (no accents, no case, hyphens and apostrophes as
spaces), so that there is one rule for both.
"""

import re
from collections.abc import Iterable

from sqlalchemy import ColumnElement, func, or_, select

from webapp.extensions import db
from webapp.models.clients import Client

# Digits in groups are taken for a telephone: "06 39 98", "06.39.98", "+33 (0)6 39", "0033 6 39".
_GROUPED_DIGITS = re.compile(r"(?<!\S)(?:\+\s?)?\d+(?:[\s./]+(?:\(0\))?[\s./]*\d+|\(0\)\s?\d+)*(?!\S)")
_FRAGMENT_LENGTH = 3
MAX_TERMS = 8

SEARCH_LENGTH = 200

Term = tuple[str, ...]


def fold_search(search: str) -> str:
    """What was typed as PostgreSQL folded the clients' texts, cut to SEARCH_LENGTH characters."""
    readable = "".join(character if character.isprintable() else " " for character in search[:SEARCH_LENGTH]).strip()
    return db.session.execute(select(func.fold(readable))).scalar_one() if readable else ""


def find_terms(search: str) -> list[Term]:
    """The search's terms."""
    return terms_of(fold_search(search))


def found_by(search: str) -> list[ColumnElement[bool]]:
    """What a client must meet to be found; no condition where the search says nothing."""
    return found_by_terms(find_terms(search))


def found_by_terms(terms: Iterable[Term]) -> list[ColumnElement[bool]]:
    """The same of a search whose terms are known."""
    return [or_(*(Client.search_text.like(pattern) for pattern in term)) for term in terms]


def terms_of(folded: str) -> list[Term]:
    """LIKE patterns for a folded query: every term must match, by any one of its patterns.

    From three characters a word matches anywhere, a shorter one at the start of a word. Words without a letter or
    digit, and terms beyond MAX_TERMS, are ignored.
    """
    terms = [_telephone_term(run.group()) for run in _GROUPED_DIGITS.finditer(folded)]
    words = _GROUPED_DIGITS.sub(" ", folded).split()
    terms += [(_pattern(word),) for word in words if re.search(r"[^\W_]", word)]
    return list(dict.fromkeys(terms))[:MAX_TERMS]


def _telephone_term(written: str) -> Term:
    """One number as ``search_text`` has it (06… or 336…), or what was written: a reference may hold spaces, too."""
    digits = re.sub(r"\D", "", written.replace("(0)", ""))
    readings = [digits.removeprefix("00") or digits]
    if not re.search(r"[+(]", written):
        readings.append(written)
    return tuple(dict.fromkeys(_pattern(reading) for reading in readings))


def _pattern(text: str) -> str:
    escaped = re.sub(r"([\\%_])", r"\\\1", text)
    return f"%{escaped}%" if len(text) >= _FRAGMENT_LENGTH else f"% {escaped}%"
