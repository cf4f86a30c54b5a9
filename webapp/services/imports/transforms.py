"""One cell into one value: what people and Excel write, as we keep it. None for nothing; a refusal says why.

Values come as JSON has them (texts, and numbers as texts), in the form in which PostgreSQL writes the column.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cache, lru_cache
from types import NoneType
from typing import Any

from babel import Locale

from webapp import clock, french, sepa
from webapp.errors import InvalidInputError
from webapp.gateways.spreadsheets import Cell
from webapp.models.clients import Civility, ClientStatus
from webapp.models.contracts import ContractStatus, PaymentMethod
from webapp.services.contact import (
    check_bic,
    check_iban,
    clean_text,
    french_postcodes,
    normalise_email,
    normalise_emails,
    normalise_phone,
    normalise_phones,
)
from webapp.services.contracts.fields import GREATEST_QUANTITY
from webapp.services.mandates.lists import read_date
from webapp.services.winleadplus.values import STATUSES

ReadAll = Callable[[Sequence[Cell]], list[str | None] | None]
APOSTROPHE = "'"
DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n")
LOST_LETTER = "\ufffd"
_CHANGED_MARKS = ("  ", "| ", " |", f"|{APOSTROPHE}", LOST_LETTER, "|#", "|Err")
"""Among texts between bars: what one has that is not kept as it stands."""
YEARS = range(1900, 2200)
_FAILED_FORMULA = re.compile(r"#[A-Z][A-Z0-9/_]*\s?[!?]|#N/A|#GETTING_DATA|Err\s?:\d{3}")
_ISO = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:[T ]\d{2}:\d{2}.*)?", re.ASCII)
_WITH_TIME = re.compile(r"(\S+?)[ T,]+(?:à )?\d{1,2}[:hH]\d{2}(?::\d{2})?", re.ASCII)
_CURRENCY = re.compile(r"€|eur(?:os?)?\b", re.IGNORECASE)
_SPACES = re.compile(r"[\s\u00a0\u202f\u2009']+")
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:([.,])\d{3})(?:\1\d{3})*", re.ASCII)
_SERIALS = range(1, 110_000)
_EPOCH, _EPOCH_1904 = date(1899, 12, 30), date(1904, 1, 1)


def text_of(cell: Cell) -> str:
    """The cell as somebody would read it: whole numbers without « .0 », days as 31/12/2026.

    Without the apostrophe that keeps spreadsheets from running a text as a formula, as our exports have it.
    """
    if type(cell) is str:
        return cell[1:] if cell[:1] == APOSTROPHE and cell[1:].startswith(DANGEROUS) else cell
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "oui" if cell else "non"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell).replace(".", ",")
    if isinstance(cell, date):
        return french.day(cell)
    return str(cell)


def refuse(sentence: str) -> InvalidInputError:
    """What a transform raises."""
    return InvalidInputError(sentence)


def refuse_failed_formula(cell: Cell) -> None:
    """Raise InvalidInputError for what a formula that failed leaves: #DIV/0!, #N/A, « #NOM ? », Err:502."""
    if isinstance(cell, str) and cell.startswith(("#", "Err")) and _FAILED_FORMULA.fullmatch(cell.strip()):
        raise refuse(f"La formule de cette cellule a échoué ({cell.strip()}).")


@dataclass(frozen=True)
class TextReader:
    """Reads one line of at most ``length`` characters."""

    length: int

    def __call__(self, cell: Cell) -> str | None:
        """The line, cleaned. Raises InvalidInputError."""
        text = clean_text(text_of(cell))
        if LOST_LETTER in text:
            raise refuse("Une lettre est illisible (�)\u202f: l’encodage du fichier d’origine était faux.")
        if len(text) > self.length:
            raise refuse(f"C’est trop long\u202f: {self.length} caractères au plus.")
        return text or None

    def read_all(self, cells: Sequence[Cell]) -> list[str | None] | None:
        """The cells, where each is a text that ``__call__`` returns as it is, or empty: at a twentieth of its price.

        None says nothing of any of them.
        """
        try:
            joined = f"|{'|'.join(cells)}|"  # type: ignore[arg-type]  # what is no text raises
        except TypeError:
            return None
        return [cell or None for cell in cells] if self._takes_all(joined, cells) else None  # type: ignore[misc]

    def _takes_all(self, joined: str, cells: Sequence[Cell]) -> bool:
        return (
            joined.isprintable()
            and unicodedata.is_normalized("NFC", joined)
            and not any(mark in joined for mark in _CHANGED_MARKS)
            and len(max(cells, key=len, default="")) <= self.length  # type: ignore[arg-type]
        )


def read_email(cell: Cell) -> str | None:
    """An address in lower case; « mailto: » is left out."""
    text = text_of(cell).strip().removeprefix("mailto:")
    return normalise_email(text) if text else None


