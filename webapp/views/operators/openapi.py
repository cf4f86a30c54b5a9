"""The contract of what operators ask, as an OpenAPI 3.1 document. Fields are only ever added."""

from typing import Any

from webapp.models.claims import ClaimStatus
from webapp.models.covers import Trade
from webapp.services.covers.decisions import Outcome, Step

AMOUNT = {"type": ["string", "null"], "pattern": r"^\d+\.\d{2}$", "description": "Euros with tax; null: no limit"}
OUTCOME = {"enum": [each.value for each in Outcome]}
STEP = {"enum": [each.value for each in Step]}
TRADE = {"enum": [each.value for each in Trade]}
DAY = {"type": "string", "format": "date"}


def document(root: str) -> dict[str, Any]:
    """The document; ``root`` is where the application is served."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Depanssur covers", "version": "1"},
        "servers": [{"url": f"{root}/api/depanssur/v1"}],
        "security": [{"key": []}],
        "paths": {
            "/covers": {
                "get": _operation("Whether a claim would be covered", _asked(), "Cover", refused=(401, 404, 422))
            },
            "/claims/{reference}": {
                "get": _operation(
                    "How a claim file stands", [_parameter("reference", "path")], "Claim", refused=(401, 404)
                )
            },
        },
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Cover": _cover(), "Claim": _claim(), "Problem": _problem()},
        },
    }


def _asked() -> list[dict[str, Any]]:
    on = _parameter("on", "query", DAY) | {"required": False, "description": "The day of the event; today by default"}
    return [_parameter("reference", "query"), _parameter("trade", "query", TRADE), on]


def _parameter(name: str, place: str, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"name": name, "in": place, "required": True, "schema": schema or {"type": "string"}}


def _operation(
    summary: str, parameters: list[dict[str, Any]], answer: str, *, refused: tuple[int, ...]
) -> dict[str, Any]:
    problem = {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    responses = {str(status): {"description": "Refused", **problem} for status in (*refused, 429)}
    schema = {"$ref": f"#/components/schemas/{answer}"}
    responses["200"] = {"description": "The answer", "content": {"application/json": {"schema": schema}}}
    return {"summary": summary, "parameters": parameters, "responses": responses}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _cover() -> dict[str, Any]:
    line = _object(step=STEP, outcome=OUTCOME, sentence={"type": "string"})
    return _object(
        version={"const": "1"},
        reference={"type": "string"},
        trade=TRADE,
        on=DAY,
        outcome=OUTCOME,
        covered={"type": "boolean"},
        reason=_object(step=STEP, sentence={"type": "string"}),
        deductible=AMOUNT,
        up_to=AMOUNT,
        left=_object(claims={"type": ["integer", "null"]}, amount=AMOUNT, option_amount=AMOUNT),
        lines={"type": "array", "items": line},
    )


def _claim() -> dict[str, Any]:
    return _object(
        version={"const": "1"},
        reference={"type": "string"},
        status={"enum": [each.value for each in ClaimStatus]},
        trade=TRADE,
        event_on=DAY,
        declared_on=DAY,
        asked=AMOUNT,
        covered=AMOUNT,
        deductible=AMOUNT,
        over=AMOUNT,
        changed_at={"type": "string", "format": "date-time"},
    )


def _problem() -> dict[str, Any]:
    problem = _object(type={"type": "string"}, status={"type": "integer"}, detail={"type": "string"})
    problem["properties"]["field"] = {"type": "string"}
    return problem
