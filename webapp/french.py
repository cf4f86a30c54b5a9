"""Numbers, amounts, dates, counted words and lists as they read in French, and numbers as French people write them.

Pages, sentences of services, printed invoices and spreadsheets all say them from here. The rules are Babel's (CLDR).
"""

import re
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal

from babel import Locale
from babel.dates import format_date
from babel.numbers import format_currency, format_decimal, format_percent

from webapp.clock import PARIS

LOCALE = Locale("fr", "FR")
NOTHING = "—"
NOT_A_NUMBER = Decimal("NaN")
_BLANKS_AND_CURRENCY = re.compile(r"[\s\u00a0\u202f']|€|EUR", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,15})?")


MINUS = "\u2212"
"""The sign of what is below zero wherever people read it; what machines and forms read has a hyphen."""


def _signed(text: str) -> str:
    return text.replace("-", MINUS)


def whole(number: int) -> str:
    """A whole number in groups of three: 10 000."""
    return _signed(format_decimal(number, format="#,##0", locale=LOCALE))


def quantity(number: Decimal) -> str:
    """A number without needless zeros: 1 · 2,5 · 1 234,5678."""
    return _signed(format_decimal(number.normalize(), format="#,##0.####", locale=LOCALE))


def field_number(number: Decimal | float | None) -> str:
    """A number as a form's field holds it, without groups or needless zeros: 1234,5."""
    return "" if number is None else format_decimal(number, format="0.#########", locale=LOCALE)


def amount(number: Decimal) -> str:
    """An amount without its currency: 1 234,50; a unit price keeps up to four decimals."""
    return _signed(format_decimal(number, format="#,##0.00##", locale=LOCALE))


def field_amount(number: Decimal | None) -> str:
    """An amount as a form's field and a spreadsheet's cell hold it: 1234,50; a unit price up to four decimals."""
    return "" if number is None else format_decimal(number, format="0.00##", locale=LOCALE)


def money(number: Decimal | None, currency: str = "EUR") -> str:
    """An amount with its currency: 1 234,50 €."""
    return NOTHING if number is None else _signed(format_currency(number, currency, locale=LOCALE))


def short_money(number: Decimal, currency: str = "EUR") -> str:
    """An amount with its currency, without decimals where they are zeros: 870 € · 1 234,50 €."""
    if number != number.to_integral_value():
        return money(number, currency)
    return _signed(format_currency(number, currency, format="#,##0\u00a0¤", locale=LOCALE, currency_digits=False))


def unit_price(number: Decimal, currency: str = "EUR") -> str:
    """An amount with its currency, of two to four decimals: 0,0825 €."""
    return _signed(format_currency(number, currency, format="#,##0.00##\u00a0¤", locale=LOCALE, currency_digits=False))


def amounts(values: Mapping[str, Decimal]) -> str:
    """Amounts by currency, which are never added up: 1 234,50 € + 80,00 CHF."""
    amounts_of = [money(number, currency) for currency, number in sorted(values.items(), key=_euros_first) if number]
    return " + ".join(amounts_of) or money(Decimal(0))


def _euros_first(item: tuple[str, Decimal]) -> tuple[bool, str]:
    return item[0] != "EUR", item[0]


def percent(ratio: Decimal | float | None, *, signed: bool = False) -> str:
    """A ratio: 12,5 %, with its sign where it is a change; over nothing, it is nothing."""
    if ratio is None:
        return NOTHING
    text = _signed(format_percent(ratio, "#,##0.# %", locale=LOCALE))
    return f"+{text}" if signed and ratio > 0 else text


def file_size(size: int) -> str:
    """A size in bytes: 12 ko · 3,4 Mo · 5 Go."""
    if size < 1000 * 1000:
        return f"{max(1, round(size / 1000))}\u202fko"
    millions = size / 1e6
    number, unit = (millions, "Mo") if millions < 1000 else (millions / 1000, "Go")
    return f"{format_decimal(round(number, 1), locale=LOCALE)}\u202f{unit}"


def day(value: date | None) -> str:
    """A date: 20/11/2026. An instant is not a date: see ``moment``."""
    return f"{value:%d/%m/%Y}" if value else NOTHING


_DAY_OF_MONTH = {False: "d", True: "d'er'"}
"""How the day of a month is written, and its first one."""


def long_day(value: date) -> str:
    """A date in words: 20 novembre 2026, 1er décembre 2026."""
    return format_date(value, f"{_DAY_OF_MONTH[value.day == 1]} MMMM y", locale=LOCALE)


