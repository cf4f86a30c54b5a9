"""What is sold in each zone, and at a postcode: by the versions of plans that are on sale."""

from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from sqlalchemy import select

from webapp.extensions import db
from webapp.models.covers import CoverPlanVersion, CoverPlanZone
from webapp.models.zones import CoverZone, CoverZonePrefix
from webapp.services.contact import existing_postcode
from webapp.services.covers import plans, zones


class SoldHere(NamedTuple):
    """A version on sale and its price per month, before tax; None where it is not sold."""

    version: CoverPlanVersion
    price: Decimal | None


class SoldInZone(NamedTuple):
    """A version on sale, and the zone of the table as it keeps it: None where it was written before that zone."""

    version: CoverPlanVersion
    kept: CoverPlanZone | None
    is_current: bool

    @property
    def price(self) -> Decimal | None:
        """Its price there per month, before tax; None where it is not sold."""
        return self.version.price if self.kept is None or self.kept.price is None else self.kept.price


@dataclass(frozen=True)
class ZoneRow:
    """A zone of the table, and what is sold there."""

    zone: CoverZone
    sold: list[SoldInZone]


@dataclass(frozen=True)
class PlacePrices:
    """What is sold at a postcode, and in which zone of the table it is, if in one."""

    postcode: str
    zone: CoverZone | None
    sold: list[SoldHere]


def list_rows() -> list[ZoneRow]:
    """The table by name, with what is sold in each zone."""
    sold = plans.list_sold()
    return [ZoneRow(zone, [_in_zone(version, zone) for version in sold]) for zone in zones.list_zones()]


def _in_zone(version: CoverPlanVersion, zone: CoverZone) -> SoldInZone:
    kept = next((each for each in version.zones if each.code == zone.code), None)
    return SoldInZone(version, kept, kept is not None and kept.prefixes == zone.prefixes)


def look_up(written: str) -> PlacePrices:
    """What is sold at a postcode. Raises InvalidInputError (field « postcode »)."""
    postcode = existing_postcode(written)
    sold = [SoldHere(version, version.price_at(postcode)) for version in plans.list_sold()]
    statement = (
        select(CoverZone)
        .join(CoverZonePrefix, CoverZonePrefix.zone_id == CoverZone.id)
        .where(CoverZonePrefix.prefix.in_([postcode[:length] for length in range(1, 6)]))
        .order_by(CoverZonePrefix.prefix.desc())  # all of them begin alike, so that the last one is the longest
        .limit(1)
    )
    return PlacePrices(postcode, db.session.scalar(statement), sold)
