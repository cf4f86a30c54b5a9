"""Whether a value fits its field, whatever shape a form sends it in."""

import math
from typing import Protocol

from webapp import french
from webapp.errors import InvalidInputError
from webapp.models.preferences import Scalar, ValueType
from webapp.services.contact import clean_text

TEXT_LENGTH = 500
YES, NO = ("oui", "true", "1", "on"), ("non", "false", "0", "off")


class Field(Protocol):
    """What there is to know of a field: a schema, or one that is being written."""

    @property
    def code(self) -> str: ...

    @property
    def value_type(self) -> ValueType: ...

    @property
    def allowed_values(self) -> list[str]: ...


def check_value(field: Field, written: Scalar | None) -> Scalar | None:
    """``written`` in the form in which it is kept; None for nothing written. Raises InvalidInputError."""
    if isinstance(written, str):
        written = clean_text(written)
    if written is None or written == "":
        return None
    check = {
        ValueType.STRING: _check_text,
        ValueType.NUMBER: _check_number,
        ValueType.ENUM: _check_choice,
        ValueType.BOOLEAN: _check_yes_or_no,
    }[field.value_type]
    return check(field, written)


def fits(field: Field, value: Scalar | None) -> bool:
    """Whether a value that is kept still is one of the field's."""
    try:
        return value is None or check_value(field, value) == value
    except InvalidInputError:
        return False


def refusal(field: Field, message: str) -> InvalidInputError:
    """A refusal that stands beside the field."""
    return InvalidInputError(message, field=f"preference-{field.code}")


def _check_text(field: Field, written: Scalar) -> str:
    text = str(written)
    if len(text) > TEXT_LENGTH:
        raise refusal(field, f"C’est trop long\u202f: {TEXT_LENGTH} caractères au plus.")
    return text


def _check_number(field: Field, written: Scalar) -> int | float:
    if isinstance(written, int | float) and not isinstance(written, bool) and math.isfinite(written):
        return written
    read = french.read_number(str(written))
    if read is None or read.is_nan():
        raise refusal(field, "Indiquez un nombre, par exemple 2,5.")
    number = float(read)
    return int(number) if number.is_integer() else number


def _check_choice(field: Field, written: Scalar) -> str:
    if written not in field.allowed_values:
        choices = ", ".join(f"«\u00a0{choice}\u00a0»" for choice in field.allowed_values)
        raise refusal(field, f"Choisissez l’une des valeurs proposées\u202f: {choices}.")
    return str(written)


def _check_yes_or_no(field: Field, written: Scalar) -> bool:
    word = str(written).lower()
    if word in YES:
        return True
    if word in NO:
        return False
    raise refusal(field, "Répondez par oui ou par non.")
