"""The identity provider (OpenID Connect: Keycloak, or the pretend one): sign-in, refresh, sign-out, service token.

What a person may do comes from the access token, verified against the provider's keys; who they are comes from
the ID token. Tokens live by the provider's clock, so their age is measured on the wall clock and is not moved by
CRM_NOW.
"""

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

import httpx2
import structlog
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidClaimError, InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from webapp.config import Settings
from webapp.errors import DomainError, ForbiddenError, UnavailableError
from webapp.gateways.connecting import certificates

log = structlog.get_logger()

SCOPE = "openid profile email"
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
TIMEOUT = httpx2.Timeout(5.0, connect=3.0)
CLOCK_SKEW = 30
"""Seconds by which our clock and the provider's may differ."""
METADATA_LIFE = 3600.0
"""Seconds after which the provider's addresses are asked for again."""
KEYS_LIFE = 240.0
"""Seconds after which keys are asked for again, so that a withdrawn one is not trusted for five minutes."""
UNKNOWN_KEY_PAUSE = 5.0
"""Seconds between two fetches of keys for an unknown key id, so that forged tokens do not become traffic."""
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
LOGOUT_TOKEN_LIFE = 300
"""Seconds after its making for which a logout token is taken."""
LONGEST_LOGOUT_TOKEN = 8192
LOGOUT_TOKEN_TYPES = ("", "jwt", "logout+jwt", "application/logout+jwt")
"""The ``typ`` that a logout token's head may have, in lower case: Keycloak says what it says of all its tokens."""
OUTAGE_PAUSE = 10.0
"""Seconds for which a provider that did not answer is asked for no refresh."""
OUTAGE = "Le service de connexion ne répond pas pour le moment. Réessayez dans quelques instants."
NO_CONTENT = 204
SERVICE_TOKEN_MARGIN = 60.0
"""Seconds before its end from which a service token is no longer handed out."""

_REGISTRY = JWSRegistry(algorithms=["RS256"], strict_check_header=False)
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


class SignInError(DomainError):
    """The provider's answer cannot be trusted or used; signing in again may help."""

    status = 400


class SessionEndedError(DomainError):
    """The provider no longer lets this session go on: signed out elsewhere, expired, or the account was closed."""

    status = 401


class LogoutRefusedError(DomainError):
    """A logout token does not hold. Said to the provider, not to a person: the message says why, in English."""

    status = 400


@dataclass(frozen=True)
class Tokens:
    """What the provider handed out. ``expires_in`` is the access token's life in seconds from now."""

    access_token: str
    refresh_token: str | None
    id_token: str | None
    expires_in: int


@dataclass(frozen=True)
class Identity:
    """Who a token speaks of. ``email`` is in lower case; ``roles`` are all that the token names, known or not.

    ``sid`` is the provider's name for the session that the token came from, where it gives one.
    """

    issuer: str
    subject: str
    email: str | None
    email_verified: bool
    first_name: str
    last_name: str
    roles: frozenset[str]
    organisation: str | None
    sid: str | None = None


@dataclass(frozen=True)
class Logout:
    """What a logout token asks for: the end of the provider's session ``sid``, or of all sessions of ``subject``.

    One of the two is there. ``life`` is for how many seconds more the token would be taken.
    """

    issuer: str
    subject: str | None
    sid: str | None
    token_id: str
    life: int


def use(settings: Settings) -> None:
    """Set the process's provider, once, at start-up. Connects to nothing."""
    global _provider
    _provider = _Provider(settings)


def authorization_address(*, redirect_uri: str, state: str, nonce: str, verifier: str, anew: bool = False) -> str:
    """Where to send the browser to sign in (authorization code with PKCE S256). Raises UnavailableError.

    ``anew`` asks for the password even of somebody whom the provider knows, so that they may be somebody else.
    """
    provider = _current()
    provider.require_up()
    prompt = {"prompt": "login"} if anew else {}
    with provider.client() as client:
        address, _state = client.create_authorization_url(
            provider.metadata()["authorization_endpoint"],
            redirect_uri=redirect_uri,
            state=state,
            nonce=nonce,
            code_verifier=verifier,
            **prompt,
        )
    return str(address)


