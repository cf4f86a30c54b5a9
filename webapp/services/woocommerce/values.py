"""Single values as WooCommerce and its extensions write them: numbers as text, entities, dates of two kinds."""

import html
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import phonenumbers

from webapp.errors import InvalidInputError
from webapp.services.contact import PHONE_INPUT_LENGTH, clean_text, normalise_email, normalise_phone, normalise_postcode

CENT = Decimal("0.01")
ID_LIMIT = 2**63
AMOUNT_LIMIT = Decimal(10) ** 9
"""A billion; beyond, an amount is a mistake, and would not fit its column."""
QUANTITY_LIMIT = Decimal(10) ** 6
YEARS = range(1900, 2200)

_TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<!--.*?-->")
_DIGITS = re.compile("[0-9]{1,50}")
_SURROGATE = re.compile("[\ud800-\udfff]")


class UnreadableError(Exception):
    """The body cannot be taken as it is; ``sentence`` says why, in French."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


def read_id(value: object, name: str) -> int:
    """An id, a number or its digits; 0 for none. Raises UnreadableError."""
    if value is None or value == "":
        return 0
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif (isinstance(value, float) and value.is_integer()) or (
        isinstance(value, str) and _DIGITS.fullmatch(value.strip())
    ):
        number = int(value)
    else:
        raise UnreadableError(f"«\u00a0{name}\u00a0» n’est pas un numéro.")
    if not 0 <= number < ID_LIMIT:
        raise UnreadableError(f"«\u00a0{name}\u00a0» n’est pas un numéro possible.")
    return number


def read_amount(value: object, name: str) -> Decimal:
    """An amount, rounded half up to cents; nothing is 0. Raises UnreadableError."""
    amount = _decimal(value)
    if amount is None:
        raise UnreadableError(f"«\u00a0{name}\u00a0» n’est pas un montant.")
    if abs(amount) >= AMOUNT_LIMIT:
        raise UnreadableError(f"«\u00a0{name}\u00a0» n’est pas un montant possible.")
    return amount.quantize(CENT, ROUND_HALF_UP)


def read_quantity(value: object) -> Decimal:
    """A quantity, three decimals at the most. Raises UnreadableError."""
    quantity = _decimal(value)
    if quantity is None or abs(quantity) >= QUANTITY_LIMIT:
        raise UnreadableError("«\u00a0quantity\u00a0» n’est pas une quantité possible.")
    return quantity.quantize(Decimal("0.001"), ROUND_HALF_UP)


def read_rate(value: object) -> Decimal | None:
    """A rate in percent; None where the shop does not say it, as before WooCommerce 3.7."""
    rate = _decimal(value)
    return (
        rate.quantize(CENT, ROUND_HALF_UP) if value not in (None, "") and rate is not None and 0 <= rate < 100 else None
    )


def _decimal(value: object) -> Decimal | None:
    """The number, 0 for nothing, None for nonsense. A float is read as it is written, not as it is stored."""
    if value is None or value == "":
        return Decimal(0)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = Decimal(value.strip()) if isinstance(value, str) else Decimal(repr(value))
    except (InvalidOperation, ValueError):
        return None
    return number if number.is_finite() else None


def read_text(value: object, limit: int) -> str:
    """One line: entities decoded, tags taken out, fit for storage, cut to ``limit`` characters."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value:
        return ""
    text = value[: 8 * limit]
    if "&" in text:
        text = html.unescape(text)
    if "<" in text:
        text = _TAG.sub("", text)
    return clean_text(text)[:limit].rstrip()


def read_email(value: object) -> str:
    """The address in lower case; empty where there is none, or none that could work."""
    text = read_text(value, 400)
    if not text:
        return ""
    try:
        return normalise_email(text)
    except InvalidInputError:
        return ""


def read_phone(value: object, country: str) -> str:
    """The number in E.164, dialled in ``country``; empty where there is none, or none that could work."""
    text = read_text(value, PHONE_INPUT_LENGTH + 1)
    if not text:
        return ""
    try:
        return normalise_phone(text, country or "FR")
    except InvalidInputError:
        return ""


def read_country(value: object) -> str:
    """ISO 3166 alpha-2; empty for anything else."""
    code = read_text(value, 10).upper()
    return code if code in _countries() else ""


@cache
def _countries() -> frozenset[str]:
    return frozenset(phonenumbers.SUPPORTED_REGIONS)


def read_postcode(value: object, country: str) -> str:
    """The postcode as it is kept; one that its country does not know stands as it was written."""
    text = read_text(value, 20)
    try:
        return normalise_postcode(text, country or "FR") if text else ""
    except InvalidInputError:
        return text


def read_instant(content: Mapping[str, Any], name: str, zone: ZoneInfo) -> datetime | None:
    """The instant of ``name``, in UTC: of its ``_gmt``, else of the local date in the shop's ``zone``; None for none.

    Raises UnreadableError.
    """
    for key, where in ((f"{name}_gmt", UTC), (name, zone)):
        value = content.get(key)
        if value not in (None, "", 0, "0"):
            return _instant(value, name, where)
    return None


def _instant(value: object, name: str, zone: ZoneInfo | Any) -> datetime | None:
    if isinstance(value, str) and value.startswith("0000-00-00"):
        return None
    try:
        instant = datetime.fromisoformat(value.strip()[:40]) if isinstance(value, str) else None
    except ValueError:
        instant = None
    if instant is None or instant.year not in YEARS:
        raise UnreadableError(f"«\u00a0{name}\u00a0» n’est pas une date.")
    return (instant if instant.tzinfo else instant.replace(tzinfo=zone)).astimezone(UTC)


def read_list(content: Mapping[str, Any], name: str, limit: int) -> list[dict[str, Any]]:
    """The objects of a list, which PHP writes as an object where it has gaps. Raises UnreadableError."""
    value = content.get(name)
    if isinstance(value, dict):
        value = list(value.values())
    if value is None or value == "":
        return []
    if not isinstance(value, list):
        raise UnreadableError(f"«\u00a0{name}\u00a0» n’est pas une liste.")
    if len(value) > limit:
        raise UnreadableError(f"«\u00a0{name}\u00a0» est trop long\u202f: {limit} éléments au plus.")
    return [each for each in value if isinstance(each, dict)]


def without_surrogates(value: Any) -> Any:
    """The same JSON without lone surrogates, which no encoding knows."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [without_surrogates(each) for each in value]
    if isinstance(value, dict):
        return {without_surrogates(key): without_surrogates(each) for key, each in value.items()}
    return value
