"""The contract of what operators tell us, and of what we tell them, as an OpenAPI 3.1 document (version 1).

Fields are only ever added.
"""

from typing import Any

from webapp.models.claims import ReportedState
from webapp.models.covers import Trade
from webapp.services.operators.contract import (
    AMOUNT,
    GREATEST_REVISION,
    LONGEST_ID,
    LONGEST_NAME,
    LONGEST_TEXT,
    LONGEST_URL,
    MOST_ITEMS,
    VERSION,
    EventType,
)

INSTANT = {"type": "string", "format": "date-time", "description": "With its offset"}
DAY = {"type": "string", "format": "date", "description": "A local date in Paris, not in the future"}
EUROS = {"type": ["string", "null"], "pattern": AMOUNT, "description": "Euros with tax; null: not known"}
STATE = {
    "enum": [each.value for each in ReportedState],
    "description": "How it stands at your place. A closed claim may go back to in_progress within 90 days",
}
TRADE = {"enum": [each.value for each in Trade], "description": "What is to be repaired"}
TOLD_HERE = (EventType.DECLARED, EventType.UPDATED, EventType.CANCELED)


def document(root: str) -> dict[str, Any]:
    """The document; ``root`` is where the application is served."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Depanssur webhooks", "version": VERSION},
        "servers": [{"url": f"{root}/webhooks/depanssur"}],
        "paths": {
            "/{operator}": {
                "parameters": [
                    {"name": "operator", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}
                ],
                "post": {
                    "summary": "Tell of a claim",
                    "parameters": _signed(),
                    "requestBody": _body("Event"),
                    "responses": {
                        "202": {
                            "description": "Kept for good",
                            "content": {"application/json": {"schema": _reference("Receipt")}},
                        }
                    }
                    | {str(status): _problem_answer(why) for status, why in REFUSALS.items()},
                },
            }
        },
        "webhooks": {
            "file": {
                "post": {
                    "summary": "We tell you of a file that was declared or decided here",
                    "parameters": _signed(),
                    "requestBody": _body("FileEvent"),
                    "responses": {"2XX": {"description": "Taken; anything else is sent again, for hours"}},
                }
            }
        },
        "components": {
            "schemas": {
                "Event": _event(list(EventType), "Claim"),
                "Claim": _claim(),
                "Intervention": _intervention(),
                "Document": _document(),
                "Satisfaction": _satisfaction(),
                "Receipt": _receipt(),
                "Problem": _problem(),
                "FileEvent": _event(list(TOLD_HERE), "File"),
                "File": _file(),
            }
        },
    }


REFUSALS = {
    401: "Not signed by a secret of the operator, or not now",
    413: "The body is too large",
    415: "The body is not application/json",
    422: "A field is wrong: it is named",
    429: "Too fast",
    503: "Not available for the moment",
}


def _signed() -> list[dict[str, Any]]:
    words = {
        "webhook-id": "The message's own id; the same when it is sent again",
        "webhook-timestamp": "Unix seconds, at most five minutes from now",
        "webhook-signature": "One or more signatures « v1,… », with a space between",
    }
    return [
        {"name": name, "in": "header", "required": True, "description": said, "schema": {"type": "string"}}
        for name, said in words.items()
    ]


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _body(name: str) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": _reference(name)}}}


def _problem_answer(why: str) -> dict[str, Any]:
    return {"description": why, "content": {"application/problem+json": {"schema": _reference("Problem")}}}


def _object(properties: dict[str, Any], *, optional: tuple[str, ...] = ()) -> dict[str, Any]:
    needed = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": needed}


def _text(most: int, *, least: int = 0) -> dict[str, Any]:
    return {"type": "string", "maxLength": most} | ({"minLength": least} if least else {})


def _list(name: str, said: str) -> dict[str, Any]:
    return {"type": "array", "items": _reference(name), "maxItems": MOST_ITEMS, "description": said}


def _or_null(schema: dict[str, Any], said: str) -> dict[str, Any]:
    return {"oneOf": [schema, {"type": "null"}], "description": said}


def _receipt() -> dict[str, Any]:
    return _object(
        {
            "receipt": {"type": "string", "format": "uuid", "description": "Our id of the event"},
            "repeated": {
                "type": "boolean",
                "description": "Whether the same webhook-id was told before: nothing happens then",
            },
        }
    )


def _event(types: list[EventType], claim: str) -> dict[str, Any]:
    return _object(
        {
            "version": {"const": VERSION},
            "type": {"enum": [each.value for each in types], "description": "What happened"},
            "occurred_at": INSTANT,
            "data": _object({"claim": _reference(claim)})
            | {"description": "The claim in its whole present state, whatever happened"},
        },
        optional=("occurred_at",),
    )


def _claim() -> dict[str, Any]:
    return _object(
        {
            "external_id": _text(LONGEST_ID, least=1) | {"description": "Your number of the claim, for good"},
            "revision": {
                "type": "integer",
                "minimum": 1,
                "maximum": GREATEST_REVISION,
                "description": "Grows with every change of the claim",
            },
            "reference": {
                "type": ["string", "null"],
                "description": "Ours (DEP-2026-000123), where you heard of the claim from us",
            },
            "cover": {"type": "string", "description": "The number of the cover, as V-12"},
            "state": STATE,
            "trade": TRADE,
            "event_on": DAY,
            "event_time": {
                "type": ["string", "null"],
                "pattern": r"^([01]\d|2[0-3]):[0-5]\d$",
                "description": "On the wall in Paris",
            },
            "declared_on": DAY,
            "asked": EUROS,
            "words": _text(LONGEST_TEXT) | {"description": "The client's own words"},
            "interventions": _list("Intervention", "All visits so far; what is no longer told is not there"),
            "documents": _list("Document", "All files so far"),
            "satisfaction": _or_null(_reference("Satisfaction"), "What the client answered; null: nothing yet"),
        },
        optional=(
            "reference",
            "event_time",
            "asked",
            "words",
            "interventions",
            "documents",
            "satisfaction",
        ),
    )


def _intervention() -> dict[str, Any]:
    return _object(
        {
            "external_id": _text(LONGEST_ID, least=1) | {"description": "Your number of the visit"},
            "scheduled_at": _or_null(INSTANT, "When somebody comes; null: not known"),
            "done_at": _or_null(INSTANT, "When it was done; null: not yet"),
            "craftsman": _text(LONGEST_NAME) | {"description": "Who comes"},
            "note": _text(LONGEST_TEXT) | {"description": "What was found, or done"},
        },
        optional=("scheduled_at", "done_at", "craftsman", "note"),
    )


def _document() -> dict[str, Any]:
    return _object(
        {
            "external_id": _text(LONGEST_ID, least=1) | {"description": "Your number of the file"},
            "name": _text(LONGEST_NAME, least=1) | {"description": "With its suffix: photo.jpg"},
            "url": _text(LONGEST_URL, least=1) | {"format": "uri", "description": "We fetch it once, with GET"},
        }
    )


def _satisfaction() -> dict[str, Any]:
    return _object(
        {
            "score": {
                "type": "integer",
                "minimum": 0,
                "maximum": 10,
                "description": "Would recommend: 10, would not: 0",
            },
            "answered_at": INSTANT,
            "comment": _text(LONGEST_TEXT) | {"description": "In the client's own words"},
        },
        optional=("comment",),
    )


def _problem() -> dict[str, Any]:
    return _object(
        {
            "type": {"type": "string", "description": "about:blank: the status says it"},
            "status": {"type": "integer", "description": "That of the answer"},
            "detail": {"type": "string", "description": "What is wrong, for whoever mends it"},
            "field": {"type": "string", "description": "Where it is wrong: data.claim.asked"},
        },
        optional=("field",),
    )


def _file() -> dict[str, Any]:
    return _object(
        {
            "reference": _said("Our number of the file: DEP-2026-000123"),
            "external_id": _maybe("Yours; null while you have not answered"),
            "revision": {"type": "integer", "description": "Ours: grows with every change of the file here"},
            "cover": _said("The number of the cover, as V-12"),
            "state": STATE | {"description": "How the file stands"},
            "decision": _decision(),
            "trade": TRADE,
            "event_on": DAY,
            "event_time": _maybe("The hour at the home, as 09:15; null where it is not known"),
            "declared_on": DAY,
            "asked": EUROS,
            "words": _said("The client's own words"),
            "client": _object({"name": _said("The client's"), "phone": _maybe("As +33612345678")})
            | {"description": "Whom to visit"},
            "home": _or_null(_home(), "Where; null where none was covered on that day"),
        }
    )


def _decision() -> dict[str, Any]:
    outcomes = ["accepted", "refused", "to_review", "declared", "canceled"]
    decision = {
        "outcome": {"enum": outcomes, "description": "to_review: a person decides"},
        "covered": EUROS | {"description": "What we pay, with tax; null: not known"},
        "deductible": EUROS | {"description": "What the client bears first; null: not known"},
        "over": EUROS | {"description": "What the client bears beyond the limits; null: not known"},
        "sentence": _maybe("Why, in French"),
    }
    return _object(decision) | {"description": "What we decided of it"}


def _home() -> dict[str, Any]:
    home = {
        "address_line1": _said("Number and street"),
        "address_line2": _maybe("Building, floor"),
        "postcode": _said("As 59000"),
        "city": _said("Its name"),
        "access_notes": _maybe("How one gets in"),
    }
    return _object(home)


def _said(words: str) -> dict[str, Any]:
    return {"type": "string", "description": words}


def _maybe(words: str) -> dict[str, Any]:
    return {"type": ["string", "null"], "description": words}
