"""The contract of what operators tell (docs/depanssur-webhooks.md), version 1: reading an event, field by field.

Pure: no database, no clock. What is wrong is told in English, with its field, since programmers read it. Fields that
we do not know are passed over, so that the contract can grow.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

import orjson

from webapp import clock
from webapp.errors import InvalidInputError
from webapp.models.base import read_code
from webapp.models.claims import ReportedState
from webapp.models.covers import Cover, Trade
from webapp.services.claims.reported import Intervention, Report, Satisfaction

VERSION = "1"
BODY_LIMIT = 256 * 1024
LONGEST_ID = 100
LONGEST_NAME = 200
LONGEST_TEXT = 5000
LONGEST_URL = 2000
MOST_ITEMS = 100
GREATEST_REVISION = 2**31 - 1
GREATEST_AMOUNT = Decimal(1_000_000)
FIRST_DAY = date(2000, 1, 1)
FURTHEST = timedelta(days=366 * 2)
"""How far ahead a visit may be planned."""
CLOCKS_DIFFER = timedelta(minutes=5)
AMOUNT = r"^\d{1,7}\.\d{2}$"

Choice = TypeVar("Choice", bound=StrEnum)


class EventType(StrEnum):
    """What an event is about. Whatever it is, it carries the whole claim."""

    DECLARED = "claim.declared"
    UPDATED = "claim.updated"
    CLOSED = "claim.closed"
    CANCELED = "claim.canceled"
    REOPENED = "claim.reopened"
    SCHEDULED = "intervention.scheduled"
    DONE = "intervention.done"
    DOCUMENT_ADDED = "document.added"
    SATISFACTION = "satisfaction.answered"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "claim.declared": "Sinistre déclaré",
            "claim.updated": "Dossier modifié",
            "claim.closed": "Dossier clos",
            "claim.canceled": "Dossier annulé",
            "claim.reopened": "Dossier rouvert",
            "intervention.scheduled": "Intervention prévue",
            "intervention.done": "Intervention faite",
            "document.added": "Document ajouté",
            "satisfaction.answered": "Satisfaction",
        }[self.value]


STATES = {
    EventType.CLOSED: ReportedState.CLOSED,
    EventType.CANCELED: ReportedState.CANCELED,
    EventType.REOPENED: ReportedState.IN_PROGRESS,
}
"""The state that the claim of such an event is in."""


@dataclass(frozen=True, kw_only=True)
class LinkedDocument:
    """A file of a claim, and where it can be fetched."""

    external_id: str
    name: str
    url: str


@dataclass(frozen=True, kw_only=True)
class Told:
    """An event: what it is about, and the claim in it. ``cover`` is the cover's number."""

    type: EventType
    cover: int
    report: Report
    documents: tuple[LinkedDocument, ...]


def read(body: bytes, *, at: datetime) -> Told:
    """What a body says; ``at`` is when it was received: nothing has happened later. Raises InvalidInputError."""
    try:
        content = orjson.loads(body)
    except ValueError:
        raise InvalidInputError("The body is not JSON in UTF-8.", field="body") from None
    envelope = _Fields(content, "")
    if envelope.text("version", 10) != VERSION:
        raise InvalidInputError(f'The version is "{VERSION}".', field="version")
    kind = envelope.choice("type", EventType)
    claim = envelope.object("data").object("claim")
    documents = tuple(_document(each) for each in claim.objects("documents"))
    told = Told(type=kind, cover=_cover(claim), report=_report(claim, at=at), documents=documents)
    _check_together(told)
    return told


class _Fields:
    """An object of the body, with its place, which is named where something is wrong."""

    def __init__(self, content: object, place: str) -> None:
        if not isinstance(content, Mapping):
            raise InvalidInputError("An object.", field=place or "body")
        self._content, self._place = content, place

    def place(self, name: str) -> str:
        return f"{self._place}.{name}" if self._place else name

    def refused(self, name: str, sentence: str) -> InvalidInputError:
        return InvalidInputError(sentence, field=self.place(name))

    def object(self, name: str) -> "_Fields":
        return _Fields(self._content.get(name), self.place(name))

    def optional_object(self, name: str) -> "_Fields | None":
        return None if self._content.get(name) is None else self.object(name)

    def objects(self, name: str) -> Sequence["_Fields"]:
        items = self._content.get(name)
        if items is None:
            return []
        if not isinstance(items, list) or len(items) > MOST_ITEMS:
            raise self.refused(name, f"A list of {MOST_ITEMS} objects at most.")
        fields = [_Fields(each, f"{self.place(name)}[{number}]") for number, each in enumerate(items)]
        ids = [each.text("external_id", LONGEST_ID) for each in fields]
        if len(set(ids)) < len(ids):
            raise self.refused(name, "Each has an external_id of its own.")
        return fields

    def text(self, name: str, length: int, *, is_needed: bool = True) -> str:
        value = self._content.get(name)
        if value is None and not is_needed:
            return ""
        if not isinstance(value, str) or len(value) > length or (is_needed and not value.strip()):
            raise self.refused(name, f"A text of {'1 to ' if is_needed else 'at most '}{length} characters.")
        if "\0" in value:
            raise self.refused(name, "A text has no NUL.")
        return value.strip()

    def whole(self, name: str, least: int, most: int) -> int:
        value = self._content.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.refused(name, f"A whole number from {least} to {most}.")
        return value

    def choice(self, name: str, choices: type[Choice]) -> Choice:
        value = self._content.get(name)
        found = next((each for each in choices if each.value == value), None)
        if found is None:
            raise self.refused(name, f"One of {', '.join(choices)}.")
        return found

    def amount(self, name: str) -> Decimal | None:
        """Euros with tax; null where nobody knows."""
        value = self._content.get(name)
        if value is None:
            return None
        if not isinstance(value, str) or not re.fullmatch(AMOUNT, value) or Decimal(value) > GREATEST_AMOUNT:
            raise self.refused(name, 'An amount from "0.00" to "1000000.00", a text with two decimals; or null.')
        return Decimal(value)

    def day(self, name: str, *, at: datetime) -> date:
        value = self._content.get(name)
        try:
            day = date.fromisoformat(value) if isinstance(value, str) and len(value) == len("2026-11-20") else None
        except ValueError:
            day = None
        if day is None or day < FIRST_DAY:
            raise self.refused(name, 'A date, as "2026-11-20".')
        if day > at.astimezone(clock.PARIS).date():
            raise self.refused(name, "This day is in the future.")
        return day

    def hour(self, name: str) -> time | None:
        value = self._content.get(name)
        if value is None:
            return None
        if not isinstance(value, str) or not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
            raise self.refused(name, 'An hour on the wall in Paris, as "14:30"; or null.')
        return time.fromisoformat(value)

    def instant(self, name: str, *, latest: datetime) -> datetime | None:
        value = self._content.get(name)
        if value is None:
            return None
        try:
            instant = datetime.fromisoformat(value) if isinstance(value, str) and len(value) <= LONGEST_ID else None
        except ValueError:
            instant = None
        if instant is None or instant.tzinfo is None or instant.year < FIRST_DAY.year:
            raise self.refused(name, 'An instant with its offset, as "2026-11-20T14:30:00+01:00"; or null.')
        if instant > latest:
            raise self.refused(name, "This instant is too late.")
        return instant


