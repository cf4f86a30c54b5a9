"""What is wrong with a request of an operator, as RFC 9457 tells it."""

from typing import Any

from flask import Response, jsonify


def problem(status: int, detail: str, *, field: str | None = None) -> Response:
    """An answer that says what is wrong, in English, and with which field."""
    body: dict[str, Any] = {"type": "about:blank", "status": status, "detail": detail}
    if field:
        body["field"] = field
    answer = jsonify(body)
    answer.status_code = status
    answer.mimetype = "application/problem+json"
    if status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    return answer
