"""Settings: one frozen object, read from the environment and checked at start-up.

In development what is missing is taken from the embedded servers of a running ``bin/dev`` (``dev.json`` in
CRM_HOME) and from secrets made on first run (``secrets.json`` there). In production a missing or default
secret stops the start, by name.
"""

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from webapp.crypto import Keyring

SECRETS = (
    "SECRET_KEY",
    "CRM_DATA_KEYS",
    "OIDC_CLIENT_SECRET",
    "WINLEADPLUS_CLIENT_SECRET",
    "PAYMENT_SANDBOX_SECRET",
)
PLACEHOLDERS = ("changeme", "change-me", "change_me", "secret", "password", "dev", "demo", "test", "default", "example")
COMPLETE = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "CRM_DATA_KEYS", "OIDC_ISSUER", "OIDC_CLIENT_SECRET")
"""What an installation for production sets itself, and bin/dev does not, beside PUBLIC_URL."""
SECRET_LENGTH = 12
SECRET_LETTERS = 6
ALIASES = {"EXTERNAL_API_URL": ("WINLEADPLUS_API_URL",)}
LOOPBACK = ["127.0.0.1", "localhost"]


class ConfigurationError(Exception):
    """The environment does not add up; the message names the variable and says what is wrong with it."""


class Settings(BaseModel):
    """Everything the environment decides. A field's name in capitals is the variable's.

    Secrets stay out of its repr, and values out of its errors: both end up in logs.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    crm_env: Literal["development", "production", "test"] = "development"
    crm_home: Path = Path(".local")
    documents_dir: Path | None = None
    documents_quota_mb: int = Field(default=5_000, ge=1)
    host: str = "127.0.0.1"
    port: int = 8000
    database_url: str = Field(repr=False)
    database_owner_url: str | None = Field(default=None, repr=False)
    redis_url: str = Field(repr=False)
    secret_key: str = Field(min_length=32, repr=False)
    crm_data_keys: str = Field(repr=False)
    public_url: str = ""
    trusted_hosts: str = ""
    oidc_issuer: str
    oidc_client_id: str = "crm"
    oidc_client_secret: str = Field(repr=False)
    winleadplus_client_id: str = "crm-sync"
    winleadplus_client_secret: str = Field(repr=False)
    external_api_url: str
    winleadplus_allow_private: bool = False
    woocommerce_allow_private: bool = False
    payment_sandbox_url: str = ""
    payment_sandbox_secret: str = Field(default="", repr=False)
    stripe_api_url: str = ""
    sms_sandbox_url: str = ""
    carrier_sandbox_url: str = ""
    colissimo_url: str = ""
    chronopost_url: str = ""
    crm_organisation: str = ""
    crm_schedule: bool = True
    crm_now: datetime | None = None
    log_level: str = "INFO"

    @field_validator("crm_data_keys")
    @classmethod
    def _keys_parse(cls, value: str) -> str:
        Keyring.parse(value)
        return value

    @field_validator("crm_now")
    @classmethod
    def _instant_is_aware(cls, value: datetime | None) -> datetime | None:
        return value.replace(tzinfo=UTC) if value and value.tzinfo is None else value

    @field_validator("database_url", "database_owner_url")
    @classmethod
    def _name_the_driver(cls, value: str | None) -> str | None:
        if value and value.startswith(("postgresql://", "postgres://")):
            return "postgresql+psycopg://" + value.partition("://")[2]
        return value

    @field_validator(
        "external_api_url",
        "oidc_issuer",
        "public_url",
        "payment_sandbox_url",
        "stripe_api_url",
        "sms_sandbox_url",
        "carrier_sandbox_url",
        "colissimo_url",
        "chronopost_url",
    )
    @classmethod
    def _is_web_address(cls, value: str) -> str:
        if value and urlsplit(value).scheme not in ("http", "https"):
            raise ValueError("an http or https address is needed")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _production_is_strict(self) -> "Settings":
        faults = []
        if self.payment_sandbox_url and len(self.payment_sandbox_secret) < 16:
            faults.append("PAYMENT_SANDBOX_SECRET: at least 16 characters are needed with PAYMENT_SANDBOX_URL")
        if self.is_production:
            faults += self._faults_in_production()
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _faults_in_production(self) -> list[str]:
        """What would be put up with in development, by the name of its variable."""
        checks = {
            "CRM_NOW: moves the clock, and is refused in production": self.crm_now is None,
            "PUBLIC_URL: must be an https address in production": self.public_url.startswith("https://"),
            "OIDC_ISSUER: must be an https address in production": _is_safe(self.oidc_issuer),
            "EXTERNAL_API_URL: must be an https address in production, unless WINLEADPLUS_ALLOW_PRIVATE is set": (
                self.winleadplus_allow_private or self.external_api_url.startswith("https://")
            ),
            "STRIPE_API_URL: is not Stripe's own address; leave it unset in production": (
                self.stripe_api_url in ("", "https://api.stripe.com")
            ),
            "COLISSIMO_URL: is for tests; leave it unset in production": self.colissimo_url == "",
            "CHRONOPOST_URL: is for tests; leave it unset in production": self.chronopost_url == "",
            "REDIS_URL: needs a password in production": bool(urlsplit(self.redis_url).password),
            "TRUSTED_HOSTS: names hosts, and no « * », in production": "*" not in self.trusted_hosts,
        }
        return [fault for fault, is_well in checks.items() if not is_well]

    @property
    def is_production(self) -> bool:
        """Whether real money and real people are behind this process."""
        return self.crm_env == "production"

    @property
    def documents_folder(self) -> Path:
        """Where documents of clients are kept; never under static/."""
        return self.documents_dir or self.crm_home / "documents"

    @property
    def base_url(self) -> str:
        """The address that people type, without a trailing slash."""
        return self.public_url or f"http://{self.host}:{self.port}"

    @property
    def hosts(self) -> list[str]:
        """Host names that requests may carry; anything else is refused. Loopback is how health is asked on the spot."""
        named = [host.strip() for host in self.trusted_hosts.split(",") if host.strip()]
        own = urlsplit(self.base_url).hostname or self.host
        return named or list(dict.fromkeys([own, *LOOPBACK]))

    @property
    def keyring(self) -> Keyring:
        """The data keys, parsed."""
        return Keyring.parse(self.crm_data_keys)

    @property
    def session_cookie_name(self) -> str:
        """``__Host-`` binds the cookie to https and this host; in development PORT keeps two homes apart."""
        return "__Host-session" if self.is_production else f"session-{self.port}"


def _is_safe(address: str) -> bool:
    """Whether what is sent to ``address`` cannot be read on the way."""
    parts = urlsplit(address)
    return parts.scheme == "https" or parts.hostname in LOOPBACK


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read and check the settings. Raises ConfigurationError naming every variable at fault.

    An empty variable counts as absent: compose files set those that nobody filled in.
    """
    given = {name: value for name, value in (os.environ if environ is None else environ).items() if value != ""}
    in_production = given.get("CRM_ENV") == "production"
    if not in_production:
        _refuse_forgotten_environment(given)
        given = {**_from_home(Path(given.get("CRM_HOME", ".local"))), **given}
    if not in_production:
        given = {"CRM_ORGANISATION": "demo", **given}
    faults = _secrets_at_fault(given) if in_production else []
    try:
        settings = Settings(**_by_field(given))
    except ValidationError as error:
        faults += [_describe(fault["loc"], fault["msg"]) for fault in error.errors(include_input=False)]
    if faults:
        advice = "" if in_production else " In development, start bin/dev or set the variable."
        raise ConfigurationError(f"{'; '.join(faults)}.{advice}")
    return settings


