"""Prices by zone: the longest prefix wins, and what was published stays."""

from collections.abc import Mapping
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update
from sqlalchemy.exc import DBAPIError

from tests import factories
from tests.conftest import NOW
from webapp.extensions import db
from webapp.models.covers import CoverPlanVersion, CoverPlanZone
from webapp.services.covers import zone_prices, zones
from webapp.services.covers.zones import ZoneFields

PREFIXES = st.text("01", min_size=1, max_size=5)
PRICES = st.none() | st.integers(0, 3000).map(lambda cents: Decimal(cents) / 100)


def version_of(prices: Mapping[str, Decimal | None], general: Decimal | None) -> CoverPlanVersion:
    """A version with a zone for each prefix, not written down."""
    kept = [CoverPlanZone(code=prefix, prefixes=[prefix], price=price) for prefix, price in prices.items()]
    return CoverPlanVersion(price=general, zones=kept)


@given(st.dictionaries(PREFIXES, PRICES, max_size=12), PRICES, st.text("01", min_size=5, max_size=5))
def test_the_longest_prefix_says_the_price(
    prices: dict[str, Decimal | None], general: Decimal | None, postcode: str
) -> None:
    expected = general
    for length in range(1, 6):  # each longer one overrules the shorter ones
        if postcode[:length] in prices:
            own = prices[postcode[:length]]
            expected = general if own is None else own
    assert version_of(prices, general).price_at(postcode) == expected


@pytest.mark.parametrize(
    ("postcode", "price"),
    [("13001", None), ("13100", "9.00"), ("97400", "20.00"), ("97410", None), ("75001", "12.00"), ("59000", None)],
)
def test_a_zone_without_price_is_not_sold_even_within_a_larger_one(postcode: str, price: str | None) -> None:
    kept = [
        CoverPlanZone(code="BDR", prefixes=["13"], price=Decimal(9)),
        CoverPlanZone(code="MARSEILLE", prefixes=["130"], price=None),
        CoverPlanZone(code="REUNION", prefixes=["97400", "75"], price=Decimal(20)),
        CoverPlanZone(code="PARIS", prefixes=["750"], price=Decimal(12)),
    ]
    found = CoverPlanVersion(price=None, zones=kept).price_at(postcode)
    assert found == (None if price is None else Decimal(price))


@pytest.mark.parametrize("statement", ["price = 1", "prefixes = '{}'", "code = 'AUTRE'"])
def test_the_zones_of_a_published_version_never_change(cast: object, statement: str) -> None:
    factories.CoverPlanVersionFactory(zones={"59": "9.90"})
    with pytest.raises(DBAPIError, match="a published version of a plan never changes"):
        db.session.execute(db.text(f"UPDATE cover_plan_zones SET {statement}"))


def test_the_table_changes_and_a_published_version_keeps_its_prices(cast: object) -> None:
    zone = zones.create_zone("PARIS", ZoneFields(label="Paris", prefixes="75, 92"), at=NOW)
    version = factories.CoverPlanVersionFactory(published_at=None)
    zones.write_prices(version, {"PARIS": Decimal(15)})
    db.session.execute(update(CoverPlanVersion).values(published_at=NOW))
    zones.edit_zone(zone.id, ZoneFields(label="Paris", prefixes="59"))
    db.session.expire_all()
    assert (version.price_at("92100"), version.price_at("59000")) == (Decimal(15), Decimal("9.90"))
    place = zone_prices.look_up("59 000")
    assert (place.zone, [each.price for each in place.sold]) == (zone, [Decimal("9.90")])
    assert not zones.is_current(version)
    zones.drop_zone(zone.id)
    db.session.expire_all()
    assert version.price_at("75001") == Decimal(15)


def test_a_postcode_is_looked_up_by_the_longest_prefix_of_the_table(cast: object) -> None:
    for code, prefixes in (("BDR", "13"), ("MARSEILLE", "130"), ("PORT", "13002")):
        zones.create_zone(code, ZoneFields(label=code.capitalize(), prefixes=prefixes), at=NOW)
    found = [zone_prices.look_up(postcode).zone for postcode in ("13002", "13003", "13100", "83000")]
    assert [zone and zone.code for zone in found] == ["PORT", "MARSEILLE", "BDR", None]
