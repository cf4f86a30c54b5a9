"""What bin/dev hands to its processes: what was given from outside first, and no more than each needs."""

import signal
from pathlib import Path

import pytest

from demo.embedded import Server
from demo.surroundings import (
    environment,
    for_application,
    for_pretend_world,
    needs_identity_provider,
    needs_winleadplus,
)

SERVERS = {
    "postgres": Server("postgres", 1, 15001, owned=True, goodbye=signal.SIGINT),
    "redis": Server("redis", 2, 15002, owned=True, goodbye=signal.SIGTERM),
}
PORTS = {
    "identity": 15003,
    "winleadplus": 15004,
    "maildev": 15005,
    "smtp": 15006,
    "sms": 15007,
    "carrier": 15008,
    "woocommerce": 15009,
    "operator": 15010,
}


def test_everything_has_a_default(home: Path) -> None:
    found = environment(home, {}, SERVERS, PORTS)
    assert found["DATABASE_URL"].startswith("postgresql+psycopg://crm_app:")
    assert found["DATABASE_URL"].endswith("@127.0.0.1:15001/crm")
    assert found["DATABASE_OWNER_URL"].startswith("postgresql+psycopg://crm_owner:")
    assert found["REDIS_URL"].endswith("@127.0.0.1:15002/0")
    assert found["OIDC_ISSUER"] == "http://127.0.0.1:15003/realms/crm"
    assert found["EXTERNAL_API_URL"] == "http://127.0.0.1:15004/api/prospects"
    assert (found["MAILDEV_URL"], found["MAILDEV_SMTP"]) == ("http://127.0.0.1:15005", "127.0.0.1:15006")
    assert found["SMS_SANDBOX_URL"] == "http://127.0.0.1:15007"
    assert found["CARRIER_SANDBOX_URL"] == "http://127.0.0.1:15008"
    assert found["WOOCOMMERCE_SHOP_URL"] == "http://127.0.0.1:15009"
    assert len(found["WOOCOMMERCE_SHOP_SECRET"]) > 30
    assert found["DEPANSSUR_OPERATOR_URL"] == "http://127.0.0.1:15010"
    assert len(found["DEPANSSUR_OPERATOR_SECRET"]) > 30
    assert found["PUBLIC_URL"] == "http://127.0.0.1:8000"
    assert found["CRM_HOME"] == str(home)


def test_what_is_given_wins(home: Path) -> None:
    given = {
        "PORT": "8123",
        "DATABASE_URL": "postgresql://elsewhere/crm",
        "REDIS_URL": "redis://elsewhere",
        "OIDC_ISSUER": "https://keycloak.example.org/realms/sales",
        "WINLEADPLUS_API_URL": "https://winleadplus.example.org/prospects",
        "SECRET_KEY": "",
    }
    found = environment(home, given, {}, {})
    assert given.items() - {("SECRET_KEY", "")} <= found.items()
    assert found["SECRET_KEY"]
    assert found["PUBLIC_URL"] == "http://127.0.0.1:8123"
    assert found["DATABASE_OWNER_URL"] == given["DATABASE_URL"]
    assert "EXTERNAL_API_URL" not in found


def test_a_server_open_to_everybody_is_reached_on_loopback(home: Path) -> None:
    assert environment(home, {"HOST": "0.0.0.0"}, SERVERS, PORTS)["PUBLIC_URL"] == "http://127.0.0.1:8000"  # noqa: S104


def test_the_application_cannot_migrate_and_the_pretend_world_sees_no_database(home: Path) -> None:
    everything = environment(home, {}, SERVERS, PORTS)
    assert "DATABASE_OWNER_URL" not in for_application(everything)
    outside = for_pretend_world(everything, PORTS)
    assert not outside.keys() & {"DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL"}
    assert (outside["IDENTITY_PORT"], outside["WINLEADPLUS_PORT"]) == ("15003", "15004")


@pytest.mark.parametrize("name", ["EXTERNAL_API_URL", "WINLEADPLUS_API_URL"])
def test_a_real_server_replaces_the_pretend_one(name: str) -> None:
    assert not needs_winleadplus({name: "https://winleadplus.example.org"})
    assert needs_winleadplus({})
    assert not needs_identity_provider({"OIDC_ISSUER": "https://keycloak.example.org/realms/sales"})
    assert needs_identity_provider({})
