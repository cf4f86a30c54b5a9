"""What bin/keycloak would run, as far as that can be seen without Java."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from demo import keycloak

ROOT = Path(__file__).resolve().parents[2]


def test_the_realm_is_productions_with_the_demos_people() -> None:
    realm = keycloak.realm_with_accounts()
    people = {user["username"]: user for user in realm.pop("users")}
    assert realm == json.loads(keycloak.REALM.read_text())
    admin = people["admin"]
    assert admin["id"] == "3e9c5f41-804d-4f76-8d8a-6c4fa150cd04"  # whom the seed knows
    assert admin["attributes"] == {"organisation": ["demo"]}
    assert "admin" in admin["realmRoles"]


def test_keycloak_is_told_where_to_call_when_somebody_signs_out(app_address: str) -> None:
    (crm,) = [client for client in keycloak.realm_with_accounts()["clients"] if client["clientId"] == "crm"]
    assert crm["attributes"]["backchannel.logout.url"] == f"${{PUBLIC_URL}}{app_address}"
    assert crm["attributes"]["backchannel.logout.session.required"] == "true"


@pytest.fixture
def app_address() -> str:
    """Where the CRM listens for it."""
    source = (ROOT / "webapp" / "views" / "identity.py").read_text()
    before = source.partition("def end_by_provider")[0]
    return before.rpartition('@bp.post("')[2].partition('"')[0]


def test_every_placeholder_of_the_realm_has_a_value(tmp_path: Path) -> None:
    values = keycloak.realm_values(tmp_path, {"PORT": "8123"})
    text = keycloak.REALM.read_text()
    for name in values:
        text = text.replace(f"${{{name}}}", "")
    assert "${" not in text
    assert values["PUBLIC_URL"] == "http://127.0.0.1:8123"


def test_without_java_it_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(keycloak.KeycloakError, match="java was not found"):
        keycloak.install(tmp_path)


def test_another_archive_than_the_pinned_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With stand-ins for Java and Maven, of which the latter fetches something else."""
    for name, script in (("java", ""), ("mvn", 'for last; do :; done\necho other > "${last#*=}/$ARCHIVE"')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("ARCHIVE", f"keycloak-quarkus-dist-{keycloak.VERSION}.zip")
    with pytest.raises(keycloak.KeycloakError, match="not the Keycloak that is expected"):
        keycloak.install(tmp_path)
    assert not list(tmp_path.rglob("*.zip"))


def test_the_version_that_is_tried_is_the_version_that_is_deployed() -> None:
    assert f"keycloak/keycloak:{keycloak.VERSION}" in (ROOT / "compose.yaml").read_text()
    assert keycloak.VERSION in (ROOT / "docs" / "keycloak.md").read_text()


def test_bin_dev_knows_no_other_option() -> None:
    refused = subprocess.run([ROOT / "bin" / "dev", "--keyclok"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "--keyclok" in refused.stderr
