"""Signatures as the Standard Webhooks say: HMAC-SHA256 over id, instant and body, by one or several secrets."""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

PREFIX = "whsec_"
SECRET_BYTES = 32
TOLERANCE = timedelta(minutes=5)
"""How far the sender's clock may be from ours: what was recorded is not told again later."""
_VERSION = "v1"


def new_secret() -> str:
    """A secret as both sides keep it: 256 random bits."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def sign(secrets_in_clear: Sequence[str], message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The three headers of a message; one signature for each secret, so that whoever knows one of them can verify."""
    timestamp = str(int(at.timestamp()))
    signatures = [f"{_VERSION},{_signature(secret, message_id, timestamp, body)}" for secret in secrets_in_clear]
    return {"webhook-id": message_id, "webhook-timestamp": timestamp, "webhook-signature": " ".join(signatures)}


def is_signed(said: str, message_id: str, timestamp: str, body: bytes, secrets_in_clear: Iterable[str]) -> bool:
    """Whether one of the signatures was made by one of the secrets; takes as long whichever it is."""
    signatures = [each.partition(",")[2].encode() for each in said.split() if each.startswith(f"{_VERSION},")]
    expected = [_signature(secret, message_id, timestamp, body).encode() for secret in secrets_in_clear]
    matches = [hmac.compare_digest(one, other) for one in signatures for other in expected]
    return any(matches)


def read_instant(timestamp: str) -> datetime | None:
    """The instant of a message; None for what is no number of seconds."""
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 11):
        return None
    return datetime.fromtimestamp(int(timestamp), UTC)


def _signature(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    content = f"{message_id}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.digest(_key(secret), content, hashlib.sha256)).decode()


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(PREFIX))
    except binascii.Error:
        return secret.encode()
