"""The browser's session: who is signed in, and the tokens that prove it, refreshed while the provider agrees.

The session (``store``) names the user. The tokens lie beside it (``tokens``); ``tokens_checked_until`` in the session
spares most requests that second read. ``register`` finds a person's sessions, ``others`` ends those elsewhere.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import structlog.contextvars
from flask import Flask, request, session
from flask.sessions import SessionMixin
from redis import Redis
from redis.exceptions import LockError

from webapp import clock, kept_forms, tenancy
from webapp.errors import DomainError, UnavailableError
from webapp.gateways import identity as provider
from webapp.models.identity import User
from webapp.services import identity
from webapp.sessions import devices, register, tokens
from webapp.sessions.store import SessionInterface, StoredSession, UnreachableSession, interface
from webapp.sessions.tokens import Kept

NEAR_END = timedelta(seconds=60)
"""A token with less life left than this is refreshed before it is passed on."""
LOCK_SECONDS = 20


def init_app(app: Flask, redis: Redis) -> None:
    """Keep sessions in Redis."""
    app.session_interface = SessionInterface(app, redis)


def require_reachable() -> None:
    """Raise UnavailableError while sessions cannot be read."""
    if isinstance(_current(), UnreachableSession):
        raise UnavailableError("Le CRM ne peut pas vérifier votre session pour le moment. Réessayez dans un instant.")


def begin(user: User, handed_out: provider.Tokens, person: provider.Identity, *, at: datetime) -> None:
    """Sign the user in, under a new session id: one that was planted before the sign-in is worth nothing.

    Raises SessionEndedError where the provider has ended its own session while this one began. Both sides write first
    and look then: either the sign-out finds this session, or this session finds the sign-out.
    """
    end()
    session["user_id"] = str(user.id)
    session["organisation_id"] = str(user.organisation_id)
    session["csrf_token"] = kept_forms.csrf_secret(user.id)
    session["began_at"] = at.timestamp()
    session["device"] = devices.describe(request.user_agent.string)
    session["address"] = devices.shorten(request.remote_addr)
    keep_tokens(session, handed_out, at=at)
    interface().store(_current())
    _enter(person)
    if any(register.is_closed(origin) for origin in _origins(person)):
        end()
        raise provider.SessionEndedError("Votre session a pris fin. Connectez-vous de nouveau.")


def keep_tokens(of: SessionMixin, handed_out: provider.Tokens, *, at: datetime, renewed: bool = False) -> Kept:
    """Keep the tokens of a session; see ``tokens.keep``."""
    kept = tokens.keep(of.sid, handed_out, at=at, renewed=renewed)  # type: ignore[attr-defined]
    of["tokens_checked_until"] = kept.expires_at
    return kept


def end() -> str | None:
    """Forget the session and its tokens. Returns the ID token, with which the provider is told."""
    ended = _current()
    sid, found_in, kept = ended.sid, ended.get("found_in", []), tokens.read(ended.sid)
    interface().begin_anew(ended)
    tokens.forget(sid)
    register.leave(sid, found_in)
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
    """Whether the session may go on: its token lives or was renewed.

    Raises UnavailableError while the provider does not answer: nobody is signed out by that, and nobody goes on with
    rights that may have been taken away.
    """
    try:
        _renewed(beyond=at)
    except UnavailableError:
        raise
    except DomainError:
        return False
    return True


def _renewed(*, beyond: datetime) -> Kept:
    """The session's tokens, refreshed unless they live beyond that instant.

    Under a lock per session: of the requests that a page sends at once, one refreshes and the others read what it
    got. A provider may take a second use of one refresh token for theft.
    """
    kept = tokens.read(_current().sid)
    if kept is None or not kept.lives_at(beyond):
        with _alone():
            kept = tokens.read(_current().sid)
            if kept is None or kept.refresh_token is None:
                raise provider.SessionEndedError("Votre session a pris fin. Connectez-vous de nouveau.")
            if not kept.lives_at(beyond):
                kept = _refresh(kept.refresh_token, kept.id_token)
    session["tokens_checked_until"] = kept.expires_at
    return kept


def _refresh(refresh_token: str, id_token: str | None) -> Kept:
    at = clock.now()
    handed_out, person = provider.refresh(refresh_token)
    identity.renew(UUID(session["user_id"]), person, at=at)
    handed_out = replace(handed_out, id_token=handed_out.id_token or id_token)
    kept = keep_tokens(session, handed_out, at=at, renewed=True)
    _enter(person)
    return kept


def _enter(person: provider.Identity) -> None:
    session["found_in"] = register.enter(_current().sid, _origins(person))


def _origins(person: provider.Identity) -> list[register.Origin]:
    return register.origins(person.issuer, person.subject, person.sid)


@contextmanager
def _alone() -> Iterator[None]:
    lock = tokens.redis().lock(
        f"lock:{tokens.key_of(_current().sid)}", timeout=LOCK_SECONDS, blocking_timeout=LOCK_SECONDS
    )
    try:
        with lock:
            yield
    except LockError as error:
        raise UnavailableError("Le service de connexion tarde à répondre. Réessayez dans quelques instants.") from error


def _current() -> StoredSession:
    """The session of this request itself, not Flask's stand-in for it."""
    current: StoredSession = session._get_current_object()  # type: ignore[attr-defined]
    return current