def redeem(code: str, *, redirect_uri: str, nonce: str, verifier: str) -> tuple[Tokens, Identity]:
    """Exchange the code for tokens, and verify them. Raises SignInError or UnavailableError."""
    provider = _current()
    with _refusals(SignInError("La connexion n’a pas abouti : la demande a expiré ou a déjà servi.")):
        tokens = provider.fetch(
            grant_type="authorization_code", code=code, redirect_uri=redirect_uri, code_verifier=verifier
        )
        person = provider.verified_id_token(tokens, nonce=nonce)
        rights = provider.verified_access_token(tokens.access_token)
        _refuse_disagreement(person, rights)
        return _shorter_lived(tokens, rights), provider.identity_of({**rights, **person}, rights)


def refresh(refresh_token: str) -> tuple[Tokens, Identity]:
    """Fresh tokens, and what the access token now says. Raises SessionEndedError or UnavailableError.

    The new tokens carry the old refresh token where the provider sent no new one.
    """
    provider = _current()
    with _refusals(SessionEndedError("Votre session a pris fin. Connectez-vous de nouveau.")):
        tokens = provider.refresh(refresh_token)
        rights = provider.verified_access_token(tokens.access_token)
        return _shorter_lived(tokens, rights), provider.identity_of(rights, rights)


def sign_out_address(*, id_token: str | None, back_to: str) -> str | None:
    """Where the browser ends the session at the provider; None where the provider offers no such place.

    Raises UnavailableError.
    """
    provider = _current()
    endpoint = provider.metadata().get("end_session_endpoint")
    if not endpoint:
        return None
    query = {"client_id": provider.settings.oidc_client_id, "post_logout_redirect_uri": back_to}
    if id_token:
        query["id_token_hint"] = id_token
    return f"{endpoint}?{urlencode(query)}"


def end_session(refresh_token: str) -> None:
    """End the provider's session that the token came from, without a browser. Raises UnavailableError.

    Keycloak's own way ends it for every application, as signing out does; other providers revoke the token (RFC 7009).
    """
    _current().end_session(refresh_token)


def read_logout(token: str) -> Logout:
    """What a logout token says, checked as OpenID Connect Back-Channel Logout 1.0, 2.6 asks.

    Whether it was used before is not known here. Raises LogoutRefusedError, and UnavailableError where the provider's
    keys cannot be had.
    """
    return _current().read_logout(token)


def service_token() -> str:
    """An access token of the service account that reads WinLeadPlus, kept until shortly before its end.

    Raises ForbiddenError where the provider refuses the account, UnavailableError where it does not answer.
    """
    return _current().service_token()


