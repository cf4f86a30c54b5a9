"""How WooCommerce signs: base64(HMAC-SHA256(secret, raw body)), the secret's HTML entities decoded first."""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable

_ENTITIES = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "60": "<", "62": ">", "38": "&", "34": '"', "39": "'"}
_ENTITY = re.compile(r"&(?:#0*(60|62|38|34|39)|(lt|gt|amp|quot)|#[xX]0*(3[cC]|3[eE]|26|22|27));")


def sign(secret: str, body: bytes) -> str:
    """The signature of ``body`` as the shop makes it."""
    return base64.b64encode(hmac.digest(decoded(secret).encode(), body, hashlib.sha256)).decode()


def decoded(secret: str) -> str:
    """The secret with which the shop really signs: WordPress takes ``&amp;`` in it for ``&``."""
    return _ENTITY.sub(_character, secret)


def _character(entity: re.Match[str]) -> str:
    decimal, name, hexadecimal = entity.groups()
    return chr(int(hexadecimal, 16)) if hexadecimal else _ENTITIES[decimal or name]


def is_signed(signature: str, body: bytes, secrets: Iterable[str]) -> bool:
    """Whether one of ``secrets`` made the signature; takes as long whichever it is. An empty one signs nothing."""
    said = signature.strip().encode()
    matches = [hmac.compare_digest(said, sign(secret, body).encode()) for secret in secrets if secret]
    return any(matches)
