"""``flask woocommerce config show`` and ``set``."""

import json
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from tests.conftest import Cast
from tests.factories import CompanyFactory, PreferenceSchemaFactory, default_company
from tests.woocommerce_rows import KEYS, make_shop
from webapp import tenancy
from webapp.extensions import db
from webapp.models.woocommerce import WooCommerceShop


@pytest.fixture
def shop(cast: Cast) -> WooCommerceShop:
    """A shop that is connected."""
    row = make_shop()
    db.session.commit()
    return row


def run(app: Flask, cast: Cast, *arguments: str, given: str | None = None) -> tuple[int, str]:
    with tenancy.organisation(None):  # type: ignore[arg-type]
        result = app.test_cli_runner().invoke(
            args=["woocommerce", "config", *arguments, "--organisation", cast.organisation.slug],
            input=given,
            catch_exceptions=False,
        )
    return result.exit_code, result.output


def told(app: Flask, cast: Cast, *arguments: str, given: str | None = None) -> dict[str, Any]:
    code, output = run(app, cast, *arguments, "--json", given=given)
    assert code == 0, output
    values: dict[str, Any] = json.loads(output)
    return values


def kept() -> WooCommerceShop:
    db.session.expire_all()
    return db.session.scalars(select(WooCommerceShop)).one()


def test_a_shop_is_shown_without_its_keys(app: Flask, cast: Cast, shop: WooCommerceShop) -> None:
    shop.keep_credentials(KEYS)
    shop.keep_secrets(["hush"])
    db.session.commit()
    values = told(app, cast, "show")
    assert (values["name"], values["url"], values["company"]) == (shop.name, shop.url, default_company().name)
    assert (values["has_keys"], values["secrets"], values["active"]) == (True, 1, True)
    code, output = run(app, cast, "show", "--shop", shop.source)
    assert code == 0
    assert not any(secret in output for secret in (*KEYS.values(), "hush"))


def test_what_is_given_is_changed_and_the_rest_stays(app: Flask, cast: Cast, shop: WooCommerceShop) -> None:
    schema = PreferenceSchemaFactory()
    company = CompanyFactory(name="Autre société")
    db.session.commit()
    values = told(app, cast, "set", "--company", company.name, "--attribute", f"Mouture={schema.code}", "--inactive")
    assert (values["company"], values["attributes"]) == ("Autre société", {"Mouture": schema.code})
    assert (values["active"], values["url"], values["collected_by"]) == (False, shop.url, "shop")
    values = told(
        app, cast, "set", "--ships-from", "2026-11-01", "--collected-by", "crm", "--no-attributes", "--active"
    )
    assert values["ships_from"].startswith("2026-10-31T23:00")
    assert (values["attributes"], values["collected_by"], values["active"]) == ({}, "crm", True)


def test_keys_come_from_a_file_and_go_again(app: Flask, cast: Cast, shop: WooCommerceShop) -> None:
    lines = "\n".join(KEYS.values())
    assert told(app, cast, "set", "--keys-from", "-", given=lines)["has_keys"] is True
    assert kept().credentials_in_clear() == KEYS
    assert told(app, cast, "set", "--forget-keys")["has_keys"] is False
    code, output = run(app, cast, "set", "--keys-from", "-", given="ck_alone")
    assert code == 1
    assert "La clé a deux parties" in output


def test_a_secret_is_told_once_and_those_before_it_can_end(app: Flask, cast: Cast, shop: WooCommerceShop) -> None:
    first = told(app, cast, "set", "--new-secret")["secret"]
    second = told(app, cast, "set", "--new-secret")["secret"]
    assert first.isalnum()
    assert kept().secrets_in_clear() == [second, first]
    assert "secret" not in told(app, cast, "set", "--end-old-secrets")
    assert kept().secrets_in_clear() == [second]


def test_a_shop_is_connected(app: Flask, cast: Cast) -> None:
    values = told(app, cast, "set", "--connect", "--name", "Savons", "--url", "https://192.0.2.1/")
    assert (values["source"], values["company"]) == ("192.0.2.1", default_company().name)
    code, output = run(app, cast, "set", "--connect", "--name", "Encore", "--url", "https://192.0.2.1/")
    assert code == 1
    assert "Cette boutique est déjà connectée." in output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--url", "ftp://x"), "url"),
        (("--name", ""), "name"),
        (("--timezone", "Mars/Phobos"), "timezone"),
        (("--company", "Nulle part"), "company"),
        (("--attribute", "Mouture=inconnue"), "attribute_codes"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(
    app: Flask, cast: Cast, shop: WooCommerceShop, arguments: tuple[str, str], sentence: str
) -> None:
    code, output = run(app, cast, "set", *arguments)
    assert code == 1
    assert output.startswith(f"Error: {sentence}")
    assert kept().name == "Boutique 1"


def test_another_organisation_has_no_such_shop(app: Flask, cast: Cast, shop: WooCommerceShop) -> None:
    with tenancy.organisation(None):  # type: ignore[arg-type]
        result = app.test_cli_runner().invoke(
            args=["woocommerce", "config", "show", "--organisation", cast.other_organisation.slug]
        )
    assert result.exit_code == 1
    assert "Cette boutique n’existe pas." in result.output
