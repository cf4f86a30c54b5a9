"""0060: versions that named beginnings of postcodes go on to be sold where they were, at the price that they had."""

from collections.abc import Iterator
from decimal import Decimal
from importlib import import_module
from uuid import UUID

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection, create_engine, text

from webapp.config import Settings
from webapp.models.covers import CoverPlanVersion, CoverPlanZone

OURS = UUID(int=1)
VERSIONS = {  # number of the version: its postcodes, its price, whether it was retired
    1: (["59"], "9.90", True),
    2: ([], "10.00", True),
    3: (["59", "62", "590"], "12.00", False),
    4: (["59", "62", "75"], "15.00", False),
    5: ([], "20.00", False),
}
POSTCODES = ("59000", "59100", "62000", "75011", "13001")
OLD_ROWS = """
INSERT INTO organisations (id, slug, name, created_at) VALUES (:ours, 'essai', 'Essai', now());
INSERT INTO companies (organisation_id, id, name, created_at) VALUES (:ours, :ours, 'Essai', now());
INSERT INTO clients (organisation_id, id, status, last_name, first_name, changed_at, created_at)
VALUES (:ours, :ours, 'active', 'Durand', 'Zoé', now(), now())
"""
OLD_VERSION = """
WITH plan AS (
  INSERT INTO cover_plans (organisation_id, id, company_id, code, label, created_at)
  VALUES (:ours, gen_random_uuid(), :ours, 'PLAN-' || :version, 'Confort', now()) RETURNING id
), added AS (
  INSERT INTO cover_plan_versions (organisation_id, id, plan_id, version, nature, year, trades, waiting_days,
    deductible, home_kinds, postcodes, price, vat_rate, published_at, retired_at, created_at)
  SELECT :ours, gen_random_uuid(), id, :version, 'insurance', 'civil', '{}', 0, 0, '{}', :postcodes, :price, 9, now(),
    CASE WHEN :retired THEN now() END, now() FROM plan RETURNING id
)
INSERT INTO cover_sales (organisation_id, id, client_id, step, changed_at, created_at, plan_version_id, signed_at,
  signed_by)
SELECT :ours, gen_random_uuid(), :ours, 'signature', now(), now(), id, now(), 'paper' FROM added
"""


@pytest.fixture
def connection(settings: Settings) -> Iterator[Connection]:
    """The database's owner in a transaction that is never committed: it goes a migration back, and forth again."""
    engine = create_engine(settings.database_owner_url or "")
    with engine.connect() as opened, Operations.context(MigrationContext.configure(opened)):
        yield opened
        opened.rollback()
    engine.dispose()


def test_what_was_sold_somewhere_is_sold_there_at_the_same_price(connection: Connection) -> None:
    migration = import_module("migrations.versions.0060_zones")
    migration.downgrade()
    for statement in OLD_ROWS.split(";"):
        connection.execute(text(statement), {"ours": OURS})
    for version, (postcodes, price, retired) in VERSIONS.items():
        values = {"version": version, "postcodes": postcodes, "price": Decimal(price), "retired": retired}
        connection.execute(text(OLD_VERSION), {"ours": OURS} | values)
    migration.upgrade()

    kept = connection.execute(
        text("SELECT * FROM cover_plan_zones z JOIN cover_plan_versions v ON v.id = z.version_id")
    )
    zones = [(row.version, CoverPlanZone(code=row.code, prefixes=row.prefixes, price=row[5])) for row in kept]
    prices = connection.execute(text("SELECT version, price FROM cover_plan_versions"))
    general = {row.version: row.price for row in prices}
    for version, (postcodes, price, _) in VERSIONS.items():
        now = CoverPlanVersion(price=general[version], zones=[zone for of, zone in zones if of == version])
        for postcode in POSTCODES:
            was_sold = not postcodes or postcode.startswith(tuple(postcodes))
            assert now.price_at(postcode) == (Decimal(price) if was_sold else None), (version, postcode)
    table = connection.execute(
        text("SELECT zone_id, array_agg(prefix ORDER BY prefix) FROM cover_zone_prefixes GROUP BY 1")
    )
    assert sorted(prefixes for _, prefixes in table) == [["59", "62"], ["590"], ["75"]]
    chosen = connection.execute(text("SELECT plan_price FROM cover_sales ORDER BY plan_price"))
    assert list(chosen.scalars()) == sorted(Decimal(price) for _, price, _ in VERSIONS.values())

    migration.downgrade()
    back = connection.execute(text("SELECT version, postcodes, price FROM cover_plan_versions ORDER BY version"))
    expected = [(version, sorted(postcodes), Decimal(price)) for version, (postcodes, price, _) in VERSIONS.items()]
    assert [(row.version, sorted(row.postcodes), row.price) for row in back] == expected