def read_phone(cell: Cell) -> str | None:
    """E.164. Excel takes the zero of 0612345678 away, and an apostrophe in front keeps it."""
    text = text_of(cell).strip().lstrip("'’")
    return _phone(text) if text else None


@lru_cache(1024)
def _phone(text: str) -> str:
    return normalise_phone(text)


def read_postcode(cell: Cell) -> str | None:
    """As it is written. The zero that Excel took from a French one comes back once the country is known."""
    return clean_text(text_of(cell)).upper() or None


def complete_postcode(text: str, country: str) -> str:
    """A French one of four digits with the zero that Excel took from it (01000 Bourg-en-Bresse)."""
    return text.zfill(5) if country == "FR" and len(text) == 4 and text.isdecimal() else text


def _at_once(normalise: Callable[[Sequence[str]], list[str] | None]) -> ReadAll:
    """Many texts as they are read one by one, by a function that gives up where one of them is odd."""

    def read_all(cells: Sequence[Cell]) -> list[str | None] | None:
        if not {str, NoneType}.issuperset(map(type, cells)):
            return None
        found = normalise([cell or "" for cell in cells])  # type: ignore[misc]  # texts all
        return None if found is None else [text or None for text in found]

    return read_all


def read_day(cell: Cell, *, is_1904: bool = False) -> str | None:
    """A day, ISO: 03/11/2026, 03-11-26, 2026-11-03, « 3 novembre 2026 », or a serial number of Excel."""
    if isinstance(cell, datetime):
        day = cell.date()
    elif isinstance(cell, date):
        day = cell
    elif isinstance(cell, float | int) and not isinstance(cell, bool):
        day = _from_serial(int(cell), is_1904=is_1904)
    else:
        text = text_of(cell).strip()
        if not text:
            return None
        day = _day(text, is_1904)
    if day.year not in YEARS:
        raise refuse("Vérifiez l’année de cette date.")
    return day.isoformat()


@lru_cache(4096)
def _day(text: str, is_1904: bool) -> date:
    if iso := _ISO.fullmatch(text):
        try:
            return date(int(iso[1]), int(iso[2]), int(iso[3]))
        except ValueError as error:
            raise refuse("Cette date n’existe pas.") from error
    if text.isdecimal() and len(text) == 5:
        return _from_serial(int(text), is_1904=is_1904)
    with_time = _WITH_TIME.fullmatch(text)
    read = read_date(with_time[1] if with_time else text)
    return _of_this_century(read, text)


def _of_this_century(read: date, text: str) -> date:
    """Of a year in two digits, 69 and later are of the last century, as spreadsheets have it."""
    has_short_year = re.search(r"\d{4}", text) is None
    return read.replace(year=read.year - 100) if has_short_year and read.year >= 2069 else read


def _from_serial(number: int, *, is_1904: bool) -> date:
    if number not in _SERIALS:
        raise refuse("La date n’est pas lisible\u202f: écrivez-la 03/11/2026.")
    return (_EPOCH_1904 if is_1904 else _EPOCH) + timedelta(days=number)


def read_birthday(cell: Cell, *, is_1904: bool = False) -> str | None:
    """A day of birth: in the past."""
    day = read_day(cell, is_1904=is_1904)
    if day and isinstance(cell, str) and re.search(r"\d{4}", cell) is None and day > _today():
        day = f"{int(day[:4]) - 100}{day[4:]}"  # in two digits, 30 is 1930
    if day and day > _today():
        raise refuse("La date de naissance est dans le futur.")
    return day


def read_past_day(cell: Cell, *, is_1904: bool = False) -> str | None:
    """A day that is not in the future."""
    day = read_day(cell, is_1904=is_1904)
    if day and day > _today():
        raise refuse("Cette date est dans le futur.")
    return day


def _today() -> str:
    return clock.today().isoformat()


def read_amount(cell: Cell) -> str | None:
    """Euros with two decimals: 1 234,56 · 1.234,56 · 1,234.56 · 1234.5 · « 12,50 € »."""
    amount = _number(cell)
    if amount is None:
        return None
    if not 0 <= amount < 10**10:
        raise refuse("Le montant doit être positif, et de dix chiffres au plus.")
    return str(amount.quantize(Decimal("0.01"), ROUND_HALF_UP))


def read_unit_price(cell: Cell) -> str | None:
    """Zero or more, with four decimals at most: nothing of a price is rounded away."""
    number = _number(cell)
    if number is None:
        return None
    price = _with_places(number, 4) if 0 <= number < 10**10 else None
    if price is None:
        raise refuse("Le prix doit être positif, de dix chiffres et de quatre décimales au plus.")
    return str(price)


