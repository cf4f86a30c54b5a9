"""An example client of the operator's webhooks (docs/depanssur-webhooks.md): Python's standard library alone.

    python demo/depanssur_client.py URL SECRET V-12

declares a burst pipe under the cover V-12. Copy ``sign``, ``send`` and ``verify`` into your own tool.
"""

import base64
import hashlib
import hmac
import json
import sys
import time
import urllib.error
import urllib.request
import uuid
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

TOLERANCE = 5 * 60


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The signature of a message: « v1, » and base64 of HMAC-SHA256 over id, instant and body."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()


def send(url: str, secret: str, event: dict[str, Any], *, message_id: str = "", at: float | None = None) -> int:
    """Post an event, and return the status: 202 is kept; 429 and 5xx are to be sent again with the same id, later."""
    body = json.dumps(event, ensure_ascii=False).encode()
    message_id = message_id or f"msg_{uuid.uuid4().hex}"
    timestamp = int(time.time() if at is None else at)
    headers = {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(secret, message_id, timestamp, body),
    }
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")  # noqa: S310  an address of ours
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as error:
        print(f"{error.code}: {error.read().decode(errors='replace')}", file=sys.stderr)
        return error.code


def verify(secrets: list[str], headers: dict[str, str], body: bytes, *, at: float | None = None) -> bool:
    """Whether a message that you got comes from us: signed by one of the secrets, and not five minutes old."""
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdigit() or abs((time.time() if at is None else at) - int(timestamp)) > TOLERANCE:
        return False
    expected = [sign(secret, message_id, int(timestamp), body) for secret in secrets]
    said = headers.get("webhook-signature", "").split()
    return any([hmac.compare_digest(one, other) for one in said for other in expected])  # noqa: C419  all are compared


def burst_pipe(cover: str, *, on: date) -> dict[str, Any]:
    """A claim as it is declared: its whole present state, revision 1."""
    claim = {
        "external_id": f"OP-{uuid.uuid4().hex[:8]}",
        "revision": 1,
        "cover": cover,
        "state": "declared",
        "trade": "plumbing",
        "event_on": on.isoformat(),
        "declared_on": on.isoformat(),
        "asked": None,
        "words": "Fuite sous l’évier.",
    }
    return {"version": "1", "type": "claim.declared", "data": {"claim": claim}}


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("python demo/depanssur_client.py URL SECRET V-12")
    address, shared_secret, cover_number = sys.argv[1:]
    print(send(address, shared_secret, burst_pipe(cover_number, on=datetime.now(ZoneInfo("Europe/Paris")).date())))
