"""How values read on a French page: the filters of the templates."""

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache

import phonenumbers
from babel import Locale
from babel.dates import format_date
from babel.numbers import format_currency, format_decimal, format_percent
from flask import Flask

from webapp.clock import PARIS
from webapp.models.clients import Client, ClientStatus

LOCALE = "fr_FR"
NOTHING = "—"


def init_app(app: Flask) -> None:
    """Make every filter known to the templates, under its own name."""
    for each in (
        phone,
        day,
        moment,
        ago,
        upcoming,
        duration,
        money,
        whole,
        amounts,
        percent,
        month,
        quantity,
        iban,
        field_label,
        field_value,
        address_lines,
        delivery_lines,
        written_text,
        file_size,
    ):
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


def amounts(values: Mapping[str, Decimal]) -> str:
    """Amounts by currency, which are never added up: 1 234,50 € + 80,00 CHF."""
    shown = [money(amount, currency) for currency, amount in sorted(values.items(), key=_euros_first) if amount]
    return " + ".join(shown) or money(Decimal(0))


def _euros_first(item: tuple[str, Decimal]) -> tuple[bool, str]:
    return item[0] != "EUR", item[0]


def percent(ratio: Decimal | float | None, *, signed: bool = False) -> str:
    """A ratio: 12,5 %, with its sign where it is a change; over nothing, it is nothing."""
    if ratio is None:
        return NOTHING
    text = format_percent(ratio, "#,##0.# %", locale=LOCALE)
    return f"+{text}" if signed and ratio > 0 else text


def month(value: date) -> str:
    """A month: novembre 2026."""
    return format_date(value, "MMMM y", locale=LOCALE)


def whole(number: int) -> str:
    """A whole number in groups of three: 10 000."""
    return f"{number:,}".replace(",", "\u202f")


def quantity(value: Decimal) -> str:
    """A number without needless zeros: 1 · 2,5."""
    return format_decimal(value.normalize(), locale=LOCALE)


def iban(value: str) -> str:
    """A compact IBAN in groups of four."""
    return " ".join(value[start : start + 4] for start in range(0, len(value), 4))


def field_label(name: str) -> str:
    """The word on the screen for a column of a client."""
    return FIELD_LABELS.get(name, name)


def field_value(value: object, field: str) -> str:
    """A value of a client's ``field``, as the timeline or a form holds it."""
    if value in (None, ""):
        return "vide"
    if isinstance(value, ClientStatus):
        return value.label
    if isinstance(value, date):
        return day(value)
    shown = _SHOWN.get(field)
    return shown(str(value)) if shown else str(value)


def address_lines(client: Client) -> list[str]:
    """A postal address, line by line; the country only where it is not France."""
    street = [client.address_line1, client.address_line2]
    return _address(street, client.postcode, client.city, client.country)


def delivery_lines(client: Client) -> list[str]:
    """The delivery address, line by line; nothing where it is the main one."""
    street = [client.delivery_line1, client.delivery_line2]
    return _address(street, client.delivery_postcode, client.delivery_city, client.delivery_country)


def _address(street: list[str | None], postcode: str | None, city: str | None, country: str) -> list[str]:
    town = f"{postcode or ''} {city or ''}".strip()
    written = [line for line in (*street, town) if line]
    return [*written, country_name(country)] if country != "FR" and written else written


def written_text(value: str) -> list[str]:
    """What somebody wrote, line by line: a template puts the breaks."""
    return value.split("\n")


def file_size(size: int) -> str:
    """A size in bytes: 12 ko · 3,4 Mo."""
    if size < 1000 * 1000:
        return f"{max(1, round(size / 1000))}\u202fko"
    return f"{format_decimal(round(size / 1e6, 1), locale=LOCALE)}\u202fMo"


def country_name(code: str) -> str:
    """The French name of a country (ISO 3166 alpha-2)."""
    return str(_COUNTRY_NAMES.get(code, code))


def _written_day(value: str) -> str:
    """An ISO date as it is written in France."""
    return "/".join(reversed(value.split("-")))


_STATUS_LABELS: dict[str, str] = {each.value: each.label for each in ClientStatus}
_COUNTRY_NAMES = Locale("fr").territories

FIELD_LABELS = {
    "status": "Statut",
    "commercial": "Commercial",
    "commercial_id": "Commercial",
    "civility": "Civilité",
    "last_name": "Nom",
    "first_name": "Prénom",
    "birth_date": "Date de naissance",
    "email": "E-mail",
    "phone": "Téléphone",
    "address_line1": "Adresse",
    "address_line2": "Complément d’adresse",
    "postcode": "Code postal",
    "city": "Ville",
    "country": "Pays",
    "delivery_line1": "Adresse de livraison",
    "delivery_line2": "Complément d’adresse de livraison",
    "delivery_postcode": "Code postal de livraison",
    "delivery_city": "Ville de livraison",
    "delivery_country": "Pays de livraison",
    "iban": "IBAN",
    "bic": "BIC",
    "identity_card": "Pièce d’identité",
    "subscription_status": "Statut de l’abonnement",
    "reason": "Motif",
    "resume_on": "Reprise prévue",
    "cancels_on": "Résiliation prévue",
    "ends_on": "Dernier jour",
    "skipped_cycles": "Échéances non prélevées",
    "recurring_amount": "Montant par échéance",
    "payment_method": "Mode de paiement",
    "charge": "Prélèvement",
    "charge_action": "Décision",
    "charge_amount": "Montant",
    "invoice": "Facture",
    "credited": "Crédité",
}

_SHOWN: dict[str, Callable[[str], str]] = {
    "status": lambda value: _STATUS_LABELS.get(value, value),
    "birth_date": _written_day,
    "resume_on": _written_day,
    "cancels_on": _written_day,
    "ends_on": _written_day,
    "recurring_amount": lambda value: format_decimal(Decimal(value), format="#,##0.00", locale=LOCALE),
    "phone": phone,
    "country": country_name,
    "delivery_country": country_name,
}
