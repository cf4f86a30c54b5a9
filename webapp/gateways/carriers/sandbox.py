"""The sandbox (bac à sable): a pretend carrier on loopback; demo/carrier.py is the other side. JSON over HTTP."""

from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, TypeVar

import orjson

from webapp.gateways.carriers.door import ANSWERING, Answer, Door, NoAnswerError, NothingSentError, outcome_of
from webapp.gateways.carriers.fitting import Limits, request_faults
from webapp.gateways.carriers.protocol import (
    Capabilities,
    CarrierRejectedError,
    CarrierUnreachableError,
    LabelOutcome,
    LabelRequest,
    Tracked,
    TrackingEvent,
    is_tracking_number,
    labelled,
    refused,
    unknown,
)
from webapp.gateways.wording import words
from webapp.models.carriers import TrackedStatus

T = TypeVar("T")

LIMITS = Limits(customs=True)
CAPABILITIES = Capabilities(
    honoured_key_age=timedelta(days=30),
    longest_delay=timedelta(minutes=1),
    calls_per_second=50,
    finds=True,
    cancels=True,
    tracked_at_once=10,
)


class Sandbox:
    """An account with the pretend carrier at ``url``. See LabelCarrier."""

    def __init__(self, *, url: str, service: str, longest_delay: timedelta, patience: float = ANSWERING) -> None:
        self.capabilities = replace(CAPABILITIES, longest_delay=longest_delay)
        self._service = service
        self._door = Door(url, patience=patience)

    def close(self) -> None:
        """Let go of the connections."""
        self._door.close()

    def create_label(self, request: LabelRequest, key: str) -> LabelOutcome:
        """See LabelCarrier."""
        if fault := next(request_faults(LIMITS, request), None):
            return refused(fault.field, fault.sentence)
        content = orjson.dumps(asdict(request) | {"service": self._service})
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        try:
            return _outcome(self._door.ask("POST", "/labels", content=content, headers=headers))
        except (NothingSentError, NoAnswerError) as error:
            return outcome_of(error)

    def find_label(self, key: str) -> LabelOutcome | None:
        """See LabelCarrier."""
        return _understood(self._ask("GET", "/labels", params={"key": key}), _found)

    def cancel(self, tracking_number: str) -> None:
        """See LabelCarrier."""
        self._ask("POST", "/cancellations", json={"tracking_number": tracking_number})

    def track(self, tracking_numbers: Sequence[str]) -> Mapping[str, Tracked]:
        """See LabelCarrier."""
        answer = self._ask("GET", "/tracking", params={"numbers": ",".join(tracking_numbers)})
        told = _understood(answer, _tracked)
        return {number: told.get(number, Tracked((), "unknown number")) for number in tracking_numbers}

    def fault(self) -> str | None:
        """See LabelCarrier."""
        try:
            self._ask("GET", "/labels", params={"key": "-"})
        except (CarrierUnreachableError, CarrierRejectedError) as error:
            return f"Le transporteur fictif ne répond pas\u202f: {error}"
        return None

    def _ask(self, method: str, path: str, **arguments: Any) -> Answer:
        try:
            answer = self._door.ask(method, path, **arguments)
        except (NothingSentError, NoAnswerError) as error:
            raise CarrierUnreachableError(str(error)) from error
        if answer.status == HTTPStatus.OK:
            return answer
        said = f"HTTP {answer.status}: {_message(answer)}"
        if answer.status in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY):
            raise CarrierRejectedError(said)
        raise CarrierUnreachableError(said)


def _outcome(answer: Answer) -> LabelOutcome:
    """What an answer to a request for a label says. Only what surely made nothing is a refusal."""
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        return refused("too_many", _message(answer), is_general=True)
    if answer.status == HTTPStatus.UNPROCESSABLE_ENTITY:
        return refused("refused", _message(answer))
    if answer.status != HTTPStatus.OK:
        return unknown(f"http_{answer.status}", _message(answer))
    try:
        return _label(orjson.loads(answer.content))
    except (ValueError, KeyError, TypeError) as error:
        return unknown("unreadable", f"{type(error).__name__}: {error}")


def _label(made: Any) -> LabelOutcome:
    """Raises ValueError, KeyError, TypeError for what is no label."""
    number = made["tracking_number"]
    if not is_tracking_number(number):
        raise ValueError("no tracking number")
    return labelled(number, b64decode(made["label"], validate=True))


def _found(said: Any) -> LabelOutcome | None:
    return _label(said["labels"][0]) if said["labels"] else None


def _tracked(said: Any) -> dict[str, Tracked]:
    return {str(each["tracking_number"]): Tracked(tuple(map(_event, each["events"]))) for each in said["parcels"]}


def _event(said: Any) -> TrackingEvent:
    status = said["status"]
    known = TrackedStatus(status) if status in set(TrackedStatus) else None
    return TrackingEvent(datetime.fromisoformat(said["at"]), words(said["code"])[:50], words(said["words"]), known)


def _understood(answer: Answer, read: Callable[[Any], T]) -> T:
    try:
        return read(orjson.loads(answer.content))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise CarrierUnreachableError(f"unreadable answer: {type(error).__name__}: {error}") from error


def _message(answer: Answer) -> str:
    """The carrier's words, else the beginning of whatever it sent."""
    try:
        said = orjson.loads(answer.content)
        return words(said["message"])
    except (ValueError, KeyError, TypeError):
        return words(answer.content[:200].decode("utf-8", "replace"))