class _Provider:
    """The provider as this process knows it: its addresses, its keys, and the service account's token."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._metadata = _Cached(self._discover)
        self._keys = _Cached(self._fetch_keys, outlives_outages=False)
        self._service_token = ""
        self._service_token_until = 0.0
        self._rests_until = 0.0
        self._lock = threading.Lock()

    def client(self, *, as_service: bool = False) -> OAuth2Client:
        """An Authlib client, ours or the service account's; each call has its own, since it remembers tokens."""
        ours = self.settings.oidc_client_id, self.settings.oidc_client_secret
        services = self.settings.winleadplus_client_id, self.settings.winleadplus_client_secret
        client_id, client_secret = services if as_service else ours
        return OAuth2Client(
            client_id=client_id,
            client_secret=client_secret,
            scope=None if as_service else SCOPE,
            code_challenge_method="S256",
            timeout=TIMEOUT,
            verify=certificates(),
        )

    def metadata(self) -> Mapping[str, Any]:
        """The provider's discovery document."""
        document: Mapping[str, Any] = self._metadata.get(max_age=METADATA_LIFE)
        return document

    def fetch(self, *, as_service: bool = False, **grant: str) -> Tokens:
        """Ask the token endpoint for a grant. Raises OAuthError where it refuses."""
        with _outages(), self.client(as_service=as_service) as client:
            answer = client.fetch_token(self.metadata()["token_endpoint"], **grant)
            return Tokens(
                access_token=str(answer["access_token"]),
                refresh_token=answer.get("refresh_token") or grant.get("refresh_token"),
                id_token=answer.get("id_token"),
                expires_in=int(answer.get("expires_in") or 60),
            )

    def refresh(self, refresh_token: str) -> Tokens:
        """As ``fetch``; a provider that did not answer is left alone for a moment, and is down meanwhile.

        Otherwise every request of every session would wait for a time-out of its own.
        """
        with self._rested():
            return self.fetch(grant_type="refresh_token", refresh_token=refresh_token)

    def require_up(self) -> None:
        """Raise UnavailableError while it does not answer: a browser sent there would show an error page of its own."""
        with self._rested(), _outages():
            self._discover()

    @contextmanager
    def _rested(self) -> Iterator[None]:
        if time.monotonic() < self._rests_until:
            raise UnavailableError(OUTAGE)
        try:
            yield
        except UnavailableError:
            self._rests_until = time.monotonic() + OUTAGE_PAUSE
            raise

    def verified_id_token(self, tokens: Tokens, *, nonce: str) -> dict[str, Any]:
        """The ID token's claims. Raises JoseError on any that does not hold."""
        token = self._decode(tokens.id_token or "")
        claims = CodeIDToken(
            token.claims,
            token.header,
            options={
                "iss": {"essential": True, "value": self.metadata()["issuer"]},
                "aud": {"essential": True, "value": self.settings.oidc_client_id},
                "nonce": {"essential": True, "value": nonce},
                "typ": {"values": ["ID"]},
            },
            params={"client_id": self.settings.oidc_client_id, "access_token": tokens.access_token},
        )
        claims.validate(leeway=CLOCK_SKEW)
        return dict(claims)

    def verified_access_token(self, access_token: str) -> dict[str, Any]:
        """The access token's claims. Raises JoseError on any that does not hold.

        By default Keycloak names the client as ``azp`` and does not put it into ``aud``: either will do.
        """
        claims = self._decode(access_token).claims
        jwt.JWTClaimsRegistry(
            leeway=CLOCK_SKEW,
            iss={"essential": True, "value": self.metadata()["issuer"]},
            exp={"essential": True},
            sub={"essential": True},
            typ={"values": ["Bearer"]},
        ).validate(claims)
        client = self.settings.oidc_client_id
        if client != claims.get("azp") and client not in _listed(claims.get("aud")):
            raise InvalidClaimError("aud")
        return claims

    def identity_of(self, person: Mapping[str, Any], rights: Mapping[str, Any]) -> Identity:
        """The identity that verified claims describe. Raises SignInError where they make no sense."""
        subject = _word(person["sub"])
        if subject is None:
            raise InvalidClaimError("sub")
        return Identity(
            issuer=self.metadata()["issuer"],
            subject=subject,
            email=_clean(person.get("email"), 320).lower() or None,
            email_verified=person.get("email_verified") is True,
            first_name=_clean(person.get("given_name"), 100),
            last_name=_clean(person.get("family_name"), 100),
            roles=_roles(rights, self.settings.oidc_client_id),
            organisation=_one_organisation(rights.get("organisation") or person.get("organisation")),
            sid=_word(rights.get("sid") or person.get("sid")),
        )

    def end_session(self, refresh_token: str) -> None:
        """See the function of the same name."""
        with _outages():
            metadata = self.metadata()
            ours = self.settings.oidc_client_id, self.settings.oidc_client_secret
            ended = self._post(metadata.get("end_session_endpoint"), ours, refresh_token=refresh_token)
            if ended != NO_CONTENT:
                self._post(metadata.get("revocation_endpoint"), ours, token=refresh_token)

    def _post(self, address: str | None, account: tuple[str, str], **form: str) -> int | None:
        """The answer's status; None without an address. Raises HTTPStatusError where the provider is in trouble."""
        if not address:
            return None
        answer = httpx2.post(address, data=form, auth=account, timeout=TIMEOUT, verify=certificates())
        if answer.is_server_error:
            answer.raise_for_status()
        return answer.status_code

    def read_logout(self, token: str) -> Logout:
        """See the function of the same name."""
        if not token or len(token) > LONGEST_LOGOUT_TOKEN:
            raise LogoutRefusedError("no logout token")
        try:
            decoded = self._decode(token, pause=UNKNOWN_KEY_PAUSE)
            self._check_logout(decoded)
        except (JoseError, ValueError) as error:
            raise LogoutRefusedError(str(error) or type(error).__name__) from None
        claims = decoded.claims
        return Logout(
            issuer=claims["iss"],
            subject=_word(claims.get("sub")),
            sid=_word(claims.get("sid")),
            token_id=claims["jti"],
            life=LOGOUT_TOKEN_LIFE + 2 * CLOCK_SKEW,
        )

    def _check_logout(self, token: jwt.Token) -> None:
        """Raises JoseError, or LogoutRefusedError for what is particular to logout tokens."""
        claims = token.claims
        jwt.JWTClaimsRegistry(
            leeway=CLOCK_SKEW,
            iss={"essential": True, "value": self.metadata()["issuer"]},
            iat={"essential": True},
            exp={"essential": True},
            typ={"values": ["Logout"]},
        ).validate(claims)
        named = [name for name in ("sub", "sid") if name in claims]
        checks = {
            "typ": str(token.header.get("typ", "")).lower() in LOGOUT_TOKEN_TYPES,
            "aud": self.settings.oidc_client_id in _listed(claims.get("aud")),
            "iat": claims["iat"] >= time.time() - LOGOUT_TOKEN_LIFE - CLOCK_SKEW,
            "jti": _word(claims.get("jti")) is not None,
            "events": isinstance(_object(claims.get("events")).get(LOGOUT_EVENT), dict),
            "nonce": "nonce" not in claims,  # with one it is an ID token
            "sub, sid": bool(named) and all(_word(claims[name]) for name in named),
        }
        if failed := [name for name, holds in checks.items() if not holds]:
            raise LogoutRefusedError(f"not as it should be: {', '.join(failed)}")

    def service_token(self) -> str:
        """See the function of the same name."""
        with self._lock:
            if time.monotonic() >= self._service_token_until:
                self._renew_service_token()
            return self._service_token

    def _renew_service_token(self) -> None:
        asked_at = time.monotonic()
        try:
            tokens = self.fetch(as_service=True, grant_type="client_credentials")
        except OAuthError as error:
            log.error("service_account_refused", exc_type=error.error)  # noqa: TRY400  the code says it all
            raise ForbiddenError(
                "Le fournisseur d’identité refuse le compte de service de la synchronisation."
            ) from None
        self._service_token = tokens.access_token
        self._service_token_until = asked_at + tokens.expires_in - SERVICE_TOKEN_MARGIN

    def _decode(self, token: str, *, pause: float = 0.0) -> jwt.Token:
        """A token whose signature holds. An unknown key is looked for, but not within ``pause`` of the last look.

        What the provider itself hands us needs no pause, and must not wait for one: keys may have changed a second ago.
        """
        keys: KeySet = self._keys.get(max_age=KEYS_LIFE)
        try:
            return jwt.decode(token, keys, registry=_REGISTRY)
        except InvalidKeyIdError:
            return jwt.decode(token, self._keys.get(max_age=pause), registry=_REGISTRY)

    def _discover(self) -> dict[str, Any]:
        document = self._get_json(f"{self.settings.oidc_issuer}/.well-known/openid-configuration")
        if str(document["issuer"]).rstrip("/") != self.settings.oidc_issuer:
            raise ValueError("the provider gives itself another name than OIDC_ISSUER")
        return document | {name: str(document[name]) for name in ENDPOINTS}

    def _fetch_keys(self) -> KeySet:
        return KeySet.import_key_set(self._get_json(self.metadata()["jwks_uri"]))  # type: ignore[arg-type]

    def _get_json(self, address: str) -> dict[str, Any]:
        response = httpx2.get(address, timeout=TIMEOUT, verify=certificates()).raise_for_status()
        document = response.json()
        if not isinstance(document, dict):
            raise ValueError("the provider’s answer is not an object")  # noqa: TRY004  the answer is at fault, not our types
        return document