def read_quantity(cell: Cell) -> str | None:
    """More than zero, with three decimals at most."""
    try:
        number = _number(cell)
    except InvalidInputError as error:
        raise refuse("La quantité ne se lit pas, ou de deux façons\u202f: écrivez 2, 2,5 ou 1500,0.") from error
    if number is None:
        return None
    quantity = _with_places(number, 3) if 0 < number < GREATEST_QUANTITY else None
    if not quantity:
        raise refuse("La quantité doit être plus grande que zéro, et de trois décimales au plus.")
    return str(quantity)


def _with_places(number: Decimal, most: int) -> Decimal | None:
    """With so many decimals, None where it has more; 0.30000000000000004 is what a spreadsheet makes of 0.1 + 0.2."""
    rounded = round(number, most)
    return rounded if abs(rounded - number) < Decimal("1e-9") else None


def _number(cell: Cell) -> Decimal | None:
    """What a cell counts. Raises InvalidInputError."""
    if isinstance(cell, float | int) and not isinstance(cell, bool):
        return Decimal(repr(cell))
    text = _SPACES.sub("", _CURRENCY.sub("", text_of(cell)))
    return _amount(text) if text else None


def _read_amounts(cells: Sequence[Cell]) -> list[str | None] | None:
    """Numbers of at most two decimals, as ``read_amount`` writes them."""
    if not {float, int, NoneType}.issuperset(map(type, cells)):
        return None
    amounts: list[Any] = [0.0 if cell is None else cell for cell in cells]
    if any(not 0 <= amount < 10**10 or round(amount, 2) != amount for amount in amounts):
        return None
    return [None if cell is None else f"{cell:.2f}" for cell in cells]


def _amount(text: str) -> Decimal:
    grouped = _GROUPED.fullmatch(text)
    if grouped and text.count(grouped[1]) == 1:
        # « 1.234 » is a thousand to some and one and a bit to others.
        raise refuse("Ce montant se lit de deux façons\u202f: écrivez les centimes (1234,00 ou 1,23).")
    if grouped:
        return Decimal(text.replace(grouped[1], ""))
    number = french.read_number(text)
    if number is None or number.is_nan():
        raise refuse("Le montant n’est pas lisible\u202f: écrivez-le 1234,56.")
    return number


def read_day_of_month(cell: Cell) -> str | None:
    """1 to 31."""
    text = text_of(cell).strip()
    if not text:
        return None
    if not text.isdecimal() or int(text) not in range(1, 32):
        raise refuse("Le jour de prélèvement va de 1 à 31.")
    return str(int(text))


def read_iban(cell: Cell) -> str | None:
    """Compact, whatever the groups; of a SEPA country."""
    text = text_of(cell).strip()
    if not text:
        return None
    iban = check_iban(text.upper().removeprefix("IBAN").lstrip(" :"))
    if not sepa.is_iban(iban):
        raise refuse("Cet IBAN n’est pas celui d’un compte SEPA.")
    return iban


def read_bic(cell: Cell) -> str | None:
    """Compact, in capitals."""
    text = text_of(cell).strip()
    return _bic(text) if text else None


@lru_cache(1024)
def _bic(text: str) -> str:
    return check_bic(text)


def read_umr(cell: Cell) -> str | None:
    """A reference of a mandate, as banks take it."""
    text = clean_text(text_of(cell))
    if text and not sepa.is_identifier(text):
        raise refuse(sepa.WRONG_IDENTIFIER)
    return text or None


def fold(text: str) -> str:
    """Lower case, without accents, and one space for whatever is no letter or digit: what words are compared by."""
    return _folded(text[:200])


