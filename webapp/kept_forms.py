"""A form that was sent after the session had ended: kept for a while, sealed, and given back to its writer as it was.

It is never sent by itself. Whose it is stands in its CSRF token, which we signed for a session of that user (see
``sessions.begin``): a form that another site sends is not kept, and nobody else is given it.
"""

import json
import secrets
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from flask import current_app, request
from itsdangerous import BadData, URLSafeTimedSerializer
from redis import Redis, RedisError

from webapp import crypto

KEPT_SECONDS = 15 * 60
LARGEST = 256 * 1024
"""Bytes of a form that are kept; files never are."""
PARAMETER = "repris"
_TOKEN = "csrf_token"  # noqa: S105  # the field's name


@dataclass(frozen=True)
class KeptForm:
    """What was sent: to which path of ours, and its fields in order, those of one name one after another."""

    action: str
    fields: list[tuple[str, str]]


def keep() -> str | None:
    """Keep the form of this request. Returns a word for its page's address; None where there is nothing to keep."""
    if request.method != "POST" or (request.content_length or 0) > LARGEST:
        return None
    owner = _owner_of(request.form.get(_TOKEN) or request.headers.get("X-CSRFToken") or "")
    fields = [pair for pair in request.form.items(multi=True) if pair[0] != _TOKEN]
    if owner is None or not fields:
        return None
    word = secrets.token_urlsafe(24)
    content = json.dumps({"owner": owner, "action": request.path, "fields": fields})
    try:
        _redis().set(_key(word), crypto.seal(content, place=_key(word)), ex=KEPT_SECONDS)
    except RedisError:
        return None
    return word


def find(word: str, *, owner: UUID) -> KeptForm | None:
    """The form of that word, if ``owner`` wrote it; None where it is another's, too old, or was never kept."""
    sealed = _redis().get(_key(word))
    if not isinstance(sealed, bytes):
        return None
    try:
        content: dict[str, Any] = json.loads(crypto.unseal(sealed, place=_key(word)))
    except crypto.DecryptionError:
        return None
    if content["owner"] != str(owner):
        return None
    return KeptForm(content["action"], [(name, value) for name, value in content["fields"]])


def csrf_secret(owner: UUID) -> str:
    """The secret of a session's CSRF tokens, which names whose session it is."""
    return f"{secrets.token_hex(20)}:{owner}"


def _owner_of(token: str) -> str | None:
    reader = URLSafeTimedSerializer(str(current_app.secret_key), salt="wtf-csrf-token")
    try:
        _, _, owner = str(reader.loads(token)).partition(":")
    except BadData:
        return None
    return owner or None


def _key(word: str) -> str:
    return f"form:{word}"


def _redis() -> Redis:
    redis: Redis = current_app.config["SESSION_REDIS"]
    return redis
