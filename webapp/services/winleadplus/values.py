"""Single values as WinLeadPlus may write them. A reader returns None for nothing, and raises for nonsense."""

import re
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from uuid import UUID

from babel import Locale

from webapp import french
from webapp.clock import PARIS
from webapp.models.contracts import ContractStatus
from webapp.services.contact import clean_text

CENT = Decimal("0.01")
TEN_THOUSANDTH = Decimal("0.0001")
AMOUNT_LIMIT = Decimal(10) ** 10
"""Euros; beyond, a value is a mistake (and would not fit its column)."""

STATUSES = {
    "validé": ContractStatus.ACTIVE,
    "validée": ContractStatus.ACTIVE,
    "en attente": ContractStatus.PENDING,
    "en cours": ContractStatus.PENDING,
    "annulé": ContractStatus.CANCELED,
    "annulée": ContractStatus.CANCELED,
    "rejeté": ContractStatus.CANCELED,
    "rejetée": ContractStatus.CANCELED,
    "résilié": ContractStatus.TERMINATED,
    "résiliée": ContractStatus.TERMINATED,
    "brouillon": ContractStatus.DRAFT,
}
_UNACCENTED = {status.replace("é", "e"): meaning for status, meaning in STATUSES.items()}

LOST_LETTER = "\ufffd"
"""What programs write for a letter that they could not decode: such a text replaces no good one."""

_FRENCH_DATE = re.compile(r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})(?:[ T,à]+(\d{1,2})[:hH](\d{2})(?::(\d{2}))?)?")
_SECONDS_LIMIT = 100_000_000_000  # as seconds the year 5138, as milliseconds 1973: nobody signed then
_YEARS = range(1900, 2200)


class UnreadableValueError(ValueError):
    """The value is there and makes no sense."""


def read_text(value: object, limit: int) -> tuple[str, bool]:
    """The text, cleaned, and whether it had to be cut to ``limit`` characters. A number is read as its digits."""
    if value is None:
        return "", False
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or LOST_LETTER in value:
        raise UnreadableValueError
    text = clean_text(value if len(value) <= 4 * limit else value[: 4 * limit])
    return (text, False) if len(text) <= limit and len(value) <= 4 * limit else (text[:limit].rstrip(), True)


def read_amount(value: object, step: Decimal = CENT) -> Decimal | None:
    """Euros, rounded half up to ``step``. Reads 2.2, "2,20", "1 234,56 €" and "1.234,56"."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        amount = french.read_number(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        amount = Decimal(repr(value))
    else:
        amount = None
    if amount is None or not amount.is_finite() or abs(amount) >= AMOUNT_LIMIT:
        raise UnreadableValueError
    return amount.quantize(step, ROUND_HALF_UP)


def read_instant(value: object) -> datetime | None:
    """The instant, in UTC. Reads ISO 8601, French dates, and seconds or milliseconds since 1970; local is Paris."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        instant = _parse_date(value.strip()[:64])
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise UnreadableValueError
    else:
        instant = _from_epoch(value)
    if instant.year not in _YEARS:
        raise UnreadableValueError
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=PARIS)
    return instant.astimezone(UTC)


def _parse_date(text: str) -> datetime:
    french = _FRENCH_DATE.fullmatch(text)
    if french is None:
        return datetime.fromisoformat(text)
    day, month, year, *time = (int(part or 0) for part in french.groups())
    return datetime(year, month, day, *time)  # type: ignore[arg-type]  # noqa: DTZ001  the caller says Paris


def _from_epoch(value: float) -> datetime:
    try:
        return datetime.fromtimestamp(value if abs(value) < _SECONDS_LIMIT else value / 1000, UTC)
    except (OverflowError, OSError) as error:
        raise UnreadableValueError from error


def read_status(text: str) -> ContractStatus | None:
    """Our word for an upstream status, whatever its case and accents; None where we have none."""
    word = text.lower()
    return STATUSES.get(word) or _UNACCENTED.get(word)


def read_commercial_id(value: object) -> str | None:
    """A Keycloak id: a UUID, in lower case."""
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise UnreadableValueError
    return str(UUID(value.strip()))


def read_country(text: str) -> str:
    """ISO 3166 alpha-2 from a code or a French name."""
    code = _countries().get(text.casefold())
    if code is None:
        raise UnreadableValueError
    return code


@cache
def _countries() -> dict[str, str]:
    codes = {code: name for code, name in Locale.parse("fr").territories.items() if len(code) == 2 and code.isalpha()}
    return {name.casefold(): code for code, name in codes.items()} | {code.casefold(): code for code in codes}