@lru_cache(8192)
def _folded(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    kept = (letter if letter.isalnum() else " " for letter in decomposed if not unicodedata.combining(letter))
    return " ".join("".join(kept).split())


def _choice(words: Mapping[str, str], sentence: str) -> Callable[[Cell], str | None]:
    """A reader of one word among some."""

    def read(cell: Cell) -> str | None:
        text = fold(text_of(cell))
        if not text:
            return None
        if text not in words:
            raise refuse(sentence)
        return words[text]

    return read


def _words(**meanings: str) -> dict[str, str]:
    return {fold(word): value for value, words in meanings.items() for word in words.split("|")}


read_civility = _choice(
    {
        **dict.fromkeys(map(fold, "m|mr|monsieur|mister|h|homme".split("|")), Civility.MR.value),
        **dict.fromkeys(
            map(fold, "mme|mrs|ms|miss|madame|mlle|mademoiselle|melle|f|femme".split("|")), Civility.MRS.value
        ),
    },
    "Cette civilité est inconnue\u202f: M. ou Mme.",
)
_YES, _NO = "oui|o|yes|y|vrai|true|1|x|ok", "non|n|no|faux|false|0"
read_client_status = _choice(
    _words(
        **{
            ClientStatus.PROSPECT.value: "prospect|lead|piste|suspect",
            ClientStatus.ACTIVE.value: f"actif|active|client|en cours|customer|{_YES}",
            ClientStatus.INACTIVE.value: f"inactif|inactive|ancien|ancien client|perdu|parti|resilie|{_NO}",
        }
    ),
    "Ce statut est inconnu\u202f: Prospect, Actif ou Inactif.",
)
read_contract_status = _choice(
    {
        **{fold(word): status.value for word, status in STATUSES.items()},
        **{fold(status.label): status.value for status in ContractStatus},
        **{status.value: status.value for status in ContractStatus},
        **_words(active="actif|active|signe|valide|validated", canceled="cancelled", terminated="clos|termine"),
    },
    "Ce statut est inconnu\u202f: Brouillon, En attente, Actif, Annulé ou Résilié.",
)
read_payment_method = _choice(
    _words(
        **{
            PaymentMethod.SEPA.value: "prelevement sepa|prelevement|sepa|prelevement automatique|direct debit|prlv",
            PaymentMethod.CARD.value: "carte|cb|carte bancaire|card|credit card",
            PaymentMethod.TRANSFER.value: "virement|transfer|virement bancaire|wire",
            PaymentMethod.CHEQUE.value: "cheque|check|chq",
        }
    ),
    "Ce mode de paiement est inconnu\u202f: prélèvement, carte, virement ou chèque.",
)
AT_ONCE: Mapping[Callable[..., str | None], ReadAll] = {
    read_email: _at_once(normalise_emails),
    read_phone: _at_once(normalise_phones),
    read_postcode: _at_once(french_postcodes),
    read_amount: _read_amounts,
}
"""Of some readers of a cell, one of many cells: None where they have to be read one by one."""


def read_country(cell: Cell) -> str | None:
    """ISO 3166 alpha-2 from a code, a French or an English name."""
    text = fold(text_of(cell))
    if not text:
        return None
    code = _countries().get(text)
    if code is None:
        raise refuse("Ce pays est inconnu.")
    return code


@cache
def _countries() -> dict[str, str]:
    found: dict[str, str] = {"fra": "FR", "france metropolitaine": "FR", "royaume uni": "GB", "uk": "GB", "usa": "US"}
    for language in ("en", "fr"):
        territories: Mapping[str, Any] = Locale.parse(language).territories
        codes = {code: name for code, name in territories.items() if len(code) == 2 and code.isalpha()}
        found |= {fold(name): code for code, name in codes.items()} | {code.lower(): code for code in codes}
    return found


_TITLES = {
    **dict.fromkeys(("m", "mr", "monsieur"), Civility.MR.value),
    **dict.fromkeys(("mme", "madame", "mlle", "mademoiselle"), Civility.MRS.value),
}


def split_title(name: str) -> tuple[str | None, str]:
    """The civility that stands before a whole name, and the name: « Mme DUBOIS Claire ». A couple has none."""
    words = name.split()
    civility = _TITLES.get(fold(words[0])) if len(words) > 1 else None
    if civility is None:
        return None, name
    if len(words) > 3 and words[1].lower() in ("et", "ou", "&") and fold(words[2]) in _TITLES:
        return None, " ".join(words[3:])
    return civility, " ".join(words[1:])


_PARTICLES = frozenset("de du des le la les d l di da del van von der den ben el al saint sainte".split())


def split_full_name(cell: Cell, *, is_last_first: bool) -> tuple[str, str]:
    """« NOM Prénom » as last name and first name.

    Capitals tell the name wherever it stands (DUPONT DE LA TOUR Marie, Marie DUPONT); a comma does, too. Otherwise the
    order that was chosen for the column decides, and particles go with the name.
    """
    text = TextReader(400)(cell) or ""
    if "," in text:
        before, _, behind = text.partition(",")
        return before.strip(), behind.strip()
    words = text.split()
    if len(words) < 2:
        return text, ""
    capitals = [word.isupper() and len(word.strip(".")) > 1 for word in words]
    if any(capitals) and not all(capitals):
        last = [word for word, is_capital in zip(words, capitals, strict=True) if is_capital]
        first = [word for word, is_capital in zip(words, capitals, strict=True) if not is_capital]
        if capitals == sorted(capitals) or capitals == sorted(capitals, reverse=True):
            return " ".join(last), " ".join(first)
    if is_last_first:
        end = 0
        while end < len(words) - 2 and words[end].casefold().rstrip("'’") in _PARTICLES:
            end += 1
        return " ".join(words[: end + 1]), " ".join(words[end + 1 :])
    start = 1
    while start < len(words) - 1 and words[start].casefold().rstrip("'’") not in _PARTICLES:
        start += 1
    return " ".join(words[start:]), " ".join(words[:start])
