"""0060: versions that named beginnings of postcodes go on to be sold where they were, at the price that they had."""

from collections.abc import Iterator
from decimal import Decimal
from importlib import import_module
from uuid import UUID

import pytest
from flask import Flask
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
TABLES = ("cover_plan_versions", "cover_zones", "cover_zone_prefixes", "cover_plan_zones", "cover_sales")
OLD_VERSION = """
INSERT INTO cover_plan_versions (organisation_id, id, version, postcodes, price, retired_at)
VALUES (:ours, :id, :version, :postcodes, :price, CASE WHEN :retired THEN now() END)
"""


@pytest.fixture
def connection(app: Flask, settings: Settings) -> Iterator[Connection]:
    """A transaction with tables of its own in the place of the real ones, as they were before: nobody waits for it."""
    engine = create_engine(settings.database_url)
    with engine.connect() as opened:
        for table in TABLES:
            opened.execute(text(f"CREATE TEMPORARY TABLE {table} AS SELECT * FROM public.{table} LIMIT 0"))
        opened.execute(text("ALTER TABLE cover_plan_versions ADD postcodes varchar(10)[]"))
        yield opened
        opened.rollback()
    engine.dispose()


def test_what_was_sold_somewhere_is_sold_there_at_the_same_price(connection: Connection) -> None:
    migration = import_module("migrations.versions.0060_zones")
    for version, (postcodes, price, retired) in VERSIONS.items():
        row = {
            "ours": OURS,
            "id": UUID(int=version),
            "version": version,
            "postcodes": postcodes,
            "price": Decimal(price),
        }
        connection.execute(text(OLD_VERSION), row | {"retired": retired})
        sale = "INSERT INTO cover_sales (organisation_id, plan_version_id) VALUES (:ours, :id)"
        connection.execute(text(sale), {"ours": OURS, "id": UUID(int=version)})
    for statement in (migration.FILL_SALES, migration.ZONES, *migration.FILL_ZONES):
        connection.execute(text(statement))

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

    for statement in migration.TAKE_BACK:
        connection.execute(text(statement))
    back = connection.execute(text("SELECT version, postcodes, price FROM cover_plan_versions ORDER BY version"))
    expected = [(version, sorted(postcodes), Decimal(price)) for version, (postcodes, price, _) in VERSIONS.items()]
    assert [(row.version, sorted(row.postcodes), row.price) for row in back] == expected
