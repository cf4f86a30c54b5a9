"""``flask woocommerce pull`` and ``test``."""

import json
from collections.abc import Iterator

import pytest
from flask import Flask

from demo.woocommerce_shop import Shop
from tests import woocommerce_shop as shops
from tests.conftest import Cast
from tests.services.woocommerce.conftest import connect
from webapp import tenancy
from webapp.extensions import db
from webapp.gateways import woocommerce
from webapp.models.woocommerce import WooCommerceShop


@pytest.fixture
def shop(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A pretend shop, connected to the organisation of the cast."""
    monkeypatch.setattr(woocommerce, "REQUESTS_PER_SECOND", 10_000)
    with shops.running() as running:
        connect(running)
        db.session.commit()
        tenancy.enter_organisation(None)
        yield running


def run(app: Flask, cast: Cast, *arguments: str) -> tuple[int, str]:
    result = app.test_cli_runner().invoke(
        args=["woocommerce", *arguments, "--organisation", cast.organisation.slug], catch_exceptions=False
    )
    return result.exit_code, result.output


def test_a_shop_is_pulled(app: Flask, cast: Cast, shop: Shop) -> None:
    shop.world.buy()
    assert run(app, cast, "pull") == (0, "1 ressource mise à jour.\n")
    code, output = run(app, cast, "pull", "--since", "2026-01-01", "--json")
    told = json.loads(output)
    assert (code, told["scope"], told["status"], told["unchanged"]) == (0, "first", "success", 1)
    code, output = run(app, cast, "pull", "--nightly", "--json")
    assert json.loads(output)["scope"] == "nightly"


def test_a_failure_is_told_with_its_exit_code(app: Flask, cast: Cast, shop: Shop) -> None:
    shop.order({"mode": "401"})
    code, output = run(app, cast, "pull")
    assert (code, "clé REST" in output) == (1, True)
    code, output = run(app, cast, "test")
    assert (code, "clé REST" in output) == (1, True)


def test_a_shop_is_tested(app: Flask, cast: Cast, shop: Shop) -> None:
    shop.world.subscribe()
    assert run(app, cast, "test") == (0, "La boutique répond (WooCommerce 11.0.1).\n")
    assert json.loads(run(app, cast, "test", "--json")[1])["version"] == "11.0.1"


def test_which_shop_is_meant_is_said(app: Flask, cast: Cast, shop: Shop) -> None:
    assert run(app, cast, "pull", "--shop", "Ailleurs") == (1, "Error: Cette boutique n’existe pas.\n")
    assert run(app, cast, "pull", "--shop", shop.url)[0] == 0
    with tenancy.organisation(cast.organisation.id):
        first = db.session.query(WooCommerceShop).one()
        second = {"name": "Autre", "url": "https://autre.example", "source": "autre.example"}
        db.session.add(WooCommerceShop(company_id=first.company_id, **second))
        db.session.commit()
    code, output = run(app, cast, "test")
    assert (code, "Plusieurs boutiques conviennent" in output) == (1, True)
    assert run(app, cast, "test", "--shop", "La boutique")[0] == 0


def test_two_ways_at_once_are_refused(app: Flask, cast: Cast, shop: Shop) -> None:
    assert run(app, cast, "pull", "--nightly", "--since", "2026-01-01")[0] == 1