def week_day(value: date) -> str:
    """A day of the months around now, with its name: vendredi 30 octobre, dimanche 1er novembre."""
    return format_date(value, f"EEEE {_DAY_OF_MONTH[value.day == 1]} MMMM", locale=LOCALE)


def month(value: date) -> str:
    """A month: novembre 2026."""
    return format_date(value, "MMMM y", locale=LOCALE)


def week_moment(value: datetime) -> str:
    """An instant of these weeks, in Paris: lundi 23 novembre à 12:00."""
    local = value.astimezone(PARIS)
    return f"{week_day(local.date())} à {local:%H:%M}"


def moment(value: datetime | None) -> str:
    """An instant, in Paris: 20/11/2026 à 14:05."""
    return f"{value.astimezone(PARIS):%d/%m/%Y à %H:%M}" if value else NOTHING


def moment_noted(value: datetime | None) -> str:
    """An instant, or, where a person noted nothing but the day, that: what has no hour is kept as midnight in Paris."""
    is_day = value is not None and value.astimezone(PARIS).time() == time.min
    return day(value.astimezone(PARIS).date()) if is_day and value else moment(value)


def ago(value: datetime, now: datetime) -> str:
    """How long ago an instant was: à l’instant · il y a 12 min · il y a 3 h; beyond a day, its date."""
    minutes = int((now - value).total_seconds() // 60)
    if minutes < 1:
        return "à l’instant"
    if minutes < 60:
        return f"il y a {minutes} min"
    return f"il y a {minutes // 60} h" if minutes < 24 * 60 else f"le {moment(value)}"


def upcoming(value: datetime, now: datetime) -> str:
    """When something will be, in Paris: à 15:00, or on another day le 21/11/2026 à 09:00."""
    is_today = value.astimezone(PARIS).date() == now.astimezone(PARIS).date()
    return f"à {value.astimezone(PARIS):%H:%M}" if is_today else f"le {moment(value)}"


def kilograms(grams: int) -> str:
    """A weight: 850 g · 1,25 kg."""
    if grams < 1000:
        return f"{grams}\u00a0g"
    return f"{format_decimal(Decimal(grams) / 1000, format='#,##0.##', locale=LOCALE)}\u00a0kg"


def until(value: datetime, now: datetime) -> str:
    """How long it is until an instant: dans 2 j 4 h · dans 3 h 05 min · dans 12 min; d’un instant à l’autre."""
    minutes = int((value - now).total_seconds() // 60)
    if minutes < 1:
        return "d’un instant à l’autre"
    hours, minutes = divmod(minutes, 60)
    if hours >= 24:
        return f"dans {hours // 24} j {hours % 24} h"
    return f"dans {hours} h {minutes:02d} min" if hours else f"dans {minutes} min"


def duration(value: timedelta | None) -> str:
    """How long something took: 0,4 s · 12 s · 1 min 05 s."""
    if value is None:
        return NOTHING
    seconds = value.total_seconds()
    if seconds < 10:
        return f"{format_decimal(round(seconds, 1), locale=LOCALE)} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def country(code: str) -> str:
    """The name of a country (ISO 3166 alpha-2); a code that is none stays as it is."""
    return str(LOCALE.territories.get(code, code))


def plural(number: int, one: str, many: str | None = None) -> str:
    """The word for so many: 0 contrat, 1 contrat, 2 contrats. ``many`` where an « s » at each word will not do."""
    if LOCALE.plural_form(number) == "one":
        return one
    return many or " ".join(f"{word}s" for word in one.split())


def counted(number: int, one: str, many: str | None = None) -> str:
    """How many of something: 1 contrat, 10 000 contrats."""
    return f"{whole(number)} {plural(number, one, many)}"


def read_number(text: str) -> Decimal | None:
    """A number as people write it: « 1 234,50 », « 12.5 € », « 1.234,56 ». None for nothing, NaN for no number."""
    compact = _BLANKS_AND_CURRENCY.sub("", text[:64]).replace(MINUS, "-")
    if not compact:
        return None
    thousands, decimal = (".", ",") if compact.rfind(",") > compact.rfind(".") else (",", ".")
    plain = compact.replace(thousands, "").replace(decimal, ".")
    return Decimal(plain) if _NUMBER.fullmatch(plain) else NOT_A_NUMBER
