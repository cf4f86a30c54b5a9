"""karrio, which knows how carriers are asked. It writes requests, and nothing else: our own door sends them.

Importing it changes the whole process: urllib checks certificates no more, Pillow takes images that are cut, and it
logs to the standard error. ``library`` puts that right again. It takes a second and some megabytes, so only
workers should come here: nothing of this package imports karrio before a label is made.
"""

import ssl
import threading
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple, TypeVar

import structlog

from webapp.gateways.carriers.door import NoAnswerError, NothingSentError, outcome_of
from webapp.gateways.carriers.fitting import Limits, as_printed, request_faults
from webapp.gateways.carriers.protocol import CarrierRejectedError, LabelOutcome, LabelRequest, Party, refused

log = structlog.get_logger()

T = TypeVar("T")

_importing = threading.Lock()


class UntranslatableError(CarrierRejectedError):
    """karrio cannot write this request: a mistake of its or of ours. The message tells nothing of a person."""


class Library(NamedTuple):
    """The parts of karrio that are used: what makes its models of plain values, and its two carriers."""

    to_object: Callable[..., Any]
    models: Any
    colissimo: Any
    chronopost: Any


def library() -> Library:
    """karrio, imported once a process, with nothing left changed behind."""
    with _importing:
        return _imported()


@cache
def _imported() -> Library:
    import PIL.ImageFile  # noqa: PLC0415
    from loguru import logger  # noqa: PLC0415

    before = ssl._create_default_https_context, PIL.ImageFile.LOAD_TRUNCATED_IMAGES
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it stands on PyPDF2, which has another name now
            import karrio.core.models  # noqa: PLC0415
            import karrio.lib  # noqa: PLC0415
            import karrio.mappers.chronopost  # noqa: PLC0415
            import karrio.mappers.colissimo  # noqa: PLC0415
    finally:
        ssl._create_default_https_context, PIL.ImageFile.LOAD_TRUNCATED_IMAGES = before
        logger.remove()
    return Library(karrio.lib.to_object, karrio.core.models, karrio.mappers.colissimo, karrio.mappers.chronopost)


def written(write: Callable[[], T]) -> T:
    """What ``write`` makes with karrio, which raises anything. Raises UntranslatableError, after it is logged."""
    try:
        return write()
    except Exception as error:
        log.exception("label_untranslatable")
        raise UntranslatableError(type(error).__name__) from error


def ask_for_label(limits: Limits, request: LabelRequest, ask: Callable[[], LabelOutcome]) -> LabelOutcome:
    """What came of a request for a label that ``ask`` translates and sends, whatever goes wrong on the way.

    What the carrier could not take is refused before.
    """
    if fault := next(request_faults(limits, request), None):
        return refused(fault.field, fault.sentence)
    try:
        return ask()
    except UntranslatableError as error:
        return refused("untranslatable", error)
    except (NothingSentError, NoAnswerError) as error:
        return outcome_of(error)


def shipment(request: LabelRequest, *, service: str, label_type: str) -> Any:
    """The request as karrio wants it."""
    karrio = library()
    said = {
        "shipper": _party(request.sender),
        "recipient": _party(request.recipient),
        "parcels": [{"weight": request.weight_g / 1000, "weight_unit": "KG"}],
        "service": service,
        "reference": request.reference,
        "label_type": label_type,
        "options": {"shipment_date": request.deposit_on.isoformat()},
    }
    return karrio.to_object(karrio.models.ShipmentRequest, said)


def _party(party: Party) -> Mapping[str, Any]:
    """Its address lines are put by each carrier's module: karrio takes the street's number out of them, and prints it
    twice or leaves it out.
    """
    return {
        "person_name": as_printed(party.name) or None,
        "company_name": as_printed(party.company) or None,
        "address_line1": as_printed(party.lines[0]),
        "city": as_printed(party.town),
        "postal_code": party.postcode,
        "country_code": party.country,
        "phone_number": party.phone or None,
        "email": party.email or None,
    }


def is_mobile(phone: str) -> bool:
    """Whether an E.164 number is that of a French mobile telephone, the overseas included."""
    return phone.startswith(
        ("+336", "+337", "+262692", "+262693", "+590690", "+590691", "+594694", "+596696", "+596697")
    )
