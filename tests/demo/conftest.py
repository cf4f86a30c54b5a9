"""The pretend servers as real processes, started once per session on ports of their own."""

import base64
import hashlib
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
STARTUP_SECONDS = 20
PASSWORD = "demo"


@dataclass(frozen=True)
class IdentityProvider:
    """A running pretend provider, and what a client of it must know."""

    issuer: str
    crm_url: str
    home: Path
    client_secret: str = "crm-secret"
    sync_secret: str = "sync-secret"

    @property
    def redirect_uri(self) -> str:
        return f"{self.crm_url}/connexion/retour"

    def endpoint(self, name: str) -> str:
        return f"{self.issuer}/protocol/openid-connect/{name}"

    def token(self, client: str = "crm", **fields: str) -> httpx.Response:
        secret = self.client_secret if client == "crm" else self.sync_secret
        return httpx.post(self.endpoint("token"), auth=(client, secret), data=fields)

    def service_token(self) -> str:
        """An access token of the service account, as scheduled syncs use."""
        token: str = self.token("crm-sync", grant_type="client_credentials").json()["access_token"]
        return token


@dataclass
class Visitor:
    """Somebody in front of the CRM's sign-in: keeps cookies, follows no redirect by itself."""

    provider: IdentityProvider
    http: httpx.Client
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    def authorize(self, **differences: str | None) -> httpx.Response:
        """What the CRM's redirect to the provider leads to. A difference of None leaves that parameter out."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        parameters: dict[str, str | None] = {
            "client_id": "crm",
            "response_type": "code",
            "redirect_uri": self.provider.redirect_uri,
            "scope": "openid profile email",
            "state": "the-state",
            "nonce": "the-nonce",
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            **differences,
        }
        kept = {name: value for name, value in parameters.items() if value is not None}
        return self.http.get(self.provider.endpoint("auth"), params=kept, headers={"Accept": "text/html"})

    def open_form(self) -> httpx.Response:
        """The sign-in page, as first shown."""
        return self.http.get(_target(self.authorize()))

    def submit(self, form: httpx.Response, username: str, password: str = PASSWORD) -> httpx.Response:
        found = re.search(r'<form method="post" action="([^"]+)"', form.text)
        assert found, form.text
        return self.http.post(form.url.join(found[1]), data={"username": username, "password": password})

    def sign_in(self, username: str) -> dict[str, Any]:
        """The whole way: form, code, tokens."""
        back = self.http.get(_target(self.submit(self.open_form(), username)))
        return self.redeem(parse_qs(urlsplit(_target(back)).query)["code"][0])

    def redeem(self, code: str) -> dict[str, Any]:
        answer = self.provider.token(
            grant_type="authorization_code",
            code=code,
            redirect_uri=self.provider.redirect_uri,
            code_verifier=self.verifier,
        )
        assert answer.status_code == 200, answer.text
        tokens: dict[str, Any] = answer.json()
        return tokens


@dataclass(frozen=True)
class WinLeadPlus:
    """A running pretend WinLeadPlus."""

    url: str

    def control(self, **order: Any) -> dict[str, Any]:
        state: dict[str, Any] = httpx.post(f"{self.url}/_control", json=order).raise_for_status().json()
        return state

    def prospects(self, token: str | None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.get(f"{self.url}/api/prospects", headers=headers, timeout=30)


@pytest.fixture(scope="session")
def identity_provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IdentityProvider]:
    provider = IdentityProvider(
        issuer=f"http://127.0.0.1:{free_port()}/realms/crm",
        crm_url=f"http://127.0.0.1:{free_port()}",
        home=tmp_path_factory.mktemp("identity"),
    )
    with running_provider(provider):
        yield provider


@pytest.fixture(scope="session")
def winleadplus_server(identity_provider: IdentityProvider) -> Iterator[WinLeadPlus]:
    port = free_port()
    environment = {"WINLEADPLUS_PORT": str(port), "OIDC_ISSUER": identity_provider.issuer, "DEMO_PROSPECTS": "250"}
    url = f"http://127.0.0.1:{port}"
    with running([sys.executable, "-m", "demo.winleadplus_api"], environment, f"{url}/_control"):
        yield WinLeadPlus(url)


@pytest.fixture
def winleadplus(winleadplus_server: WinLeadPlus) -> WinLeadPlus:
    """The pretend WinLeadPlus as it is after a fresh start."""
    winleadplus_server.control(reset=True)
    return winleadplus_server


@pytest.fixture(scope="session")
def service_token(identity_provider: IdentityProvider) -> str:
    return identity_provider.service_token()


@pytest.fixture
def visitor(identity_provider: IdentityProvider) -> Iterator[Visitor]:
    with httpx.Client(follow_redirects=False) as http:
        yield Visitor(identity_provider, http)


@contextmanager
def running_provider(provider: IdentityProvider) -> Iterator["subprocess.Popen[bytes]"]:
    environment = {
        "IDENTITY_PORT": str(urlsplit(provider.issuer).port),
        "PUBLIC_URL": provider.crm_url,
        "CRM_HOME": str(provider.home),
        "OIDC_CLIENT_SECRET": provider.client_secret,
        "WINLEADPLUS_CLIENT_SECRET": provider.sync_secret,
    }
    command = [sys.executable, "-m", "demo.node", "demo/identity_provider/server.js"]
    with running(command, environment, f"{provider.issuer}/.well-known/openid-configuration") as process:
        yield process


@contextmanager
def running(command: list[str], environment: Mapping[str, str], ready: str) -> Iterator["subprocess.Popen[bytes]"]:
    """The process, once ``ready`` answers; ended by SIGTERM, which it must obey promptly."""
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
    try:
        _wait_for(ready, process)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def _wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + STARTUP_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, f"{process.args!r} ended by itself"
        try:
            httpx.get(url).raise_for_status()
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(url)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def claims_of(token: str) -> dict[str, Any]:
    """The payload of a JWT, unverified."""
    body = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return claims


def _target(response: httpx.Response) -> str:
    assert response.is_redirect, response.text
    return str(response.url.join(response.headers["location"]))