class _Cached:
    """A value fetched when first needed, and again once it is older than the caller accepts.

    One that ``outlives_outages`` goes on serving when fetching it again fails. Another is then asked for no more for a
    moment: whoever sends us forged tokens must not make every thread wait for a time-out.
    """

    def __init__(self, fetch: Callable[[], Any], *, outlives_outages: bool = True) -> None:
        self._fetch = fetch
        self._outlives_outages = outlives_outages
        self._value: Any = None
        self._fetched_at = 0.0
        self._rests_until = 0.0
        self._lock = threading.Lock()

    def get(self, *, max_age: float) -> Any:
        """The value, at most ``max_age`` seconds old unless it outlives an outage. Raises UnavailableError."""
        with self._lock:
            asked_at = time.monotonic()
            if self._value is None or asked_at - self._fetched_at > max_age:
                self._fetch_anew(asked_at)
            return self._value

    def _fetch_anew(self, at: float) -> None:
        if at < self._rests_until:
            raise UnavailableError(OUTAGE)
        try:
            with _outages():
                self._value = self._fetch()
        except UnavailableError:
            if self._outlives_outages and self._value is not None:
                self._fetched_at = at
                return
            self._rests_until = 0.0 if self._outlives_outages else at + OUTAGE_PAUSE
            raise
        self._fetched_at = at