def _refuse_forgotten_environment(given: Mapping[str, str]) -> None:
    """Everything is set as for production but CRM_ENV: it would run with development's leniency.

    Raises ConfigurationError.
    """
    is_complete = all(name in given for name in COMPLETE) and given.get("PUBLIC_URL", "").startswith("https://")
    if "CRM_ENV" not in given and is_complete:
        raise ConfigurationError(
            "CRM_ENV: all is set as for production; say CRM_ENV=production, or development if it is none."
        )


def _by_field(environ: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for field in Settings.model_fields:
        names = (field.upper(), *ALIASES.get(field.upper(), ()))
        faults = next((environ[name] for name in names if name in environ), None)
        if faults is not None:
            values[field] = faults
    return values


def _describe(location: tuple[int | str, ...], message: str) -> str:
    """A fault, with the variable's name in front; what concerns several says it itself."""
    message = message.removeprefix("Value error, ")
    return f"{str(location[0]).upper()}: {message}" if location else message


def _secrets_at_fault(environ: Mapping[str, str]) -> list[str]:
    """Secrets that stand there, and are no secrets. A missing one is named like any other missing variable."""
    secrets = {name: [environ.get(name, "")] for name in SECRETS}
    secrets["CRM_DATA_KEYS"] = [key.rpartition(":")[2] for key in environ.get("CRM_DATA_KEYS", "").split(",")]
    for name in ("DATABASE_URL", "DATABASE_OWNER_URL"):
        secrets[name] = [urlsplit(environ.get(name, "")).password or ""]
    secrets["REDIS_URL"] = [urlsplit(environ.get("REDIS_URL", "")).password or ""]
    faults = [
        f"{name} still has a placeholder value" for name, values in secrets.items() if any(map(_is_placeholder, values))
    ]
    faults += [
        f"{name} can be guessed: at least {SECRET_LENGTH} characters, {SECRET_LETTERS} of them different, are needed"
        for name, values in secrets.items()
        if any(secret and not _is_placeholder(secret) and _is_guessable(secret) for secret in values)
    ]
    return faults + _repeated(secrets)


def _is_guessable(secret: str) -> bool:
    return len(secret) < SECRET_LENGTH or len(set(secret)) < SECRET_LETTERS


def _repeated(secrets: Mapping[str, list[str]]) -> list[str]:
    """The same secret in two places: whoever learns one has the other."""
    holders: dict[str, list[str]] = {}
    for name, values in secrets.items():
        for secret in filter(None, values):
            holders.setdefault(secret, []).append(name)
    return [f"{' and '.join(names)} have the same value" for names in holders.values() if len(names) > 1]


def _is_placeholder(secret: str) -> bool:
    """What example files hold: a well-known word, « ${…} » or « <…> » left as it was, one character repeated."""
    return secret.lower() in PLACEHOLDERS or secret.startswith(("${", "<")) or (secret != "" and len(set(secret)) <= 2)


def _from_home(home: Path) -> dict[str, str]:
    """What a running ``bin/dev`` and the first run left in CRM_HOME, as if it stood in the environment."""
    values: dict[str, str] = {}
    for name in ("secrets.json", "dev.json"):
        try:
            content = json.loads((home / name).read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            continue
        values.update({key.upper(): value for key, value in content.items() if isinstance(value, str)})
    if "WINLEADPLUS_URL" in values:
        values.setdefault("EXTERNAL_API_URL", values["WINLEADPLUS_URL"])
    return values
