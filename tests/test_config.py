"""What the environment decides, and what it may not decide in production."""

import json
import re
from pathlib import Path

import pytest

from webapp.config import ConfigurationError, Settings, load_settings

DATA_KEY = "k1:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
PRODUCTION = {
    "CRM_ENV": "production",
    "DATABASE_URL": "postgresql://crm_app:7fG2kQ9xLm4P@db.internal/crm",
    "REDIS_URL": "redis://:Wq8rT5yU2iO9@redis.internal:6379/0",
    "SECRET_KEY": "QmVhdXRpZnVsIGlzIGJldHRlciB0aGFuIHVnbHku",
    "CRM_DATA_KEYS": DATA_KEY,
    "PUBLIC_URL": "https://crm.example.fr",
    "OIDC_ISSUER": "https://sso.example.fr/realms/crm",
    "OIDC_CLIENT_SECRET": "hV7sK2pQ4mZ1",
    "WINLEADPLUS_CLIENT_SECRET": "aB3dE5fG7hJ9",
    "EXTERNAL_API_URL": "https://api.winleadplus.example/prospects",
}


def load(**changes: str | None) -> Settings:
    """Production's settings with changes; None leaves a variable out."""
    return load_settings({name: value for name, value in {**PRODUCTION, **changes}.items() if value is not None})


def in_home(home: Path, **environ: str) -> Settings:
    return load_settings({"CRM_HOME": str(home), **environ})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """What the first run and a running bin/dev leave behind."""
    secrets = {name: PRODUCTION[name] for name in ("SECRET_KEY", "CRM_DATA_KEYS", "OIDC_CLIENT_SECRET")}
    (tmp_path / "secrets.json").write_text(json.dumps(secrets | {"WINLEADPLUS_CLIENT_SECRET": "made-on-first-run"}))
    running = {
        "DATABASE_URL": "postgresql://crm_app:pw@127.0.0.1:15432/crm",
        "DATABASE_OWNER_URL": "postgresql://crm_owner:pw@127.0.0.1:15432/crm",
        "REDIS_URL": "redis://127.0.0.1:16379",
        "OIDC_ISSUER": "http://127.0.0.1:18080/realms/crm",
        "WINLEADPLUS_URL": "http://127.0.0.1:18081/api/prospects",
        "pids": {"web": 1},
    }
    (tmp_path / "dev.json").write_text(json.dumps(running))
    return tmp_path


def test_production_starts_with_everything_set() -> None:
    settings = load()
    assert settings.is_production
    assert settings.database_url.startswith("postgresql+psycopg://")
    assert settings.database_owner_url is None
    assert settings.session_cookie_name == "__Host-session"
    assert settings.base_url == "https://crm.example.fr"


@pytest.mark.parametrize("name", [name for name in PRODUCTION if name not in ("CRM_ENV", "PUBLIC_URL")])
@pytest.mark.parametrize("value", [None, ""])
def test_production_refuses_to_start_without(name: str, value: str | None) -> None:
    with pytest.raises(ConfigurationError, match=name):
        load(**{name: value})


def test_production_names_everything_at_fault_at_once() -> None:
    with pytest.raises(ConfigurationError, match=r"SECRET_KEY still.*OIDC_CLIENT_SECRET: Field required"):
        load(SECRET_KEY="a" * 40, OIDC_CLIENT_SECRET=None)


@pytest.mark.parametrize("name", ["SECRET_KEY", "OIDC_CLIENT_SECRET", "WINLEADPLUS_CLIENT_SECRET"])
@pytest.mark.parametrize("value", ["changeme", "CHANGE-ME", "secret", "demo", "${SECRET}", "<secret>", "x" * 40])
def test_production_refuses_a_placeholder(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} still has a placeholder value"):
        load(**{name: value})


@pytest.mark.parametrize("name", ["DATABASE_URL", "DATABASE_OWNER_URL"])
def test_production_refuses_a_placeholder_as_a_databases_password(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} still"):
        load(**{name: "postgresql://crm_app:changeme@db.internal/crm"})


def test_production_refuses_a_data_key_of_one_letter() -> None:
    with pytest.raises(ConfigurationError, match="CRM_DATA_KEYS still"):
        load(CRM_DATA_KEYS=f"k0:{'A' * 43}=,{DATA_KEY}")


