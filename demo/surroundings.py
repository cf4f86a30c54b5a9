"""The environment that bin/dev gives to the processes it starts: what was set outside first, our own servers else."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from demo.embedded import Server, database_url, redis_url
from demo.home import secrets_of

Environment = dict[str, str]

OWNERS_ADDRESS = "DATABASE_OWNER_URL"
PRETEND_WORLD = (
    ("identity", "OIDC_ISSUER", "/realms/crm", "OIDC_CLIENT_SECRET"),
    ("winleadplus", "EXTERNAL_API_URL", "/api/prospects", ""),
    ("payment", "PAYMENT_SANDBOX_URL", "", "PAYMENT_SANDBOX_SECRET"),
    ("maildev", "MAILDEV_URL", "", ""),
    ("sms", "SMS_SANDBOX_URL", "", ""),
    ("carrier", "CARRIER_SANDBOX_URL", "", ""),
    ("woocommerce", "WOOCOMMERCE_SHOP_URL", "", "WOOCOMMERCE_SHOP_SECRET"),
    ("operator", "DEPANSSUR_OPERATOR_URL", "", "DEPANSSUR_OPERATOR_SECRET"),
)
"""Of each of its servers: the variable with its address, the path in it, and the variable with its secret."""
SERVERS_ADDRESSES = ["DATABASE_URL", OWNERS_ADDRESS, "REDIS_URL"]


def needs_identity_provider(given: Mapping[str, str]) -> bool:
    return "OIDC_ISSUER" not in given


def needs_winleadplus(given: Mapping[str, str]) -> bool:
    return "EXTERNAL_API_URL" not in given and "WINLEADPLUS_API_URL" not in given


def needs_payment_provider(given: Mapping[str, str]) -> bool:
    return "PAYMENT_SANDBOX_URL" not in given


def needs_maildev(given: Mapping[str, str]) -> bool:
    return "MAILDEV_URL" not in given


def needs_sms_gateway(given: Mapping[str, str]) -> bool:
    return "SMS_SANDBOX_URL" not in given


def needs_carrier(given: Mapping[str, str]) -> bool:
    return "CARRIER_SANDBOX_URL" not in given


def needs_woocommerce(given: Mapping[str, str]) -> bool:
    return "WOOCOMMERCE_SHOP_URL" not in given


def needs_operator(given: Mapping[str, str]) -> bool:
    return "DEPANSSUR_OPERATOR_URL" not in given


def environment(
    home: Path, given: Mapping[str, str], servers: Mapping[str, Server], ports: Mapping[str, int]
) -> Environment:
    """The whole of it, with the owner's address, which only migrations should get.

    `servers` are the embedded ones (postgres, redis) and `ports` those of the pretend world (identity, winleadplus,
    payment, maildev and its smtp, sms, carrier, woocommerce, operator), as far as they are needed.
    """
    found = {name: value for name, value in given.items() if value != ""}
    for defaults in (_ours(home), _addresses(home, servers), _pretend_world(home, ports), _web(found)):
        found = defaults | found
    found.setdefault(OWNERS_ADDRESS, found["DATABASE_URL"])
    programs = Path(sys.executable).parent
    return found | {
        "CRM_HOME": str(home),
        "PATH": f"{programs}{os.pathsep}{found.get('PATH', os.defpath)}",
        "PYTHONUNBUFFERED": "1",
    }


def for_application(everything: Environment) -> Environment:
    """What web, workers and scheduler get: they never migrate."""
    return {name: value for name, value in everything.items() if name != OWNERS_ADDRESS}


def for_pretend_world(everything: Environment, ports: Mapping[str, int]) -> Environment:
    """What the pretend servers get: they stand outside, and have no business in our database."""
    outside = {name: value for name, value in everything.items() if name not in SERVERS_ADDRESSES}
    return outside | {f"{name.upper()}_PORT": str(port) for name, port in ports.items()}


def _ours(home: Path) -> Environment:
    kept = secrets_of(home)
    return {name: kept[name] for name in ("SECRET_KEY", "CRM_DATA_KEYS", "WINLEADPLUS_CLIENT_SECRET")} | {
        "OIDC_CLIENT_ID": "crm",
        "WINLEADPLUS_CLIENT_ID": "crm-sync",
    }


def _addresses(home: Path, servers: Mapping[str, Server]) -> Environment:
    found = {}
    if postgres := servers.get("postgres"):
        found["DATABASE_URL"] = database_url(home, postgres, "crm_app")
        found[OWNERS_ADDRESS] = database_url(home, postgres, "crm_owner")
    if redis := servers.get("redis"):
        found["REDIS_URL"] = redis_url(home, redis)
    return found


def _pretend_world(home: Path, ports: Mapping[str, int]) -> Environment:
    kept, found = secrets_of(home), {}
    for name, address, path, secret in PRETEND_WORLD:
        if port := ports.get(name):
            found[address] = f"http://127.0.0.1:{port}{path}"
            found |= {secret: kept[secret]} if secret else {}
    if "maildev" in ports:
        found["MAILDEV_SMTP"] = f"127.0.0.1:{ports['smtp']}"
    return found


def _web(given: Mapping[str, str]) -> Environment:
    host, port = given.get("HOST", "127.0.0.1"), given.get("PORT", "8000")
    reachable = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104  # compared, not bound
    return {"HOST": host, "PORT": port, "PUBLIC_URL": f"http://{reachable}:{port}"}
