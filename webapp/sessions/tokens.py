"""The tokens that prove a session, beside it in Redis: one encrypted value under a key of its own.

A request which saves an older copy of the session cannot bring back tokens that another has refreshed meanwhile.
"""

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from flask import current_app
from redis import Redis

from webapp import crypto
from webapp.gateways import identity as provider

PREFIX = "tokens:"


@dataclass(frozen=True)
class Kept:
    """The tokens of a session as they are kept. Instants are seconds since 1970, ``expires_at`` the access token's."""

    access_token: str
    refresh_token: str | None
    id_token: str | None
    expires_at: float
    renewed_at: float = 0.0

    def lives_at(self, at: datetime) -> bool:
        """Whether the access token still counts then."""
        return at.timestamp() < self.expires_at


def keep(sid: str, tokens: provider.Tokens, *, at: datetime, renewed: bool = False) -> Kept:
    """Keep the tokens of a session, as long as the session itself.

    ``renewed`` ones take the place of others. Raises SessionEndedError where those are gone: the session has ended
    meanwhile.
    """
    kept = Kept(
        access_token=tokens.access_token,
        refresh_token=tokens.refresh_token,
        id_token=tokens.id_token,
        expires_at=(at + timedelta(seconds=tokens.expires_in)).timestamp(),
        renewed_at=at.timestamp(),
    )
    sealed = crypto.seal(json.dumps(asdict(kept)), place=key_of(sid))
    if not redis().set(key_of(sid), sealed, ex=current_app.permanent_session_lifetime, xx=renewed):
        raise provider.SessionEndedError("Votre session a pris fin. Connectez-vous de nouveau.")
    return kept


def read(sid: str) -> Kept | None:
    """The tokens of a session; None where there are none, or the key that sealed them is gone."""
    sealed = redis().get(key_of(sid))
    if not isinstance(sealed, bytes):
        return None
    try:
        return Kept(**json.loads(crypto.unseal(sealed, place=key_of(sid))))
    except (crypto.DecryptionError, TypeError, ValueError):
        return None


def forget(sid: str) -> None:
    """Do away with the tokens of a session."""
    redis().delete(key_of(sid))


def key_of(sid: str) -> str:
    return f"{PREFIX}{sid}"


def redis() -> Redis:
    """The Redis of all sessions."""
    found: Redis = current_app.config["SESSION_REDIS"]
    return found
