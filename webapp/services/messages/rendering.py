"""Texts filled in: checked, compiled once, each value written as its type reads and shown as it is.

E-mails and letters are Markdown, an SMS is plain text. A value is never read as Markdown, nor as anything else.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from babel.dates import get_month_names
from jinja2 import Template, UndefinedError

from webapp import french
from webapp.clock import PARIS
from webapp.gateways.messaging.gsm import GSM_7_TWICE, is_gsm
from webapp.models.messages import SUBJECT_LENGTH, Channel
from webapp.services.messages.emails import EmailParts, to_email
from webapp.services.messages.kinds import Kind, Variable, VariableType
from webapp.services.messages.markdown import to_html, to_plain_text
from webapp.services.messages.syntax import Text, WrongTextError, compiled

__all__ = [
    "LONGEST_BODY",
    "MOST_PARTS",
    "EmailParts",
    "SmsSize",
    "Text",
    "WrongTextError",
    "check",
    "cleaned",
    "example_variables",
    "fill",
    "measure_sms",
    "to_email",
    "to_html",
    "to_plain_text",
]

LONGEST_BODY = {Channel.EMAIL: 20_000, Channel.LETTER: 20_000, Channel.SMS: 2_000}
"""Characters of a text as it is written."""
LONGEST_FILLED = 100_000
MOST_PARTS = 10
"""As many SMS may one message take."""
_LINE_END = re.compile(r"\r\n|\r|\n")
_SPACES_KEPT = re.compile(r"[ \t\r\n\f\v\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_UNKEEPABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_QUOTES = re.compile(r"«[ \u00a0\u202f]?|[ \u00a0\u202f]?»")
_money, _long_day = lru_cache(maxsize=4096)(french.money), lru_cache(maxsize=4096)(french.long_day)
"""Thousands of messages name the same few amounts and days."""
_PLAIN_SIGNS = str.maketrans(
    {
        "\u00a0": " ",
        "\u202f": " ",
        "\u2009": " ",
        "’": "'",
        "‘": "'",
        "“": '"',
        "”": '"',
        "–": "-",
        "—": "-",
        "…": "...",
        "\t": " ",
    }
)


class SmsSize(NamedTuple):
    """How much an SMS takes: ``characters`` of its alphabet (some count twice), ``parts`` that are paid for."""

    characters: int
    parts: int
    is_gsm: bool


def cleaned(subject: str, body: str) -> Text:
    """What a form sent, fit to be kept: line ends are « \\n », signs that cannot be kept or seen are left out."""
    lines = [_UNKEEPABLE.sub("", line).rstrip() for line in _LINE_END.split(body)]
    return Text(_UNKEEPABLE.sub("", subject).strip(), "\n".join(lines).rstrip())


def check(kind: Kind, channel: Channel, text: Text) -> None:
    """Raises WrongTextError at the first thing for which the text cannot be used: how it is made, or how long it is."""
    fill(kind, channel, text, example_variables(kind))


def fill(kind: Kind, channel: Channel, text: Text, variables: Mapping[str, object]) -> Text:
    """The text with its variables in: Markdown for an e-mail or letter, one line for a subject, plain for an SMS.

    ``variables``: those of the kind, a Decimal as an amount, a date in words, an int in groups of three, None as
    nothing; a table is a list of rows by column. A text is checked and compiled once. Raises WrongTextError.
    """
    if channel is Channel.SMS:
        return Text("", _fill_sms(kind, text.body, variables))
    values = _formatted(kind, variables, _long_day)
    subject = _one_line(_rendered(_compiled_subject(kind, text.subject), values, "subject"))
    if not 1 <= len(subject) <= SUBJECT_LENGTH:
        raise WrongTextError(f"un objet a de 1 à {SUBJECT_LENGTH} caractères une fois rempli.", field="subject")
    body = _rendered(_compiled_body(kind, channel, text.body), values, "body").strip()
    if not 1 <= len(body) <= LONGEST_FILLED:
        raise WrongTextError("le texte est vide ou trop long une fois rempli.", field="body")
    return Text(subject, body)


def _fill_sms(kind: Kind, source: str, variables: Mapping[str, object]) -> str:
    """Signs that would double its price are written as phones have them; letters stay."""
    values = _formatted(kind, variables, french.day)
    filled = _rendered(_compiled_body(kind, Channel.SMS, source), values, "body")
    body = _QUOTES.sub('"', filled).translate(_PLAIN_SIGNS).strip()
    parts = measure_sms(body).parts
    if not 1 <= parts <= MOST_PARTS:
        raise WrongTextError(f"un SMS rempli tient en {MOST_PARTS} parties au plus, et n’est pas vide.", field="body")
    return body


def _compiled_subject(kind: Kind, source: str) -> Template:
    if _UNKEEPABLE.search(source) or "\n" in source:
        raise WrongTextError("un objet tient sur une ligne, sans caractère invisible.", field="subject")
    if len(source) > SUBJECT_LENGTH:
        raise WrongTextError(f"un objet a {SUBJECT_LENGTH} caractères au plus.", field="subject")
    return compiled(source, kind.code, "subject", is_markdown=False)


def _compiled_body(kind: Kind, channel: Channel, source: str) -> Template:
    if unkeepable := _UNKEEPABLE.search(source):
        line = source.count("\n", 0, unkeepable.start()) + 1
        raise WrongTextError("un caractère invisible ne peut pas être gardé.", field="body", line=line)
    if len(source) > (longest := LONGEST_BODY[channel]):
        raise WrongTextError(f"un texte a {french.whole(longest)} caractères au plus.", field="body")
    return compiled(source, kind.code, "body", is_markdown=channel is not Channel.SMS)


def _rendered(template: Template, values: Mapping[str, object], field: str) -> str:
    try:
        return template.render(values)
    except UndefinedError as error:
        raise WrongTextError(f"une valeur manque\u202f: {error.message}.", field=field) from error
    except (TypeError, ValueError) as error:
        raise WrongTextError("un filtre ne convient pas à ce qui le précède.", field=field) from error


def _one_line(text: str) -> str:
    return _SPACES_KEPT.sub(" ", text).strip()


def _formatted(kind: Kind, variables: Mapping[str, object], day: Callable[[date], str]) -> dict[str, Any]:
    return {
        variable.name: _formatted_value(variable, variables[variable.name], day)
        for variable in kind.all_variables
        if variable.name in variables
    }


def _formatted_value(variable: Variable, value: Any, day: Callable[[date], str]) -> Any:
    if variable.type is not VariableType.TABLE:
        return _written(variable, value, day)
    return [
        {column.name: _written(column, row.get(column.name), day) for column in variable.columns} for row in value or ()
    ]


def _written(variable: Variable, value: object, day: Callable[[date], str]) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return day(value.astimezone(PARIS).date())
        case date():
            return day(value)
        case Decimal():
            return french.quantity(value) if variable.type is VariableType.NUMBER else _money(value)
        case int():
            return french.whole(value)
    return _one_line(_UNKEEPABLE.sub(" ", str(value)))


def example_variables(kind: Kind) -> dict[str, object]:
    """The kind's variables with values as a client might have them; two rows in each table."""
    return {variable.name: _example(variable) for variable in kind.all_variables}


def _example(variable: Variable) -> object:
    match variable.type:
        case VariableType.TABLE:
            row = {column.name: _example(column) for column in variable.columns}
            return [row, dict(row)]
        case VariableType.MONEY | VariableType.NUMBER:
            number = french.read_number(variable.example)
            return int(number or 0) if variable.type is VariableType.NUMBER else number
        case VariableType.DATE:
            day, month, year = variable.example.split()
            return date(int(year), _MONTHS[month], int(day))
        case _:
            return variable.example


_MONTHS = {name: number for number, name in get_month_names("wide", locale=french.LOCALE).items()}


def measure_sms(text: str) -> SmsSize:
    """How many characters and parts an SMS takes: 160 of the alphabet of SMS in one, 153 in each of several.

    One sign beyond that alphabet, and they are 70 and 67, an emoji counting twice (3GPP TS 23.038).
    """
    if is_gsm(text):
        characters, alone, each = len(text) + sum(sign in GSM_7_TWICE for sign in text), 160, 153
    else:
        characters, alone, each = len(text.encode("utf-16-le", "surrogatepass")) // 2, 70, 67
    parts = -(-characters // alone) if characters <= alone else -(-characters // each)
    return SmsSize(characters, parts, is_gsm(text))