@pytest.mark.parametrize("keys", ["k1", "k1:tooshort", ":" + DATA_KEY[3:], "k1:é", f"{DATA_KEY},"])
def test_data_keys_that_are_none_are_refused(keys: str) -> None:
    with pytest.raises(ConfigurationError, match="CRM_DATA_KEYS: "):
        load(CRM_DATA_KEYS=keys)


def test_a_short_secret_key_is_refused_without_being_quoted() -> None:
    with pytest.raises(ConfigurationError, match="SECRET_KEY") as error:
        load(SECRET_KEY="short-but-precious")
    assert "precious" not in f"{error.value!r} {error.value.__cause__!r}"


def test_secrets_stay_out_of_the_settings_repr() -> None:
    text = repr(load(DATABASE_OWNER_URL="postgresql://crm_owner:Zx5cV8bN1mK3@db.internal/crm"))
    for secret in ("7fG2kQ9xLm4P", "Zx5cV8bN1mK3", PRODUCTION["SECRET_KEY"], DATA_KEY, "hV7sK2pQ4mZ1", "aB3dE5fG7hJ9"):
        assert secret not in text


def test_production_refuses_a_moved_clock() -> None:
    with pytest.raises(ConfigurationError, match=r"CRM_NOW: .* refused in production"):
        load(CRM_NOW="2026-01-31T10:00:00Z")


@pytest.mark.parametrize("address", ["http://crm.example.fr", None])
def test_production_is_served_over_https(address: str | None) -> None:
    with pytest.raises(ConfigurationError, match="PUBLIC_URL: must be an https address"):
        load(PUBLIC_URL=address)


def test_production_reads_nothing_from_a_home(home: Path) -> None:
    with pytest.raises(ConfigurationError, match="REDIS_URL"):
        load(REDIS_URL=None, CRM_HOME=str(home))


def test_development_finds_the_servers_and_secrets_of_its_home(home: Path) -> None:
    settings = in_home(home)
    assert settings.database_url == "postgresql+psycopg://crm_app:pw@127.0.0.1:15432/crm"
    assert settings.database_owner_url == "postgresql+psycopg://crm_owner:pw@127.0.0.1:15432/crm"
    assert settings.external_api_url == "http://127.0.0.1:18081/api/prospects"
    assert settings.winleadplus_client_secret == "made-on-first-run"
    assert not settings.is_production


def test_what_is_set_wins_over_the_home(home: Path) -> None:
    assert in_home(home, REDIS_URL="redis://127.0.0.1:7000").redis_url == "redis://127.0.0.1:7000"
    assert in_home(home, OIDC_ISSUER="https://sso.example.fr/realms/x").oidc_issuer == "https://sso.example.fr/realms/x"


def test_nothing_but_what_is_given_is_read(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_ORGANISATION", "from-the-process")
    assert in_home(home).crm_organisation == "demo"


def test_without_a_home_development_says_what_is_missing_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"DATABASE_URL: .*start bin/dev"):
        in_home(tmp_path)


def test_a_damaged_dev_json_counts_as_none(home: Path) -> None:
    (home / "dev.json").write_text('{"DATABASE_URL": "postgres')
    with pytest.raises(ConfigurationError, match="DATABASE_URL"):
        in_home(home)


def test_defaults_are_those_of_the_manual(home: Path) -> None:
    settings = in_home(home)
    assert (settings.host, settings.port, settings.base_url) == ("127.0.0.1", 8000, "http://127.0.0.1:8000")
    assert (settings.oidc_client_id, settings.winleadplus_client_id) == ("crm", "crm-sync")
    assert (settings.crm_organisation, settings.crm_schedule, settings.crm_now) == ("demo", True, None)


def test_two_homes_on_one_machine_have_cookies_of_their_own(home: Path) -> None:
    assert in_home(home, PORT="8001").session_cookie_name != in_home(home, PORT="8002").session_cookie_name


@pytest.mark.parametrize(("text", "is_on"), [("on", True), ("off", False), ("OFF", False), ("1", True), ("0", False)])
def test_the_schedule_is_on_or_off(home: Path, text: str, is_on: bool) -> None:
    assert in_home(home, CRM_SCHEDULE=text).crm_schedule is is_on