@contextmanager
def _outages() -> Iterator[None]:
    """Turn whatever keeps the provider from answering as it should into UnavailableError."""
    try:
        yield
    except (httpx2.HTTPError, httpx2.InvalidURL, JoseError, KeyError, ValueError) as error:
        log.warning("identity_provider_unavailable", exc_type=type(error).__name__)
        raise UnavailableError(OUTAGE) from None


@contextmanager
def _refusals(refusal: DomainError) -> Iterator[None]:
    """Raise ``refusal`` where the provider says no or its tokens do not hold.

    A provider that does not know **us** is no fault of the user's: that is an outage, told to the log.
    """
    try:
        yield
    except OAuthError as error:
        log.warning("identity_provider_refused", exc_type=error.error)
        if error.error in ("invalid_client", "unauthorized_client", "temporarily_unavailable", "server_error"):
            raise UnavailableError("La connexion est impossible pour le moment : le CRM n’est pas reconnu.") from None
        raise refusal from None
    except (JoseError, ValueError) as error:
        log.warning("token_refused", exc_type=type(error).__name__)
        raise refusal from None


def _refuse_disagreement(person: Mapping[str, Any], rights: Mapping[str, Any]) -> None:
    """Raises InvalidClaimError where the two tokens speak of different people, or of different organisations."""
    if person["sub"] != rights["sub"]:
        raise InvalidClaimError("sub")
    named = [names for claims in (person, rights) if (names := _listed(claims.get("organisation")))]
    if any(names != named[0] for names in named):
        raise InvalidClaimError("organisation")


def _shorter_lived(tokens: Tokens, rights: Mapping[str, Any]) -> Tokens:
    """The tokens with the smaller of both lives: what the answer says, and what the access token itself says."""
    return replace(tokens, expires_in=min(tokens.expires_in, int(rights["exp"] - time.time())))


def _roles(claims: Mapping[str, Any], client_id: str) -> frozenset[str]:
    access = _object(claims.get("resource_access"))
    named = [_object(claims.get("realm_access")).get("roles"), _object(access.get(client_id)).get("roles")]
    return frozenset(role for roles in named for role in _listed(roles))


def _one_organisation(claim: object) -> str | None:
    named = _listed(claim)
    if len(named) > 1:
        raise SignInError("Votre compte est rattaché à plusieurs organisations. Demandez à votre administrateur.")
    return named[0] if named else None


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _listed(value: object) -> list[str]:
    """The texts in a claim that may hold one or several. Raises InvalidClaimError for one that no column can hold."""
    values = value if isinstance(value, list) else [value]
    texts = [text for text in values if isinstance(text, str) and text]
    if any(_CONTROL_CHARACTERS.search(text) for text in texts):
        raise InvalidClaimError("text")
    return texts


def _word(value: object) -> str | None:
    """A name that the provider gives to something, as it is; None for what can be none."""
    is_name = isinstance(value, str) and 1 <= len(value) <= 255 and not _CONTROL_CHARACTERS.search(value)
    return str(value) if is_name else None


def _clean(value: object, length: int) -> str:
    """A text of the provider's as a column takes it: no control characters, not too long."""
    return _CONTROL_CHARACTERS.sub(" ", value).strip()[:length] if isinstance(value, str) else ""


_provider: _Provider | None = None


def _current() -> _Provider:
    if _provider is None:
        raise RuntimeError("the identity provider is not set: create_app() sets it")
    return _provider
