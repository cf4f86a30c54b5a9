"""An identity provider inside the test's process, on a real port, whose every answer a test can bend."""

import json
import threading
import time
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.serving import serving

Answer = tuple[int, Any]


@cache
def new_key(kid: str) -> RSAKey:
    """A key of its own per id, made once: making one takes long."""
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig", "alg": "RS256"}, private=True)


class LocalProvider:
    """Answers as Keycloak does. ``claims``, ``id_claims`` and ``access_claims`` change what its tokens say."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.key = new_key("first")
        self.published = [self.key]
        self.nonce = "the-nonce"
        self.claims: dict[str, Any] = {}
        self.id_claims: dict[str, Any] = {}
        self.access_claims: dict[str, Any] = {}
        self.refusal: Answer | None = None
        self.ended: Answer = 204, ""
        """What it answers when asked to end a session."""
        self.discovery: dict[str, Any] = {}
        self.hits: Counter[str] = Counter()
        self.forms: list[dict[str, str]] = []
        self.pause = threading.Event()
        self.pause.set()

    def id_token(self, **changes: Any) -> str:
        claims = self._person() | {"aud": "crm", "azp": "crm", "typ": "ID", "nonce": self.nonce}
        return self.sign(claims | self.id_claims | changes)

    def access_token(self, **changes: Any) -> str:
        rights = {
            "aud": ["account"],
            "azp": "crm",
            "typ": "Bearer",
            "realm_access": {"roles": ["commercial", "offline_access"]},
        }
        return self.sign(self._person() | rights | self.access_claims | changes)

    def logout_token(self, *, head: dict[str, Any] | None = None, **changes: Any) -> str:
        """As Keycloak's: it ends the session « session-1 » of subject-1. A change to None leaves the claim out."""
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": "crm",
            "iat": now,
            "exp": now + 120,
            "jti": str(uuid4()),
            "typ": "Logout",
            "sub": "subject-1",
            "sid": "session-1",
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        }
        return self.sign(claims | changes, head=head)

    def sign(
        self, claims: dict[str, Any], *, alg: str = "RS256", key: Any = None, head: dict[str, Any] | None = None
    ) -> str:
        kept = {name: value for name, value in claims.items() if value is not None}
        signer = key or self.key
        return jwt.encode({"alg": alg, "kid": signer.kid, **(head or {})}, kept, signer, algorithms=[alg])

    def _person(self) -> dict[str, Any]:
        now = int(time.time())
        return {
            "iss": self.issuer,
            "sub": "subject-1",
            "sid": "session-1",
            "iat": now,
            "exp": now + 300,
            "email": "Camille.Roux@example.org",
            "email_verified": True,
            "given_name": "Camille",
            "family_name": "Roux",
            **self.claims,
        }

    def answer(self, path: str, form: dict[str, str]) -> Answer:
        """The answer to one request, counted under the last part of its path."""
        place = path.rsplit("/", 1)[-1]
        self.hits[place] += 1
        self.pause.wait(5)
        if place == "openid-configuration":
            return 200, self._addresses() | self.discovery
        if place == "certs":
            return 200, {"keys": [key.as_dict(private=False) for key in self.published]}
        self.forms.append(form)
        if place in ("logout", "revoke"):
            return self.ended
        if self.refusal:
            return self.refusal
        return 200, self._tokens(form["grant_type"])

    def _addresses(self) -> dict[str, str]:
        base = f"{self.issuer}/protocol/openid-connect"
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{base}/auth",
            "token_endpoint": f"{base}/token",
            "jwks_uri": f"{base}/certs",
            "end_session_endpoint": f"{base}/logout",
            "revocation_endpoint": f"{base}/revoke",
        }

    def _tokens(self, grant: str) -> dict[str, Any]:
        number = self.hits["token"]
        answer = {"access_token": self.access_token(jti=str(number)), "token_type": "Bearer", "expires_in": 300}
        if grant == "client_credentials":
            return answer
        return answer | {"refresh_token": f"refresh-{number}", "id_token": self.id_token()}


class _Handler(BaseHTTPRequestHandler):
    provider: LocalProvider

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        form = dict(parse_qsl(body))
        if self.headers.get("Authorization", "").startswith("Basic "):
            form["_client"], _, form["_secret"] = b64decode(self.headers["Authorization"][6:]).decode().partition(":")
        self._answer(form)

    def _answer(self, form: dict[str, str]) -> None:
        status, body = self.provider.answer(urlsplit(self.path).path, form)
        content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if isinstance(body, str) else "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        with suppress(BrokenPipeError):  # the client may have given us up
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Stay quiet."""


@contextmanager
def running() -> Iterator[LocalProvider]:
    """A provider that answers until the end of the block."""
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    handler.provider = LocalProvider(f"http://127.0.0.1:{server.server_port}/realms/crm")  # type: ignore[attr-defined]
    with serving(server):
        yield handler.provider  # type: ignore[attr-defined]
