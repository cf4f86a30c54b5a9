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

from pydantic import AliasChoices, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from webapp.crypto import Keyring

SECRETS = ("SECRET_KEY", "CRM_DATA_KEYS", "OIDC_CLIENT_SECRET", "WINLEADPLUS_CLIENT_SECRET")


class ConfigurationError(Exception):
    """The environment does not add up; the message names the variable and says what is wrong with it."""


class Settings(BaseSettings):
    """Everything the environment decides. Field names in lower case are the variables' names."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    crm_env: Literal["development", "production", "test"] = "development"
    crm_home: Path = Path(".local")
    host: str = "127.0.0.1"
    port: int = 8000
    database_url: str
    database_owner_url: str | None = None
    redis_url: str
    secret_key: str = Field(min_length=32)
    crm_data_keys: str
    public_url: str = ""
    trusted_hosts: str = ""
    oidc_issuer: str
    oidc_client_id: str = "crm"
    oidc_client_secret: str
    winleadplus_client_id: str = "crm-sync"
    winleadplus_client_secret: str
    external_api_url: str = Field(validation_alias=AliasChoices("EXTERNAL_API_URL", "WINLEADPLUS_API_URL"))
    winleadplus_allow_private: bool = False
    crm_organisation: str = "demo"
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

    @field_validator("external_api_url", "oidc_issuer", "public_url")
    @classmethod
    def _is_web_address(cls, value: str) -> str:
        if value and urlsplit(value).scheme not in ("http", "https"):
            raise ValueError("an http or https address is needed")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _production_is_strict(self) -> "Settings":
        if self.is_production:
            if self.crm_now is not None:
                raise ValueError("CRM_NOW moves the clock: it is refused in production")
            if not self.public_url.startswith("https://"):
                raise ValueError("PUBLIC_URL must be an https address in production")
        return self

    @property
    def is_production(self) -> bool:
        """Whether real money and real people are behind this process."""
        return self.crm_env == "production"

    @property
    def base_url(self) -> str:
        """The address that people type, without a trailing slash."""
        return self.public_url or f"http://{self.host}:{self.port}"

    @property
    def hosts(self) -> list[str]:
        """Host names that requests may carry; anything else is refused."""
        named = [host.strip() for host in self.trusted_hosts.split(",") if host.strip()]
        own = urlsplit(self.base_url).hostname or self.host
        return named or [own] + ([] if self.is_production else ["127.0.0.1", "localhost"])

    @property
    def keyring(self) -> Keyring:
        """The data keys, parsed."""
        return Keyring.parse(self.crm_data_keys)

    @property
    def session_cookie_name(self) -> str:
        """``__Host-`` binds the cookie to https and this host; in development PORT keeps two homes apart."""
        return "__Host-session" if self.is_production else f"session-{self.port}"


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read and check the settings. Raises ConfigurationError naming every variable at fault."""
    given = {name: value for name, value in (os.environ if environ is None else environ).items() if value != ""}
    if given.get("CRM_ENV", "development") == "production":
        _refuse_missing_secrets(given)
    else:
        given = {**_from_home(Path(given.get("CRM_HOME", ".local"))), **given}
    try:
        return Settings(**_by_field(given))
    except ValidationError as error:
        faults = "; ".join(f"{_variable(fault['loc'])}: {fault['msg']}" for fault in error.errors())
        raise ConfigurationError(f"{faults}. In development, start bin/dev or set the variable.") from error


def _by_field(environ: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in Settings.model_fields:
        aliases = ["EXTERNAL_API_URL", "WINLEADPLUS_API_URL"] if name == "external_api_url" else [name.upper()]
        found = next((environ[alias] for alias in aliases if alias in environ), None)
        if found is not None:
            values[name] = found
    return values


def _variable(location: tuple[int | str, ...]) -> str:
    return str(location[0]).upper() if location else "settings"


def _refuse_missing_secrets(environ: Mapping[str, str]) -> None:
    for name in SECRETS:
        value = environ.get(name, "")
        if not value:
            raise ConfigurationError(f"{name} is missing: production has no default for it.")
        if value.lower() in {"changeme", "change-me", "secret", "dev", "demo", "default"} or value.startswith("${"):
            raise ConfigurationError(f"{name} still has a placeholder value.")


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
