"""Sessions in Redis: sealed, without pickle, and never brought back once they have ended."""

from datetime import timedelta
from typing import Any

import msgspec
import structlog
from flask import Flask, Request, current_app
from flask_session.redis import RedisSessionInterface
from flask_session.redis.redis import RedisSession
from redis import Redis, RedisError

from webapp import crypto

log = structlog.get_logger()

PREFIX = "session:"


class StoredSession(RedisSession):  # type: ignore[misc]
    """A session that knows whether Redis has it: one that was there and is gone has ended, and stays so."""

    is_stored = False


class UnreachableSession(StoredSession):
    """Stands in while Redis is away: nobody is known to be signed in, nobody is signed out."""


class SessionInterface(RedisSessionInterface):  # type: ignore[misc]
    """Flask-Session's, sealed, without its fallback to pickle, and without a crash when Redis is away.

    A session is sealed for its own key: whoever writes one into Redis, or copies one to another key, signs nobody in.
    """

    session_class = StoredSession

    def __init__(self, app: Flask, client: Redis) -> None:
        super().__init__(app, client=client, key_prefix=PREFIX, sid_length=32, serialization_format="msgpack")
        # Pickle would be code execution for whoever can write to Redis.
        self.serializer.decode = self.serializer.decoder.decode

    def read(self, sid: str) -> dict[str, Any] | None:
        """What the session of that id holds; None where there is none that we sealed for it."""
        try:
            return self._retrieve_session_data(PREFIX + sid)
        except msgspec.DecodeError:
            return None

    def store(self, session: StoredSession) -> None:
        """Write a session now, and not at the end of the request."""
        self._upsert_session(self.app.permanent_session_lifetime, session, PREFIX + session.sid)

    def begin_anew(self, session: StoredSession) -> None:
        """Empty the session and give it a new id: whatever writes the old one from now on brings nothing back."""
        self._delete_session(PREFIX + session.sid)
        session.clear()
        session.sid, session.is_stored = self._generate_sid(self.sid_length), False

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

    def _upsert_session(self, session_lifetime: timedelta, session: StoredSession, store_id: str) -> None:
        """A session that was read from Redis and has ended meanwhile is not written back by a slow request."""
        sealed = crypto.keyring().encrypt(self.serializer.encode(session), place=store_id)
        self.client.set(store_id, sealed, ex=session_lifetime, xx=session.is_stored)
        session.is_stored = True

    def open_session(self, app: Flask, request: Request) -> StoredSession:
        try:
            session: StoredSession = super().open_session(app, request)
        except msgspec.DecodeError:
            return self.session_class(sid=self._generate_sid(self.sid_length), permanent=self.permanent)
        except RedisError:
            log.exception("sessions_unreachable")
            return UnreachableSession(sid="")
        session.is_stored = session.sid == request.cookies.get(app.config["SESSION_COOKIE_NAME"])
        return session

    def save_session(self, app: Flask, session: StoredSession, response: Any) -> None:
        if not isinstance(session, UnreachableSession):
            super().save_session(app, session, response)


def interface() -> SessionInterface:
    """The application's."""
    found = current_app.session_interface
    assert isinstance(found, SessionInterface)  # noqa: S101  # sessions.init_app set it
    return found
