"""How people write their names, e-mails, telephones and bank details, and the one form in which we keep them.

Used by the forms and by every import, up to 100,000 times in a run: the usual French shapes are recognised by
a regular expression, and only the rest reaches the thorough, slower libraries.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from schwifty import BIC, IBAN
from schwifty.exceptions import SchwiftyException

from webapp.errors import InvalidInputError

EMAIL_LENGTH = 254  # RFC 5321, path limit
PHONE_INPUT_LENGTH = 40

_PLAIN_EMAIL = re.compile(
    r"[a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}", re.ASCII
)

_PLAIN_EMAILS = re.compile(rf"(?:(?:{_PLAIN_EMAIL.pattern})?\n)*", re.ASCII)
_FRENCH_PHONE = re.compile(r"(?:0|(?:\+|00)?330?)?([1-9][0-9]{8})", re.ASCII)
_PHONE_PUNCTUATION = str.maketrans("", "", " \u00a0\u202f\u2009.-–/()")
# Overseas departments dial like the mainland and have country codes of their own.
_OVERSEAS = {
    **dict.fromkeys(("262", "692", "693"), "262"),
    **dict.fromkeys(("590", "690", "691"), "590"),
    **dict.fromkeys(("594", "694"), "594"),
    **dict.fromkeys(("596", "696", "697"), "596"),
}

_PLAIN_PHONES = re.compile(rf"(?:(?:0(?!{'|'.join(_OVERSEAS)})[1-9][0-9]{{8}})?\n)*", re.ASCII)
_FRENCH_IBAN = re.compile(r"FR[0-9]{12}[0-9A-Z]{11}[0-9]{2}", re.ASCII)
_FRENCH_POSTCODE = re.compile(r"[0-9]{5}", re.ASCII)
EXISTING_POSTCODE = "^(0[1-9]|[1-8][0-9]|9[0-578])[0-9]{3}$"
"""What a French postcode begins with, for PostgreSQL as for Python: a department, a territory overseas, or Monaco."""
_EXISTING_POSTCODE = re.compile(EXISTING_POSTCODE, re.ASCII)
_PLAIN_POSTCODES = re.compile(r"(?:(?:[0-9]{5})?\n)*", re.ASCII)
_SPACES_AND_DASHES = re.compile(r"[\s-]+")


def clean_text(text: str) -> str:
    """``text`` as one line fit for storage and screen: composed (NFC), runs of white space made one space.

    NUL, control characters, lone surrogates and invisible marks of direction are left out: PostgreSQL refuses the
    first and third, and the last turn a name around on the page.
    """
    if text.isprintable() and unicodedata.is_normalized("NFC", text):
        return " ".join(text.split())
    kept = (
        character
        for character in unicodedata.normalize("NFC", text)
        if character.isspace() or not unicodedata.category(character).startswith("C")
    )
    return " ".join("".join(kept).split())


def normalise_email(text: str) -> str:
    """The address in lower case. Raises InvalidInputError; no look-up is made.

    Reserved domains (``.test``, ``.example``, ``.invalid``) pass: only the shape is checked.
    """
    email = text.strip().lower()
    if len(email) > EMAIL_LENGTH:
        raise InvalidInputError("L’adresse e-mail est trop longue.", field="email")
    if _PLAIN_EMAIL.fullmatch(email):
        return email
    try:
        return validate_email(email, check_deliverability=False).normalized.lower()
    except (EmailNotValidError, UnicodeError) as error:
        raise InvalidInputError(
            "L’adresse e-mail n’est pas valide. Exemple\u202f: prenom.nom@exemple.fr", field="email"
        ) from error


def normalise_emails(texts: Sequence[str]) -> list[str] | None:
    """As ``normalise_email`` of each, empty ones as they are; None where one of them has to be looked at by itself."""
    found = _lines_of(texts, _PLAIN_EMAILS)
    return found if found is None or len(max(found, key=len, default="")) <= EMAIL_LENGTH else None


def normalise_phones(texts: Sequence[str]) -> list[str] | None:
    """As ``normalise_phone`` of each, empty ones as they are; None where one of them has to be looked at by itself."""
    found = _lines_of(texts, _PLAIN_PHONES)
    return found and [f"+33{text[1:]}" if text else "" for text in found]


def french_postcodes(texts: Sequence[str]) -> list[str] | None:
    """The postcodes as they stand, where each has five digits or is empty; None where one has not."""
    return _lines_of(texts, _PLAIN_POSTCODES)


def _lines_of(texts: Sequence[str], plain: re.Pattern[str]) -> list[str] | None:
    """The texts in lower case, where all of them are plain: one look at many costs a fraction of many looks."""
    lines = "".join([f"{text}\n" for text in texts])
    if not lines.isascii() or not plain.fullmatch(lines := lines.lower()):
        return None
    found = lines.split("\n")[:-1]
    return found if len(found) == len(texts) else None  # one text may hold several lines


def normalise_phone(text: str, region: str = "FR") -> str:
    """The number in E.164 (``+33639981234``). ``region`` (ISO 3166) is where a number without ``+`` is dialled.

    Every French number of nine digits passes, those reserved for fiction (06 39 98, 01 99 00 …) too, which
    phonenumbers calls unassigned. Raises InvalidInputError.
    """
    if len(text) <= PHONE_INPUT_LENGTH:
        french = _FRENCH_PHONE.fullmatch(text.translate(_PHONE_PUNCTUATION)) if region == "FR" else None
        if french:
            return f"+{_OVERSEAS.get(french[1][:3], '33')}{french[1]}"
        try:
            number = phonenumbers.parse(text, region)
        except phonenumbers.NumberParseException:
            number = phonenumbers.PhoneNumber()
        if phonenumbers.is_valid_number(number):
            return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    raise InvalidInputError(
        "Le numéro de téléphone n’est pas valide. Exemples\u202f: 06 39 98 12 34, +32 470 12 34 56", field="phone"
    )


@lru_cache(4096)
def readable_phone(number: str | None) -> str:
    """An E.164 number as people read it: national for France (06 39 98 12 34), international for others."""
    if not number:
        return ""
    if number.startswith("+33") and len(number) == 12:
        pairs = [number[start : start + 2] for start in range(4, 12, 2)]
        return " ".join([f"0{number[3]}", *pairs])
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return number
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def normalise_postcode(text: str, country: str = "FR") -> str:
    """The postcode in capitals, spaces single; five digits in France. Raises InvalidInputError."""
    if country == "FR" and _FRENCH_POSTCODE.fullmatch(text):
        return text
    postcode = clean_text(text).upper()
    if country != "FR":
        if len(postcode) <= 20:
            return postcode
    elif _FRENCH_POSTCODE.fullmatch(compact := postcode.replace(" ", "")):
        return compact
    raise InvalidInputError("Le code postal n’est pas valide\u202f: cinq chiffres en France.", field="postcode")


def existing_postcode(text: str) -> str:
    """A French postcode as it is kept, of a department that exists. Raises InvalidInputError."""
    postcode = normalise_postcode(text)
    if not _EXISTING_POSTCODE.match(postcode):
        raise InvalidInputError(f"Le code postal {postcode} n’existe pas en France.", field="postcode")
    return postcode


def check_iban(text: str) -> str:
    """The IBAN, compact and in capitals: country, length, structure and check digits are right.

    National check digits (the French clé RIB) are not tested. Raises InvalidInputError.
    """
    iban = _compact(text)
    if _FRENCH_IBAN.fullmatch(iban):
        if int("".join(str(int(character, 36)) for character in iban[4:] + iban[:4])) % 97 == 1:
            return iban
    elif len(iban) <= 34:
        try:
            return str(IBAN(iban).compact)
        except (SchwiftyException, ValueError):
            pass
    raise InvalidInputError("L’IBAN n’est pas valide\u202f: vérifiez les chiffres et la longueur.", field="iban")


def is_same_bank(iban: str, other: str) -> bool:
    """Whether two valid IBANs are of one bank: of the same country, with the same code of a bank in them."""
    banks = {(each[:2], IBAN(each, allow_invalid=True).bank_code) for each in (iban, other)}
    return len(banks) == 1 and all(code for _, code in banks)


def check_bic(text: str) -> str:
    """The BIC, compact and in capitals, 8 or 11 characters with a country that exists. Raises InvalidInputError."""
    bic = _compact(text)
    try:
        return str(BIC(bic).compact)
    except (SchwiftyException, ValueError) as error:
        raise InvalidInputError("Le BIC n’est pas valide\u202f: 8 ou 11 caractères attendus.", field="bic") from error


def _compact(text: str) -> str:
    return _SPACES_AND_DASHES.sub("", text).upper()
