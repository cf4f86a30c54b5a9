"""Deliveries of a shop: received at 200 a second by one web process, then handled by one worker."""

import sys
from datetime import UTC, datetime

from bench.client_data import ORGANISATION
from bench.databases import open_database, settings_of
from bench.deliveries import Sender, measure
from bench.report import Report
from bench.webhook_data import FLOOR_HOOK, SECRET, SHOP, make_deliveries, request_of
from webapp import tenancy
from webapp.extensions import db
from webapp.factory import create_app
from webapp.models.base import new_id
from webapp.models.organisations import Company, Organisation
from webapp.models.woocommerce import WooCommerceShop
from webapp.services.woocommerce import handling

RECEIVER, FLOOR = "/webhooks/woocommerce", "/plancher/boutique"


def run(size: int = 20_000) -> Report:
    """Receive ``size`` deliveries, then handle them."""
    environment = open_database("bench_webhooks", fill=lambda _owner: None, is_full="SELECT false")
    with create_app(settings_of(environment)).app_context():
        _open_shop()
        db.engine.dispose()
    print(f"{size:,} deliveries: preparing", file=sys.stderr, flush=True)
    deliveries = make_deliveries(size)

    def request(number: int, *, is_floor: bool) -> bytes:
        return request_of(deliveries[number], number, FLOOR if is_floor else RECEIVER, is_floor=is_floor)

    shop = Sender(
        name="webhooks",
        path=RECEIVER,
        floor=FLOOR,
        table="woocommerce_events",
        is_floors=f"webhook_id = {FLOOR_HOOK}",
        status=200,
        ping=f"POST {RECEIVER} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Length: 12\r\n\r\nwebhook_id=1".encode(),
        request_of=request,
        handle_due=handling.handle_due,
    )
    return measure(shop, environment, size)


def _open_shop() -> None:
    organisation = Organisation(id=ORGANISATION, slug="bench", name="Bench")
    db.session.add(organisation)
    db.session.flush()
    with tenancy.organisation(ORGANISATION):
        company = Company(id=new_id(), name="Bench", siren="732829320", is_default=True)
        db.session.add(company)
        db.session.flush()
        address = {"url": "https://boutique.example", "source": "boutique.example"}
        long_ago = datetime(2020, 1, 1, tzinfo=UTC)
        shop = WooCommerceShop(id=SHOP, company_id=company.id, name="Bench", ships_from=long_ago, **address)
        shop.organisation_id = ORGANISATION
        shop.keep_secrets([SECRET])
        db.session.add(shop)
        db.session.commit()
