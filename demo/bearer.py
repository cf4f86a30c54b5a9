"""Checks bearer tokens against the identity provider's published keys, as the real WinLeadPlus does."""

import threading
import time
from typing import Any, Final

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

AUDIENCE: Final = "winleadplus"
CLOCK_TOLERANCE_SECONDS: Final = 15
REFETCH_AFTER_SECONDS: Final = 5  # an unknown key id may cause a fetch, but not one per request


class BadTokenError(Exception):
    """The token is missing, forged, stale, of the wrong kind or from another issuer."""


class WrongAudienceError(Exception):
    """The token is genuine and was not made for WinLeadPlus."""


class ProviderUnreachableError(Exception):
    """The keys could not be fetched: nothing can be said about the token."""


class TokenChecker:
    """Knows one issuer. Its keys are fetched at the first token, and again when an unknown key id turns up."""

    def __init__(self, issuer: str | None) -> None:
        self._issuer = issuer.rstrip("/") if issuer else None
        self._keys: KeySet | None = None
        self._fetched_at = 0.0
        self._lock = threading.Lock()

    def check(self, authorization: str | None) -> dict[str, Any]:
        """The token's claims. Raises one of this module's errors; without an issuer every token is bad."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise BadTokenError("no bearer token")
        if self._issuer is None:
            raise BadTokenError("OIDC_ISSUER is not set: no token can be trusted")
        claims = self._verified_claims(token.strip())
        audience = claims.get("aud")
        if AUDIENCE not in (audience if isinstance(audience, list) else [audience]):
            raise WrongAudienceError("the token was not issued for winleadplus")
        return claims

    def _verified_claims(self, token: str) -> dict[str, Any]:
        try:
            claims = self._decode(token)
        except (JoseError, ValueError) as error:
            raise BadTokenError(type(error).__name__) from error
        if claims.get("iss") != self._issuer:
            raise BadTokenError("issued by somebody else")
        if not isinstance(claims.get("exp"), int) or claims["exp"] + CLOCK_TOLERANCE_SECONDS < time.time():
            raise BadTokenError("expired")
        # Keycloak tells its kinds of token apart by this claim: an ID token opens no API.
        if claims.get("typ", "Bearer") != "Bearer":
            raise BadTokenError("not an access token")
        return claims

    def _decode(self, token: str) -> dict[str, Any]:
        try:
            return jwt.decode(token, self._current_keys(), algorithms=["RS256"]).claims
        except (JoseError, ValueError):
            if not self._refetch():
                raise
        return jwt.decode(token, self._current_keys(), algorithms=["RS256"]).claims

    def _current_keys(self) -> KeySet:
        with self._lock:
            if self._keys is None:
                self._keys = self._fetch()
            return self._keys

    def _refetch(self) -> bool:
        """Fetch the keys anew, unless that was done a moment ago. Tells whether it did."""
        with self._lock:
            if time.monotonic() - self._fetched_at < REFETCH_AFTER_SECONDS:
                return False
            self._keys = self._fetch()
            return True

    def _fetch(self) -> KeySet:
        try:
            with httpx.Client(timeout=5, trust_env=False) as http:
                found = http.get(f"{self._issuer}/.well-known/openid-configuration").raise_for_status()
                keys = http.get(found.json()["jwks_uri"]).raise_for_status()
                key_set = KeySet.import_key_set(keys.json())
        except (httpx.HTTPError, JoseError, ValueError, KeyError) as error:
            raise ProviderUnreachableError(str(error)) from error
        self._fetched_at = time.monotonic()
        return key_set
