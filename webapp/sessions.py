"""The browser's session: who is signed in, and the tokens that prove it, refreshed while the provider agrees.

The session (Flask-Session on Redis) names the user. The tokens lie beside it under a key of their own, as one
encrypted value, so that a request which saves an older copy of the session cannot bring back tokens that another
has refreshed meanwhile. ``tokens_checked_until`` in the session spares most requests that second read.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import structlog
from flask import Flask, Request, current_app, session
from flask.sessions import SessionMixin
from flask_session.redis import RedisSessionInterface
from flask_session.redis.redis import RedisSession
from redis import Redis, RedisError
from redis.exceptions import LockError

from webapp import clock, crypto, kept_forms, tenancy
from webapp.errors import DomainError, UnavailableError
from webapp.gateways import identity as provider
from webapp.models.identity import User
from webapp.services import identity

log = structlog.get_logger()

GRACE = timedelta(minutes=30)
"""How long an access token that could not be renewed, the provider being down, goes on counting."""
RETRY_PAUSE = timedelta(seconds=30)
"""How long to leave a provider alone that did not answer."""
NEAR_END = timedelta(seconds=60)
"""A token with less life left than this is refreshed before it is passed on."""
LOCK_SECONDS = 20


@dataclass(frozen=True)
class _Kept:
    """The tokens of a session as they are kept. ``expires_at``: when the access token does, in seconds since 1970."""

    access_token: str
    refresh_token: str | None
    id_token: str | None
    expires_at: float

    def lives_at(self, at: datetime) -> bool:
        return at.timestamp() < self.expires_at


class SessionInterface(RedisSessionInterface):  # type: ignore[misc]
    """Flask-Session's, sealed, without its fallback to pickle, and without a crash when Redis is away.

    A session is sealed for its own key: whoever writes one into Redis, or copies one to another key, signs nobody in.
    """

    def __init__(self, app: Flask, client: Redis) -> None:
        super().__init__(app, client=client, key_prefix="session:", sid_length=32, serialization_format="msgpack")
        # Pickle would be code execution for whoever can write to Redis.
        self.serializer.decode = self.serializer.decoder.decode

    def _retrieve_session_data(self, store_id: str) -> dict[str, Any] | None:
        sealed = self.client.get(store_id)
        if not isinstance(sealed, bytes):
            return None
        try:
            content = crypto.keyring().decrypt(sealed, place=store_id)
        except crypto.DecryptionError:
            log.warning("session_refused")
            return None
        data: dict[str, Any] = self.serializer.decode(content)
        return data

    def _upsert_session(self, session_lifetime: timedelta, session: RedisSession, store_id: str) -> None:
        sealed = crypto.keyring().encrypt(self.serializer.encode(session), place=store_id)
        self.client.set(store_id, sealed, ex=session_lifetime)

    def open_session(self, app: Flask, request: Request) -> RedisSession:
        try:
            return super().open_session(app, request)
        except msgspec.DecodeError:
            return self.session_class(sid=self._generate_sid(self.sid_length), permanent=self.permanent)
        except RedisError:
            log.exception("sessions_unreachable")
            return _UnreachableSession(sid="")

    def save_session(self, app: Flask, session: RedisSession, response: Any) -> None:
        if not isinstance(session, _UnreachableSession):
            super().save_session(app, session, response)


class _UnreachableSession(RedisSession):  # type: ignore[misc]
    """Stands in while Redis is away: nobody is known to be signed in, nobody is signed out."""


def init_app(app: Flask, redis: Redis) -> None:
    """Keep sessions in Redis."""
    app.session_interface = SessionInterface(app, redis)


def require_reachable() -> None:
    """Raise UnavailableError while sessions cannot be read."""
    if isinstance(session._get_current_object(), _UnreachableSession):  # type: ignore[attr-defined]
        raise UnavailableError("Le CRM ne peut pas vérifier votre session pour le moment. Réessayez dans un instant.")


def begin(user: User, tokens: provider.Tokens, *, at: datetime) -> None:
    """Sign the user in, under a new session id: one that was planted before the sign-in is worth nothing."""
    end()
    session["user_id"] = str(user.id)
    session["organisation_id"] = str(user.organisation_id)
    session["csrf_token"] = kept_forms.csrf_secret(user.id)
    current_app.session_interface.regenerate(session)  # type: ignore[attr-defined]
    keep_tokens(session, tokens, at=at)


def keep_tokens(of: SessionMixin, tokens: provider.Tokens, *, at: datetime) -> _Kept:
    """Keep the tokens of a session, encrypted, as long as the session itself."""
    kept = _Kept(
        access_token=tokens.access_token,
        refresh_token=tokens.refresh_token,
        id_token=tokens.id_token,
        expires_at=(at + timedelta(seconds=tokens.expires_in)).timestamp(),
    )
    key = _key(of)
    sealed = crypto.seal(json.dumps(asdict(kept)), place=key)
    _redis().set(key, sealed, ex=current_app.permanent_session_lifetime)
    of["tokens_checked_until"] = kept.expires_at
    return kept


def end() -> str | None:
    """Forget the session and its tokens. Returns the ID token, with which the provider is told."""
    kept = _read_kept()
    _redis().delete(_key(session))
    session.clear()
    return kept.id_token if kept else None


def signed_in_user() -> User | None:
    """The user of this session, whose organisation then is the current one; None where nobody is signed in.

    Renews tokens that have run out. Costs one query and, tokens apart, no call.
    """
    try:
        user_id, organisation_id = UUID(session["user_id"]), UUID(session["organisation_id"])
    except (KeyError, ValueError, TypeError):
        return None
    tenancy.enter_organisation(organisation_id)
    structlog.contextvars.bind_contextvars(user_id=str(user_id), organisation_id=str(organisation_id))
    at = clock.now()
    if at.timestamp() >= session.get("tokens_checked_until", 0) and not _still_welcome(at):
        end()
        return None
    return identity.find_user(user_id)


def fresh_access_token() -> str:
    """The user's access token with at least a minute to live, to be passed on to WinLeadPlus.

    Raises SessionEndedError where the provider ended the session, UnavailableError where it does not answer.
    """
    return _renewed(beyond=clock.now() + NEAR_END).access_token


def _still_welcome(at: datetime) -> bool:
    """Whether the session may go on: its token lives or was renewed, or the provider is away for a short time."""
    try:
        _renewed(beyond=at)
    except UnavailableError:
        kept = _read_kept()
        if kept is None or not kept.lives_at(at - GRACE):
            raise
        session["tokens_checked_until"] = (at + RETRY_PAUSE).timestamp()
    except DomainError:
        return False
    return True


def _renewed(*, beyond: datetime) -> _Kept:
    """The session's tokens, refreshed unless they live beyond that instant.

    Under a lock per session: of the requests that a page sends at once, one refreshes and the others read what it
    got. A provider may take a second use of one refresh token for theft.
    """
    kept = _read_kept()
    if kept is None or not kept.lives_at(beyond):
        with _alone():
            kept = _read_kept()
            if kept is None or kept.refresh_token is None:
                raise provider.SessionEndedError("Votre session a pris fin. Connectez-vous de nouveau.")
            if not kept.lives_at(beyond):
                kept = _refresh(kept.refresh_token, kept.id_token)
    session["tokens_checked_until"] = kept.expires_at
    return kept


def _refresh(refresh_token: str, id_token: str | None) -> _Kept:
    at = clock.now()
    tokens, person = provider.refresh(refresh_token)
    identity.renew(UUID(session["user_id"]), person, at=at)
    return keep_tokens(session, replace(tokens, id_token=tokens.id_token or id_token), at=at)


@contextmanager
def _alone() -> Iterator[None]:
    lock = _redis().lock(f"lock:{_key(session)}", timeout=LOCK_SECONDS, blocking_timeout=LOCK_SECONDS)
    try:
        with lock:
            yield
    except LockError as error:
        raise UnavailableError("Le service de connexion tarde à répondre. Réessayez dans quelques instants.") from error


def _read_kept() -> _Kept | None:
    key = _key(session)
    sealed = _redis().get(key)
    if not isinstance(sealed, bytes):
        return None
    try:
        return _Kept(**json.loads(crypto.unseal(sealed, place=key)))
    except (crypto.DecryptionError, TypeError, ValueError):
        return None  # sealed with a key that is gone: the person signs in again


def _key(of: SessionMixin) -> str:
    return f"tokens:{of.sid}"  # type: ignore[attr-defined]


def _redis() -> Redis:
    redis: Redis = current_app.config["SESSION_REDIS"]
    return redis
