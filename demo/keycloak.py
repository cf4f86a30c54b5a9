"""A real Keycloak in the place of the pretend identity provider: fetched once, built once, and run on loopback.

It is started as production starts it (`kc.sh start --optimized --import-realm`), with its embedded database, and gets
deploy/keycloak/realm.json as it is, and the demo's accounts. It has the address of this home's pretend provider: who
signed in at the one is the same user at the other. Needs Java 17 or later and Maven, whose own configuration says where
the distribution comes from.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from demo.home import PortTakenError, open_home, port_of, read_json, secrets_of, write_json

ROOT = Path(__file__).resolve().parent.parent
REALM = ROOT / "deploy" / "keycloak" / "realm.json"
ACCOUNTS = ROOT / "demo" / "accounts.json"
VERSION = "26.7.3"
SHA256 = "27a6535553c3cdcd083872ba40629efafb3475e3b758e0c6f691395561dd0f1f"
ARTIFACT = f"org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"
FETCH = "org.apache.maven.plugins:maven-dependency-plugin:3.6.0:copy"
DATABASE = "--db=dev-file"
HEAP = "-Xms64m -Xmx512m"
ADMIN = "admin"
"""The administrator of Keycloak itself, whose password is KEYCLOAK_ADMIN_PASSWORD of the home's secrets.json."""


class KeycloakError(Exception):
    """Keycloak cannot be run here; the message says why."""


def main() -> int:
    home = open_home(Path(os.environ.get("CRM_HOME") or ROOT / ".local"))
    try:
        if sys.argv[1:] == ["--install"]:
            install(home)
            return 0
        become_keycloak(home, os.environ)
    except (KeycloakError, PortTakenError) as error:
        print(f"bin/keycloak: {error}", file=sys.stderr)
    return 1


def become_keycloak(home: Path, given: Mapping[str, str]) -> None:
    """Put everything in place and turn this process into Keycloak. Raises KeycloakError."""
    server = install(home)
    values = realm_values(home, given)
    _put_realm_in_place(server, values)
    port = int(given.get("IDENTITY_PORT") or port_of(home, "identity", may_move=False))
    address = f"http://127.0.0.1:{port}"
    print(f"Keycloak {VERSION}: {address}/admin/, {ADMIN}, password in {home / 'secrets.json'}", flush=True)
    command = [
        str(server / "bin" / "kc.sh"),
        "start",
        "--optimized",
        "--import-realm",
        "--cache=local",  # else it listens for other nodes, beyond loopback
        f"--hostname={address}",
        "--http-enabled=true",
        "--http-host=127.0.0.1",
        f"--http-port={port}",
    ]
    environment = _surroundings() | values | {"KC_BOOTSTRAP_ADMIN_USERNAME": ADMIN}
    environment["KC_BOOTSTRAP_ADMIN_PASSWORD"] = admin_password(home)
    os.execve(command[0], command, environment)  # noqa: S606  # no shell is the point


def install(home: Path) -> Path:
    """The folder of a Keycloak, unpacked and built, which takes a minute the first time. Raises KeycloakError."""
    server = home / "keycloak" / f"keycloak-{VERSION}"
    if not (server / "built").exists():
        _require_java()
        archive = _fetch(home / "keycloak")
        print(f"Keycloak {VERSION}: building, which takes a minute", flush=True)
        _unpack(archive, server)
        _run([str(server / "bin" / "kc.sh"), "build", DATABASE])
        (server / "built").touch()
        archive.unlink()
    return server


def forget_realm(home: Path) -> None:
    """Do away with the data of a Keycloak that does not run: the next start imports the realm anew."""
    shutil.rmtree(home / "keycloak" / f"keycloak-{VERSION}" / "data", ignore_errors=True)


def admin_password(home: Path) -> str:
    return secrets_of(home)["KEYCLOAK_ADMIN_PASSWORD"]


def realm_values(home: Path, given: Mapping[str, str]) -> dict[str, str]:
    """What the placeholders of the realm's file stand for."""
    kept = secrets_of(home)
    names = ("OIDC_CLIENT_SECRET", "WINLEADPLUS_CLIENT_SECRET")
    values = {name: given.get(name) or kept[name] for name in names}
    return values | {"PUBLIC_URL": given.get("PUBLIC_URL") or f"http://127.0.0.1:{given.get('PORT') or 8000}"}


def realm_with_accounts() -> dict[str, Any]:
    """The realm of production with the demo's people in it."""
    realm: dict[str, Any] = json.loads(REALM.read_text(encoding="utf-8"))
    cast = json.loads(ACCOUNTS.read_text(encoding="utf-8"))
    return realm | {"users": [_user(account, cast["password"]) for account in cast["accounts"]]}


def _user(account: Mapping[str, Any], password: str) -> dict[str, Any]:
    return {
        "id": account["sub"],
        "username": account["username"],
        "firstName": account["given_name"],
        "lastName": account["family_name"],
        "email": account["email"],
        "emailVerified": account["email_verified"],
        "enabled": True,
        "attributes": {"organisation": [account["organisation"]]},
        "credentials": [{"type": "password", "value": password}],
        "realmRoles": [*account["roles"], "default-roles-crm"],
    }


def _put_realm_in_place(server: Path, values: Mapping[str, str]) -> None:
    """The file to import. Keycloak leaves a realm alone that it has: where the file changed, it starts from nothing."""
    data, realm = server / "data", realm_with_accounts()
    wanted = hashlib.sha256(json.dumps([realm, dict(values)], sort_keys=True).encode()).hexdigest()
    if read_json(server / "imported.json").get("sha256") != wanted:
        shutil.rmtree(data, ignore_errors=True)
        write_json(server / "imported.json", {"sha256": wanted})
    (data / "import").mkdir(parents=True, exist_ok=True)
    write_json(data / "import" / "crm-realm.json", realm)


def _require_java() -> None:
    for program, package in (("java", "default-jre-headless"), ("mvn", "maven")):
        if shutil.which(program) is None:
            raise KeycloakError(f"{program} was not found. On Debian or Ubuntu: apt-get install {package}")


def _fetch(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    print(f"Keycloak {VERSION}: fetching", flush=True)
    _run(["mvn", "--quiet", "--batch-mode", FETCH, f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={folder}"])
    archive = folder / f"keycloak-quarkus-dist-{VERSION}.zip"
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256:
        archive.unlink()
        raise KeycloakError(f"what was fetched is not the Keycloak that is expected (SHA-256 {found})")
    return archive


def _unpack(archive: Path, server: Path) -> None:
    shutil.rmtree(server, ignore_errors=True)
    with zipfile.ZipFile(archive) as content:
        content.extractall(server.parent)
    for script in (server / "bin").glob("*.sh"):
        script.chmod(0o755)


def _run(command: list[str]) -> None:
    outcome = subprocess.run(
        command, env=_surroundings(), capture_output=True, text=True, errors="replace", check=False
    )
    if outcome.returncode != 0:
        said = "\n".join((outcome.stdout + outcome.stderr).splitlines()[-20:])
        raise KeycloakError(f"{Path(command[0]).name} ended with {outcome.returncode}:\n{said}")


def _surroundings() -> dict[str, str]:
    return {"JAVA_OPTS_KC_HEAP": HEAP} | os.environ


if __name__ == "__main__":
    sys.exit(main())
