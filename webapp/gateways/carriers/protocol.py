"""What every carrier can do for us, in our words. Each module beside this one speaks to one of them.

Rules that callers may rely on, whichever carrier it is:

- ``create_label`` answers with an outcome, and never raises for what the carrier, the network or the request's content
  does. LABELLED: there is a label, once. REFUSED: there is none that can be used. UNKNOWN: there may be one.
- With the same key a carrier whose ``honoured_key_age`` is set labels at most once, for that long. Of another one,
  asking again after UNKNOWN may bring a second label, which is paid for.
- ``find_label`` reads and changes nothing. None means that the carrier has no such label *now*: a request that is still
  under way may yet make one, until ``longest_delay`` after it was sent.
- What a carrier does not support (``Capabilities``) raises UnsupportedError, which is a mistake of the caller.
- All of them block, for at most some 30 seconds, and may be called from several threads at once.
- No method writes to our database, and none is called inside a transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, Protocol, TypeGuard

from webapp.gateways.wording import words
from webapp.models.carriers import LabelFormat, TrackedStatus

LARGEST_LABEL = 2_000_000
"""Bytes. A label is one printed page: what is bigger is none."""

LONGEST_NUMBER = 35
"""Characters of a tracking number."""


@dataclass(frozen=True)
class Party:
    """Who sends, or who gets it. ``lines`` are the street with its number, then what completes it.

    ``name`` is a person's or a department's; ``name`` or ``company`` may be empty, and so may ``phone`` (E.164) and
    ``email``. ``country`` is ISO 3166.
    """

    name: str
    lines: tuple[str, ...]
    postcode: str
    town: str
    country: str = "FR"
    company: str = ""
    phone: str = ""
    email: str = ""


@dataclass(frozen=True)
class LabelRequest:
    """Have one parcel carried. ``weight_g`` is in grams, packaging included.

    ``reference`` is what we call the parcel; it stands on the label. ``deposit_on`` is the day on which the carrier
    gets it. ``instructions`` are for whoever delivers.
    """

    reference: str
    sender: Party = field(repr=False)
    recipient: Party = field(repr=False)
    weight_g: int
    deposit_on: date
    label_format: LabelFormat = LabelFormat.SMALL
    instructions: str = field(default="", repr=False)


class LabelState(StrEnum):
    """What became of a request for a label, as far as anybody knows."""

    LABELLED = "labelled"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class LabelOutcome:
    """What a carrier says about a label.

    ``tracking_number`` and ``label`` (a PDF) are there when LABELLED, but where no carrier is: it gives neither.
    ``code`` and ``message`` are the carrier's words. A refusal with a ``tracking_number`` is of a label that exists and
    cannot be used. ``is_general`` marks a refusal that is not the parcel's own: the carrier is not there, has had too
    many calls, or does not know our keys. Any other parcel would fare the same now; the same request may pass later.
    """

    state: LabelState
    tracking_number: str | None = None
    label: bytes | None = field(default=None, repr=False)
    code: str | None = None
    message: str | None = None
    is_general: bool = False


class TrackingEvent(NamedTuple):
    """One thing that a carrier tells of a parcel. ``code`` and ``words`` are its own; ``status`` is ours.

    The same event is told again at every look: its instant and its code make it that one. ``status`` is None where the
    code is one that we do not know.
    """

    at: datetime
    code: str
    words: str
    status: TrackedStatus | None


class Tracked(NamedTuple):
    """What a carrier tells of one number, oldest first. ``fault`` are its words where it tells nothing."""

    events: tuple[TrackingEvent, ...]
    fault: str | None = None


@dataclass(frozen=True)
class Capabilities:
    """What may be asked of a carrier.

    ``honoured_key_age``: how long after its first use a key may be sent again without a second label; None: never.
    ``longest_delay``: how late it may still make a label whose request looked lost.
    ``calls_per_second``: what it puts up with, as a rule; the account says what was agreed.
    ``tracked_at_once``: how many numbers one call may ask for; 0: none, it does not track.
    """

    honoured_key_age: timedelta | None
    longest_delay: timedelta
    calls_per_second: int = 10
    finds: bool = False
    cancels: bool = False
    tracked_at_once: int = 0


class CarrierError(Exception):
    """The carrier could not do what was asked; the message is for logs and for those who look after the account."""


class CarrierUnreachableError(CarrierError):
    """It did not answer, or answered that it cannot now. Nothing is known; asking again later makes sense."""


class CarrierRejectedError(CarrierError):
    """It understood and said no (a parcel that is under way, keys that it does not know). Nothing was done."""


class UnsupportedError(CarrierError):
    """This carrier does no such thing; ``Capabilities`` says so."""


class LabelCarrier(Protocol):
    """One account with one carrier."""

    capabilities: Capabilities

    def create_label(self, request: LabelRequest, key: str) -> LabelOutcome:
        """Ask for a label, under a key of the parcel's own. Never raises for what the carrier or the network does."""
        ...

    def find_label(self, key: str) -> LabelOutcome | None:
        """The label that was made under a key; None where there is none.

        Raises CarrierUnreachableError, CarrierRejectedError, UnsupportedError.
        """
        ...

    def cancel(self, tracking_number: str) -> None:
        """Call a label off, so that nothing is paid for it; one that is called off already stays so.

        Raises CarrierRejectedError where it can be no more, CarrierUnreachableError, UnsupportedError.
        """
        ...

    def track(self, tracking_numbers: Sequence[str]) -> Mapping[str, Tracked]:
        """What became of parcels, by number: all that were asked for, at most ``tracked_at_once``.

        Raises CarrierUnreachableError, CarrierRejectedError, UnsupportedError.
        """
        ...

    def fault(self) -> str | None:
        """What is wrong with the account, in a French sentence; None where it answers. Makes nothing."""
        ...


def labelled(tracking_number: str, label: bytes) -> LabelOutcome:
    """The outcome of a label that was made, unless it cannot be printed: then it is refused, and not kept."""
    if len(label) > LARGEST_LABEL:
        return _unusable(tracking_number, "label_too_big", f"L’étiquette dépasse 2\u00a0Mo ({len(label)} octets).")
    if not label.startswith(b"%PDF-") or b"%%EOF" not in label[-1024:]:
        return _unusable(tracking_number, "label_is_no_pdf", "L’étiquette n’est pas un PDF entier.")
    return LabelOutcome(LabelState.LABELLED, tracking_number, label)


def _unusable(tracking_number: str, code: str, message: str) -> LabelOutcome:
    return LabelOutcome(LabelState.REFUSED, tracking_number, code=code, message=message)


def is_tracking_number(said: object) -> TypeGuard[str]:
    """Whether it can be one: what is no letter or digit has no business in an address, or in a file for people."""
    return isinstance(said, str) and 0 < len(said) <= LONGEST_NUMBER and said.isascii() and said.isalnum()


def refused(code: object, message: object, *, is_general: bool = False) -> LabelOutcome:
    """A refusal in the carrier's words: there is no label."""
    return LabelOutcome(LabelState.REFUSED, code=words(code)[:100], message=words(message), is_general=is_general)


def unknown(code: object, message: object) -> LabelOutcome:
    """Nobody knows whether there is a label."""
    return LabelOutcome(LabelState.UNKNOWN, code=words(code)[:100], message=words(message))
