"""Ending sessions other than that of the request: by the provider's word, or by their owner in « Mes sessions »."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from flask import session

from webapp import crypto
from webapp.errors import NotFoundError, UnavailableError
from webapp.gateways import identity as provider
from webapp.models.identity import User
from webapp.sessions import register, tokens
from webapp.sessions.devices import UNKNOWN
from webapp.sessions.store import PREFIX, interface

log = structlog.get_logger()


@dataclass(frozen=True)
class OwnSession:
    """A session as its owner sees it. ``handle`` names it without opening it, as its id would.

    ``began_at`` is None for one that is older than this page; ``used_at`` is exact to the life of an access token.
    """

    sid: str
    handle: str
    device: str
    address: str
    began_at: datetime | None
    used_at: datetime | None
    is_this: bool


def own_sessions(user: User) -> list[OwnSession]:
    """The user's sessions, this one first, then the one that was used last."""
    this = str(session.sid)  # type: ignore[attr-defined]
    found = {sid: interface().read(sid) for sid in _ids_of(user)} | {this: dict(session)}
    own = [_own(user, sid, content, this) for sid, content in found.items() if _is_of(user, content)]
    oldest = datetime.min.replace(tzinfo=UTC)
    return sorted(own, key=lambda one: (one.is_this, one.used_at or one.began_at or oldest), reverse=True)


def end_own(handle: str, *, by: User) -> bool:
    """End one of the user's other sessions. Returns whether the provider could be told. Raises NotFoundError."""
    chosen = [one for one in own_sessions(by) if one.handle == handle and not one.is_this]
    if not chosen:
        raise NotFoundError("Cette session n’existe pas ou plus.")
    return _end_here_and_there(chosen)


def end_others(*, by: User) -> tuple[int, bool]:
    """End all of the user's sessions but this one. Returns how many, and whether the provider could be told."""
    others = [one for one in own_sessions(by) if not one.is_this]
    return len(others), _end_here_and_there(others)


def end_by_provider(logout: provider.Logout) -> int:
    """End what a logout token names: the sessions of one sign-in at the provider, or all of the subject's.

    Returns how many. Raises LogoutRefusedError for a token that was used before; it counts as used once its work is
    done, so that what was cut off can be sent again.
    """
    used = f"logout-token:{crypto.blind_index(f'{logout.issuer}|{logout.token_id}', purpose='logout-token').hex()}"
    if tokens.redis().exists(used):
        raise provider.LogoutRefusedError("the token was used before")
    kind, word = ("sid", logout.sid) if logout.sid else ("subject", logout.subject or "")
    origin = kind, logout.issuer, word
    if logout.sid:
        register.close(origin)
    ended = sum(_end(sid) for sid in register.find(origin))
    tokens.redis().set(used, 1, ex=logout.life)
    return ended


def _end_here_and_there(sessions: Iterable[OwnSession]) -> bool:
    """The provider first: a browser whose session there lives on would be signed in again without a question."""
    is_told = True
    for one in sessions:
        kept = tokens.read(one.sid)
        is_told = is_told and _tell_provider(kept.refresh_token if kept else None)
        _end(one.sid)
    return is_told


def _tell_provider(refresh_token: str | None) -> bool:
    try:
        if refresh_token:
            provider.end_session(refresh_token)
    except UnavailableError:
        return False
    return True


def _end(sid: str) -> bool:
    """Do away with a session, on whatever host it is used. Returns whether there was one."""
    content = interface().read(sid) or {}
    is_there = bool(tokens.redis().delete(PREFIX + sid))
    tokens.forget(sid)
    register.leave(sid, content.get("found_in", []))
    return is_there


def _ids_of(user: User) -> set[str]:
    return register.find(("subject", user.issuer, user.subject)) if user.issuer and user.subject else set()


def _is_of(user: User, content: dict[str, Any] | None) -> bool:
    return content is not None and content.get("user_id") == str(user.id)


def _own(user: User, sid: str, content: dict[str, Any] | None, this: str) -> OwnSession:
    content, kept = content or {}, tokens.read(sid)
    return OwnSession(
        sid=sid,
        handle=crypto.blind_index(sid, purpose=f"own-session|{user.id}").hex(),
        device=content.get("device", UNKNOWN),
        address=content.get("address", ""),
        began_at=_instant(content.get("began_at")),
        used_at=_instant(kept.renewed_at if kept else None),
        is_this=sid == this,
    )


def _instant(seconds: float | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None
