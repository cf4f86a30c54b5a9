"""Keycloak's administration, as far as the tests turn its knobs, and the product beside it."""

import json
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
import psutil
from joserfc import jwt
from joserfc.jwk import RSAKey

from demo import keycloak
from demo.home import read_json
from tests.browser.world import ROOT, World, eventually
from webapp import crypto

PASSWORD = "demo"
RESTART_PATIENCE = 180.0


class KeycloakWorld(World):
    """The product with a real Keycloak, which has forgotten what earlier runs did to it."""

    options = ("--keycloak",)
    start_patience = 420.0

    def start(self) -> None:
        """As ever; the first time Keycloak is fetched and built."""
        keycloak.forget_realm(self.home)
        super().start()

    @property
    def issuer(self) -> str:
        """Where people sign in."""
        return str(self.known["oidc_issuer"])

    @property
    def secrets(self) -> dict[str, str]:
        """The passwords and keys of this home."""
        return read_json(self.home / "secrets.json")

    def switch_keycloak_off(self) -> None:
        """End its process, as an update does."""
        process = psutil.Process(self.known["pids"]["identity"])
        process.terminate()
        process.wait(30)

    def switch_keycloak_on(self) -> None:
        """Start it again and wait until it answers."""
        os.kill(self.known["pids"]["supervisor"], signal.SIGUSR1)
        eventually(self.is_on, within=RESTART_PATIENCE)

    def is_on(self) -> bool:
        """Whether Keycloak answers."""
        try:
            return httpx.get(f"{self.issuer}/.well-known/openid-configuration", timeout=2).is_success
        except httpx.HTTPError:
            return False

    @contextmanager
    def another_host(self) -> Iterator[str]:
        """A second web host on the same PostgreSQL and Redis; its address."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        web = psutil.Process(self.known["pids"]["web"]).environ()
        environment = {name: value for name, value in web.items() if name != "CRM_LISTENING"}
        bind = f"--bind=127.0.0.1:{port}"  # PORT stays: it names the cookie
        command = [str(ROOT / ".venv/bin/gunicorn"), "--config", "gunicorn.conf.py", bind, "wsgi:app"]
        with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL) as process:
            address = f"http://127.0.0.1:{port}"
            headers = {"Host": self.url.removeprefix("http://")}
            try:
                eventually(lambda: _is_up(f"{address}/sante/vivant", headers), within=60)
                yield address
            finally:
                process.terminate()

    def refresh_token_of(self, session_id: str) -> str:
        """The refresh token that the CRM keeps for a session, as a thief would have it."""
        from redis import Redis  # noqa: PLC0415

        sealed = Redis.from_url(self.redis_url).get(f"tokens:{session_id}")
        assert isinstance(sealed, bytes)
        keyring = crypto.Keyring.parse(self.secrets["CRM_DATA_KEYS"])
        kept = json.loads(keyring.decrypt(sealed, place=f"tokens:{session_id}"))
        return str(kept["refresh_token"])


def _is_up(address: str, headers: Mapping[str, str]) -> bool:
    try:
        return httpx.get(address, headers=headers, timeout=2).is_success
    except httpx.HTTPError:
        return False


class Administration:
    """Keycloak's admin REST API for the realm of the CRM."""

    def __init__(self, world: KeycloakWorld) -> None:
        self.world = world
        self.address = world.issuer.replace("/realms/", "/admin/realms/")

    def call(self, method: str, path: str, **options: Any) -> Any:
        """What it answers. Raises HTTPStatusError for a refusal."""
        headers = {"Authorization": f"Bearer {self._token()}"}
        answer = httpx.request(method, f"{self.address}{path}", headers=headers, timeout=60, **options)
        answer.raise_for_status()
        return answer.json() if answer.content else answer.headers.get("Location", "").rpartition("/")[2]

    def _token(self) -> str:
        """A fresh one each time: it lives a minute."""
        form = {
            "grant_type": "password",
            "client_id": "admin-cli",
            "username": keycloak.ADMIN,
            "password": self.world.secrets["KEYCLOAK_ADMIN_PASSWORD"],
        }
        master = self.world.issuer.rpartition("/")[0] + "/master/protocol/openid-connect/token"
        return str(httpx.post(master, data=form, timeout=60).raise_for_status().json()["access_token"])

    @contextmanager
    def realm(self, **changes: object) -> Iterator[None]:
        """The realm with other settings, for the length of the block."""
        before = self.call("GET", "")
        self.call("PUT", "", json=changes)
        yield
        self.call("PUT", "", json={name: before[name] for name in changes})

    def person(self, *roles: str, organisation: str | None = "demo", password: str = PASSWORD, **more: Any) -> "Person":
        """A new account, of a name of its own."""
        name = f"essai.{secrets.token_hex(4)}"
        account = {
            "username": name,
            "firstName": "Essai",
            "lastName": name.rpartition(".")[2].capitalize(),
            "email": f"{name}@example.org",
            "emailVerified": True,
            "enabled": True,
            "attributes": {"organisation": [organisation]} if organisation else {},
            "credentials": [{"type": "password", "value": password, "temporary": False}],
        }
        person = Person(self, self.call("POST", "/users", json=account | more), name)
        if roles:
            person.give(*roles)
        return person

    def role(self, name: str) -> dict[str, Any]:
        """A role of the realm."""
        role: dict[str, Any] = self.call("GET", f"/roles/{name}")
        return role

    def client(self, name: str) -> dict[str, Any]:
        """A client of the realm, by its client id."""
        client: dict[str, Any] = self.call("GET", "/clients", params={"clientId": name})[0]
        return client


