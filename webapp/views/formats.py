"""How values read on a French page: the filters of the templates."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache

import phonenumbers
from babel.numbers import format_currency, format_decimal
from flask import Flask

from webapp.clock import PARIS

LOCALE = "fr_FR"
NOTHING = "—"


def init_app(app: Flask) -> None:
    """Make every filter known to the templates, under its own name."""
    for each in (phone, day, moment, ago, upcoming, duration, money, quantity, iban):
        app.add_template_filter(each)


@lru_cache(4096)
def phone(number: str | None) -> str:
    """An E.164 number as people read it: national for France (06 39 98 12 34), international for others."""
    if not number:
        return NOTHING
    if number.startswith("+33") and len(number) == 12:
        pairs = [number[start : start + 2] for start in range(4, 12, 2)]
        return " ".join([f"0{number[3]}", *pairs])
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return number
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def day(value: date | None) -> str:
    """A date: 20/11/2026. An instant is not a date: see ``moment``."""
    return f"{value:%d/%m/%Y}" if value else NOTHING


def moment(value: datetime | None) -> str:
    """An instant, in Paris: 20/11/2026 à 14:05."""
    return f"{value.astimezone(PARIS):%d/%m/%Y à %H:%M}" if value else NOTHING


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


def duration(value: timedelta | None) -> str:
    """How long something took: 0,4 s · 12 s · 1 min 05 s."""
    if value is None:
        return NOTHING
    seconds = value.total_seconds()
    if seconds < 10:
        return f"{format_decimal(round(seconds, 1), locale=LOCALE)} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def money(amount: Decimal | None, currency: str = "EUR") -> str:
    """An amount with its currency: 1 234,50 €."""
    return NOTHING if amount is None else format_currency(amount, currency, locale=LOCALE)


def quantity(value: Decimal) -> str:
    """A number without needless zeros: 1 · 2,5."""
    return format_decimal(value.normalize(), locale=LOCALE)


def iban(value: str) -> str:
    """A compact IBAN in groups of four."""
    return " ".join(value[start : start + 4] for start in range(0, len(value), 4))