def _cover(claim: _Fields) -> int:
    code = read_code(claim.text("cover", 40))
    if code is None or code.letter != Cover.LETTER:
        raise claim.refused("cover", 'The number of a cover, as "V-12".')
    return code.number


def _report(claim: _Fields, *, at: datetime) -> Report:
    event_on, declared_on = claim.day("event_on", at=at), claim.day("declared_on", at=at)
    if declared_on < event_on:
        raise claim.refused("declared_on", "A claim is not declared before it happens.")
    event_time = claim.hour("event_time")
    if event_time is not None and datetime.combine(event_on, event_time, clock.PARIS) > at + CLOCKS_DIFFER:
        raise claim.refused("event_time", "This hour is in the future.")
    return Report(
        external_id=claim.text("external_id", LONGEST_ID),
        revision=claim.whole("revision", 1, GREATEST_REVISION),
        reference=claim.text("reference", 20, is_needed=False).upper() or None,
        state=claim.choice("state", ReportedState),
        trade=claim.choice("trade", Trade),
        event_on=event_on,
        event_time=event_time,
        declared_on=declared_on,
        asked=claim.amount("asked"),
        words=claim.text("words", LONGEST_TEXT, is_needed=False),
        interventions=tuple(_intervention(each, at=at) for each in claim.objects("interventions")),
        satisfaction=_satisfaction(claim.optional_object("satisfaction"), at=at),
    )


def _intervention(fields: _Fields, *, at: datetime) -> Intervention:
    scheduled_at = fields.instant("scheduled_at", latest=at + FURTHEST)
    done_at = fields.instant("done_at", latest=at + CLOCKS_DIFFER)
    if scheduled_at is None and done_at is None:
        raise fields.refused("scheduled_at", "An intervention was scheduled, or done.")
    return Intervention(
        external_id=fields.text("external_id", LONGEST_ID),
        scheduled_at=scheduled_at,
        done_at=done_at,
        craftsman=fields.text("craftsman", LONGEST_NAME, is_needed=False),
        note=fields.text("note", LONGEST_TEXT, is_needed=False),
    )


def _satisfaction(fields: _Fields | None, *, at: datetime) -> Satisfaction | None:
    if fields is None:
        return None
    answered_at = fields.instant("answered_at", latest=at + CLOCKS_DIFFER)
    if answered_at is None:
        raise fields.refused("answered_at", "When the client answered.")
    comment = fields.text("comment", LONGEST_TEXT, is_needed=False)
    return Satisfaction(score=fields.whole("score", 0, 10), answered_at=answered_at, comment=comment)


def _document(fields: _Fields) -> LinkedDocument:
    url = fields.text("url", LONGEST_URL)
    if not url.startswith(("https://", "http://")):
        raise fields.refused("url", "An address that begins with https://.")
    return LinkedDocument(
        external_id=fields.text("external_id", LONGEST_ID), name=fields.text("name", LONGEST_NAME), url=url
    )


def _check_together(told: Told) -> None:
    """The type and the claim say the same."""
    report, claim = told.report, "data.claim"
    state = STATES.get(told.type)
    if state is not None and report.state is not state:
        raise InvalidInputError(f'The state in {told.type} is "{state}".', field=f"{claim}.state")
    if report.state is ReportedState.CLOSED and report.asked is None:
        raise InvalidInputError("What was asked is known once a claim is closed.", field=f"{claim}.asked")
    if told.type in (EventType.SCHEDULED, EventType.DONE) and not report.interventions:
        raise InvalidInputError("The intervention is missing.", field=f"{claim}.interventions")
    if told.type is EventType.DONE and not any(each.done_at for each in report.interventions):
        raise InvalidInputError("No intervention is done.", field=f"{claim}.interventions")
    if told.type is EventType.DOCUMENT_ADDED and not told.documents:
        raise InvalidInputError("The document is missing.", field=f"{claim}.documents")
    if told.type is EventType.SATISFACTION and report.satisfaction is None:
        raise InvalidInputError("The answer is missing.", field=f"{claim}.satisfaction")
