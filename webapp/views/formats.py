"""How values read on a French page: the filters of the templates."""

from datetime import date, datetime
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
    for each in (phone, day, moment, money, quantity, iban):
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


def money(amount: Decimal | None, currency: str = "EUR") -> str:
    """An amount with its currency: 1 234,50 €."""
    return NOTHING if amount is None else format_currency(amount, currency, locale=LOCALE)


def quantity(value: Decimal) -> str:
    """A number without needless zeros: 1 · 2,5."""
    return format_decimal(value.normalize(), locale=LOCALE)


def iban(value: str) -> str:
    """A compact IBAN in groups of four."""
    return " ".join(value[start : start + 4] for start in range(0, len(value), 4))
