"""What may stand in a SEPA message: the basic character set that every bank reads, and identifiers made of it.

Source: EPC217-08, « SEPA Requirements for an Extended Character Set », and the identification rules of EPC130-08.
"""

import re

from text_unidecode import unidecode

LARGEST_IDENTIFIER = 35
NOT_PROVIDED = "NOTPROVIDED"
"""The rulebook's word for a name that nobody can write in these letters."""
WRONG_IDENTIFIER = (
    f"Une référence a {LARGEST_IDENTIFIER} caractères au plus, parmi les lettres sans accent, les chiffres, l’espace "
    "et / - ? : ( ) . , ' +\u202f; ni « / » au début ou à la fin, ni « // »."
)
_SET = r"a-zA-Z0-9 /\-?:().,'+"
_OTHERS = re.compile(f"[^{_SET}]")
_SIGNIFICANT = re.compile("[a-zA-Z0-9]")
_IDENTIFIER = re.compile(rf"(?![/ ])(?!.*//)[{_SET}]{{1,{LARGEST_IDENTIFIER}}}(?<![/ ])")
IDENTIFIER_IN_SQL = rf"^(?![/ ])(?!.*//)[{_SET}]{{0,{LARGEST_IDENTIFIER - 1}}}[a-zA-Z0-9\-?:().,'+]$"
"""The same as a regular expression of PostgreSQL."""


def plain_text(text: str | None, length: int) -> str:
    """The text in the letters that every bank reads, on one line, as much as fits; empty where none is left.

    Letters of other alphabets are transliterated; « & » becomes « + », what remains a space.
    """
    plain = unidecode(text or "").replace("&", "+")
    return " ".join(_OTHERS.sub(" ", plain).split())[:length].strip()


def plain_name(text: str | None, length: int, *, otherwise: str = NOT_PROVIDED) -> str:
    """The same for what may not be empty: with no letter or digit left, ``otherwise``."""
    plain = plain_text(text, length)
    return plain if _SIGNIFICANT.search(plain) else otherwise


def is_identifier(text: str) -> bool:
    """Whether a bank accepts it as a mandate's or a payment's reference (RUM, EndToEndId)."""
    return _IDENTIFIER.fullmatch(text) is not None
