"""Where a configured address may lead (SSRF)."""

import socket
from typing import Any

import pytest

from webapp.errors import InvalidInputError
from webapp.gateways.addresses import UnresolvableError, allowed_addresses, check_endpoint


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """A name server of the test's own."""
    names: dict[str, list[str]] = {}

    def look_up(host: str, port: int, *_: Any) -> list[Any]:
        if host not in names:
            raise socket.gaierror
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in names[host]]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return names


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.1.1",
        "fe80::1",
        "fd00:ec2::254",
        "100.100.100.200",
        "224.0.0.1",
        "ff02::1",
        "0.0.0.0",  # noqa: S104
        "::",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "::169.254.169.254",
        "::ffff:0:a9fe:a9fe",
        "::ffff:0:100.100.100.200",
        "fec0::1",
        "64:ff9b:1::1",
        "100::1",
        "3fff::1",
        "5f00::1",
        "2001:db8::1",
        "0.1.2.3",
        "192.0.0.5",
        "198.18.0.1",
        "240.0.0.1",
    ],
)
@pytest.mark.parametrize("allow_private", [True, False])
def test_metadata_and_link_local_are_never_reached(
    resolver: dict[str, list[str]], address: str, allow_private: bool
) -> None:
    resolver["rusé.example"] = [address]
    with pytest.raises(InvalidInputError, match="n’est pas autorisée") as refusal:
        allowed_addresses("https://rusé.example/api", allow_private=allow_private)
    assert refusal.value.field == "endpoint"


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "192.168.1.1", "127.0.0.1", "::1", "fd12::1", "::ffff:a00:1", "::a00:1"]
)
def test_private_addresses_need_the_setting(resolver: dict[str, list[str]], address: str) -> None:
    resolver["interne.example"] = [address]
    with pytest.raises(InvalidInputError):
        allowed_addresses("https://interne.example/api", allow_private=False)
    assert allowed_addresses("https://interne.example/api", allow_private=True) == [address]


def test_one_forbidden_address_refuses_the_name(resolver: dict[str, list[str]]) -> None:
    resolver["double.example"] = ["93.184.215.14", "169.254.169.254"]
    with pytest.raises(InvalidInputError):
        allowed_addresses("https://double.example/", allow_private=True)


def test_public_addresses_pass_each_once(resolver: dict[str, list[str]]) -> None:
    resolver["wlp.example"] = ["93.184.215.14", "2606:2800:21f::1", "93.184.215.14"]
    assert allowed_addresses("https://wlp.example/api", allow_private=False) == ["93.184.215.14", "2606:2800:21f::1"]


@pytest.mark.parametrize(
    "address",
    [
        "ftp://wlp.example/",
        "file:///etc/passwd",
        "wlp.example",
        "https://",
        "https://user:secret@wlp.example/",
        "https://wlp.example:99999/",
        "https://wlp.example:0/",
        "https://wlp .example/",
        "https://[::1",
        "",
    ],
)
def test_other_shapes_are_refused(address: str) -> None:
    with pytest.raises(InvalidInputError, match="de la forme"):
        allowed_addresses(address, allow_private=True)


def test_a_name_that_does_not_resolve_may_be_configured_and_not_called(resolver: dict[str, list[str]]) -> None:
    check_endpoint("https://bientot.example/api", allow_private=False)
    with pytest.raises(UnresolvableError):
        allowed_addresses("https://bientot.example/api", allow_private=False)


def test_http_is_for_private_networks_only(resolver: dict[str, list[str]]) -> None:
    resolver["wlp.example"] = ["93.184.215.14"]
    with pytest.raises(InvalidInputError, match="https://"):
        allowed_addresses("http://wlp.example/api", allow_private=False)
    assert allowed_addresses("http://wlp.example/api", allow_private=True) == ["93.184.215.14"]
