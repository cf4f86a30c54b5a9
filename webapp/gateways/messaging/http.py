"""What the providers that are spoken to by HTTP have in common: how long one waits, and who knows what afterwards."""

from collections.abc import Callable, Mapping, Sequence

import httpx

from webapp.gateways.connecting import NOT_SENT, certificates
from webapp.gateways.messaging.protocol import UNREACHABLE, Field, Outcome, RefusalKind, Refused, Unknown

CONNECTING = 5.0
ANSWERING = 30.0
"""Seconds."""


def new_client(url: str = "", *, patience: float = ANSWERING) -> httpx.Client:
    """Where redirections are not followed: a message would be sent twice, or to somebody else."""
    return httpx.Client(
        base_url=url,
        timeout=httpx.Timeout(patience, connect=min(patience, CONNECTING)),
        trust_env=False,
        follow_redirects=False,
        verify=certificates(),
    )


def asking(ask: Callable[[], Outcome]) -> Outcome:
    """The outcome of a request, also where it broke off: one that has begun may have arrived."""
    try:
        return ask()
    except NOT_SENT as error:
        return Refused(RefusalKind.LATER, UNREACHABLE, words_of(error))
    except httpx.HTTPError as error:
        return Unknown(words_of(error))


def keys_of(credentials: Mapping[str, str], fields: Sequence[Field]) -> dict[str, str]:
    """The keys that a provider asks for, without the spaces that copying brings along."""
    return {each.name: credentials.get(each.name, "").strip() for each in fields}


def are_usable(keys: Mapping[str, str]) -> bool:
    """Whether the keys can travel in a header; httpx would tell one that cannot in its error."""
    return all(key and key.isascii() and key.isprintable() for key in keys.values())


UNUSABLE = Refused(RefusalKind.ACCOUNT, "settings", "a key is missing, or is none")
UNUSABLE_SENTENCE = "Une clé manque, ou contient des caractères qu’aucune clé ne contient."


def words_of(error: Exception) -> str:
    """An error, for people; none of these carry what was sent."""
    return f"{type(error).__name__}: {error}"[:300]