class OurKey:
    """A signing key of the realm whose private half we have, as a thief would."""

    def __init__(self, administration: Administration) -> None:
        self.administration = administration
        key = RSAKey.generate_key(2048, private=True)
        component = {
            "name": "rsa-volée",
            "providerId": "rsa",
            "providerType": "org.keycloak.keys.KeyProvider",
            "parentId": administration.call("GET", "")["id"],
            "config": {"privateKey": [key.as_pem(private=True).decode()], "priority": ["500"], "algorithm": ["RS256"]},
        }
        self.component = administration.call("POST", "/components", json=component)
        kid = administration.call("GET", "/keys")["active"]["RS256"]
        self.key = RSAKey.import_key(key.as_dict(private=True) | {"kid": kid})

    def withdraw(self) -> None:
        """Take it out of the realm."""
        self.administration.call("DELETE", f"/components/{self.component}")

    def is_believed(self) -> bool:
        """Whether the CRM takes a logout token that is signed with it (and that ends nothing)."""
        now, world = int(time.time()), self.administration.world
        claims = {
            "iss": world.issuer,
            "aud": "crm",
            "iat": now,
            "exp": now + 60,
            "jti": secrets.token_hex(8),
            "sid": "none",
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        }
        token = jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, self.key, algorithms=["RS256"])
        answer = httpx.post(f"{world.url}/deconnexion/par-le-fournisseur", data={"logout_token": token})
        return answer.status_code == 200


class Person:
    """An account of the realm."""

    def __init__(self, administration: Administration, user_id: str, username: str) -> None:
        self.administration = administration
        self.id = user_id
        self.username = username

    def call(self, method: str, path: str = "", **options: Any) -> Any:
        """The administration, about this person."""
        return self.administration.call(method, f"/users/{self.id}{path}", **options)

    def give(self, *roles: str) -> None:
        """Give roles of the realm."""
        named = [self.administration.role(role) for role in roles]
        self.call("POST", "/role-mappings/realm", json=named)

    def take(self, *roles: str) -> None:
        """Take roles of the realm away."""
        named = [self.administration.role(role) for role in roles]
        self.call("DELETE", "/role-mappings/realm", json=named)

    def sessions(self) -> list[dict[str, Any]]:
        """The sessions that Keycloak has of them."""
        found: list[dict[str, Any]] = self.call("GET", "/sessions")
        return found


class Stopwatch:
    """Seconds since it was made, or since ``restart``."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin anew."""
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """How many have passed."""
        return time.monotonic() - self._began