@pytest.mark.parametrize(("name", "value"), [("CRM_SCHEDULE", "perhaps"), ("PORT", "http"), ("CRM_ENV", "prod")])
def test_a_value_that_means_nothing_is_named(home: Path, name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        in_home(home, **{name: value})


@pytest.mark.parametrize("instant", ["2026-01-31T10:00:00Z", "2026-01-31T11:00:00+01:00", "2026-01-31T10:00:00"])
def test_the_clock_may_be_moved_in_development(home: Path, instant: str) -> None:
    moved = in_home(home, CRM_NOW=instant).crm_now
    assert moved is not None
    assert moved.isoformat() in ("2026-01-31T10:00:00+00:00", "2026-01-31T11:00:00+01:00")


def test_the_api_has_an_alias_and_its_own_name_wins() -> None:
    other = "https://other.example/prospects"
    assert load(EXTERNAL_API_URL=None, WINLEADPLUS_API_URL=other).external_api_url == other
    assert load(WINLEADPLUS_API_URL=other).external_api_url == PRODUCTION["EXTERNAL_API_URL"]


@pytest.mark.parametrize("name", ["OIDC_ISSUER", "EXTERNAL_API_URL"])
def test_an_address_is_a_web_address(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name}: an http or https address is needed"):
        load(**{name: "file:///etc/passwd"})


def test_requests_may_name_our_address_or_loopback_unless_hosts_are_listed() -> None:
    assert load().hosts == ["crm.example.fr", "127.0.0.1", "localhost"]
    assert load(TRUSTED_HOSTS="crm.example.fr, intranet").hosts == ["crm.example.fr", "intranet"]


def test_settings_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().crm_env = "development"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("OIDC_ISSUER", "http://sso.example.fr/realms/crm", "must be an https address"),
        ("EXTERNAL_API_URL", "http://api.winleadplus.example/prospects", "must be an https address"),
        ("STRIPE_API_URL", "https://stripe.example", "not Stripe's own address"),
        ("COLISSIMO_URL", "https://colissimo.example", "is for tests"),
        ("CHRONOPOST_URL", "https://chronopost.example", "is for tests"),
        ("REDIS_URL", "redis://redis.internal:6379/0", "needs a password"),
        ("TRUSTED_HOSTS", "crm.example.fr,*", "no « * »"),
        ("OIDC_CLIENT_SECRET", "azerty123", "can be guessed"),
        ("WINLEADPLUS_CLIENT_SECRET", "abcabcabcabcabc", "can be guessed"),
        ("DATABASE_URL", "postgresql://crm_app:crm@db.internal/crm", "can be guessed"),
        ("REDIS_URL", "redis://:redis@redis.internal:6379/0", "can be guessed"),
    ],
)
def test_production_refuses_by_name(name: str, value: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name}.*{re.escape(sentence)}"):
        load(**{name: value})


def test_production_refuses_one_secret_in_two_places() -> None:
    with pytest.raises(
        ConfigurationError, match="OIDC_CLIENT_SECRET and WINLEADPLUS_CLIENT_SECRET have the same value"
    ):
        load(WINLEADPLUS_CLIENT_SECRET=PRODUCTION["OIDC_CLIENT_SECRET"])


def test_production_takes_an_issuer_on_the_machine_itself_and_a_private_endpoint_that_was_allowed() -> None:
    assert load(OIDC_ISSUER="http://127.0.0.1:8080/realms/crm").is_production
    assert load(EXTERNAL_API_URL="http://10.0.0.7/prospects", WINLEADPLUS_ALLOW_PRIVATE="true").is_production


def test_an_installation_that_lacks_only_crm_env_does_not_start_as_development() -> None:
    with pytest.raises(ConfigurationError, match="CRM_ENV: all is set as for production"):
        load(CRM_ENV=None)
    assert not load(CRM_ENV="development").is_production


def test_production_has_no_organisation_for_tokens_that_name_none() -> None:
    assert load().crm_organisation == ""
    assert load(CRM_ORGANISATION="acme").crm_organisation == "acme"
