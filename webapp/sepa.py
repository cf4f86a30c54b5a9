"""What may stand in a SEPA message: the basic character set that every bank reads, identifiers made of it, accounts.

Source: EPC217-08, « SEPA Requirements for an Extended Character Set », and the identification rules of EPC130-08.
"""

import re

from text_unidecode import unidecode

LARGEST_IDENTIFIER = 35
LARGEST_NAME = 70
NOT_PROVIDED = "NOTPROVIDED"
"""The rulebook's word for a name that nobody can write in these letters."""
WRONG_IDENTIFIER = (
    f"Une référence a {LARGEST_IDENTIFIER} caractères au plus, parmi les lettres sans accent, les chiffres, l’espace "
    "et / - ? : ( ) . , ' +\u202f; ni « / » au début ou à la fin, ni « // »."
)
PATTERN_NUMBER = "{numero}"
WRONG_PATTERN = (
    f"Un modèle de référence contient {PATTERN_NUMBER} une fois, et tient en {LARGEST_IDENTIFIER} caractères avec un "
    "numéro de dix chiffres\u202f; ses lettres sont celles que les banques lisent."
)
_PATTERN_DIGITS = 7
_SET = r"a-zA-Z0-9 /\-?:().,'+"
_OTHERS = re.compile(f"[^{_SET}]")
_SIGNIFICANT = re.compile("[a-zA-Z0-9]")
_IDENTIFIER = re.compile(rf"(?![/ ])(?!.*//)[{_SET}]{{1,{LARGEST_IDENTIFIER}}}(?<![/ ])")
IDENTIFIER_IN_SQL = rf"^(?![/ ])(?!.*//)[{_SET}]{{0,{LARGEST_IDENTIFIER - 1}}}[a-zA-Z0-9\-?:().,'+]$"
"""The same as a regular expression of PostgreSQL."""

_CREDITOR = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{3}[A-Z0-9]{1,28}", re.ASCII)
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", re.ASCII)
_BIC = re.compile(r"[A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{2}([A-Z0-9]{3})?", re.ASCII)
COUNTRIES = frozenset(
    "AD AL AT BE BG CH CY CZ DE DK EE ES FI FR GB GI GR HR HU IE IS IT LI LT LU LV MC MD ME MK MT NL NO PL PT RO RS SE"
    " SI SK SM VA".split()
)
"""Where an IBAN of the SEPA area may begin (EPC409-09); territories overseas have that of their country."""


TERRITORIES = {
    "FR": frozenset("BL GF GP MF MQ NC PF PM RE WF YT".split()),
    "GB": frozenset("GG IM JE".split()),
}
"""Where banks have a BIC of their own country, and accounts an IBAN of another."""


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


def is_writable_name(text: str) -> bool:
    """Whether a letter or digit of a name is left where only those stand that every bank reads."""
    return _SIGNIFICANT.search(plain_text(text, LARGEST_NAME)) is not None


def is_creditor_identifier(text: str) -> bool:
    """Whether it is an ICS: country, check digits (which leave the business code out), business code, number."""
    return _CREDITOR.fullmatch(text) is not None and _checks(text[7:] + text[:4])


def is_iban(text: str) -> bool:
    """Whether it is the IBAN of an account within SEPA, compact and in capitals."""
    return _IBAN.fullmatch(text) is not None and text[:2] in COUNTRIES and _checks(text[4:] + text[:4])


def is_of_country(bic: str, iban: str) -> bool:
    """Whether a BIC may be that of an IBAN's bank, as far as their countries tell."""
    country = bic[4:6]
    return country == iban[:2] or country in TERRITORIES.get(iban[:2], ())


def is_bic(text: str) -> bool:
    """Whether it has the shape of a BIC."""
    return _BIC.fullmatch(text) is not None


def _checks(text: str) -> bool:
    """ISO 7064, MOD 97-10."""
    return int("".join(str(int(character, 36)) for character in text)) % 97 == 1


def is_pattern(pattern: str) -> bool:
    """Whether references of mandates can be made by it for a long time to come."""
    return pattern.count(PATTERN_NUMBER) == 1 and is_identifier(fill_pattern(pattern, 10**9))


def fill_pattern(pattern: str, number: int) -> str:
    """The reference of that number; numbers have seven digits at least, so that references sort as they do."""
    return pattern.replace(PATTERN_NUMBER, str(number).zfill(_PATTERN_DIGITS))
