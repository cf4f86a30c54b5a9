"""Which sessions a person has, and which came out of one session at the identity provider: sets of ids in Redis.

The sets are named by keyed fingerprints, so that Redis tells of no subject. A session enters them at the sign-in and
again with each refresh, which keeps them alive as long as itself. The id of a session that ran out stays until somebody
looks: it opens nothing.
"""

from collections.abc import Iterable
from datetime import timedelta

from flask import current_app

from webapp import crypto
from webapp.sessions.tokens import redis

SPARE = timedelta(hours=1)
"""How much longer the sets live than a session that is not used any more."""
Origin = tuple[str, str, str]
"""What a set is of: « subject » or « sid », the issuer, and the issuer's word for it."""


def origins(issuer: str, subject: str, sid: str | None) -> list[Origin]:
    """Where a session of that person is found: by the person, and by the provider's session, if it has a name."""
    of_the_provider = [("sid", issuer, sid)] if sid else []
    return [("subject", issuer, subject), *of_the_provider]


def enter(session_id: str, found_by: Iterable[Origin]) -> list[str]:
    """Note a session. Returns the sets that it stands in now, for ``leave``."""
    sets = [_names(origin)[0] for origin in found_by]
    with redis().pipeline() as pipe:
        for name in sets:
            pipe.sadd(name, session_id)
            pipe.expire(name, _lifetime())
        pipe.execute()
    return sets


def leave(session_id: str, sets: Iterable[str]) -> None:
    """Strike a session out."""
    with redis().pipeline() as pipe:
        for name in sets:
            pipe.srem(name, session_id)
        pipe.execute()


def find(origin: Origin) -> set[str]:
    """The ids of all sessions of that origin, and of some that have ended."""
    found = redis().sunion(_names(origin))
    return {session_id.decode() for session_id in found}  # type: ignore[union-attr]


def close(origin: Origin) -> None:
    """Let no session of that origin begin any more: its sign-in may be under way while the provider ends it."""
    redis().set(_closed(_names(origin)[0]), 1, ex=_lifetime())


def is_closed(origin: Origin) -> bool:
    """Whether the provider has ended it already."""
    return bool(redis().exists(*[_closed(name) for name in _names(origin)]))


def _names(origin: Origin) -> list[str]:
    """The names of a set under every data key, the newest first: keys change while people are signed in."""
    kind, issuer, word = origin
    prints = crypto.blind_indexes(f"{issuer}|{word}", purpose=f"sessions|{kind}")
    return [f"sessions:{kind}:{fingerprint.hex()}" for fingerprint in prints]


def _closed(name: str) -> str:
    return f"closed:{name}"


def _lifetime() -> timedelta:
    return current_app.permanent_session_lifetime + SPARE
