"""The table of zones: postcodes by their beginnings, which versions of plans give prices.

It changes at any time and changes nothing that is sold: a version keeps the zones as they were when it was written.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.orm import selectinload

from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.covers import CoverPlanVersion, CoverPlanZone
from webapp.models.organisations import Organisation
from webapp.models.zones import CoverZone, CoverZonePrefix
from webapp.services.contact import clean_text
from webapp.services.covers.naming import checked_code, checked_label
from webapp.tenancy import current_organisation_id
from webapp.transactions import transaction

MOST_ZONES, MOST_PREFIXES = 100, 200
_PREFIX = re.compile(r"[0-9]{1,5}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class ZoneFields:
    """A zone as written; ``prefixes`` are separated by spaces or commas."""

    label: str
    prefixes: str


def list_zones() -> list[CoverZone]:
    """The table, by name."""
    statement = select(CoverZone).options(selectinload(CoverZone.beginnings))
    return list(db.session.scalars(statement.order_by(func.fold(CoverZone.label), CoverZone.code)))


def find_zone(zone_id: UUID) -> CoverZone:
    """A zone. Raises NotFoundError."""
    zone = db.session.scalar(select(CoverZone).where(CoverZone.id == zone_id).execution_options(populate_existing=True))
    if zone is None:
        raise NotFoundError("Cette zone n’existe pas ou plus.")
    return zone


def create_zone(code: str, written: ZoneFields, *, at: datetime) -> CoverZone:
    """Add a zone to the table. Raises InvalidInputError, naming the field."""
    code, label, prefixes = checked_code(code), checked_label(written.label), _checked_prefixes(written.prefixes)
    with transaction():
        _lock_table()
        if db.session.scalar(select(CoverZone.id).where(CoverZone.code == code)):
            raise InvalidInputError("Ce code est déjà celui d’une autre zone.", field="code")
        if db.session.scalar(select(func.count()).select_from(CoverZone)) == MOST_ZONES:
            raise InvalidInputError(f"Une organisation a {MOST_ZONES} zones au plus.", field="code")
        zone = CoverZone(code=code, label=label, created_at=at)
        db.session.add(zone)
        db.session.flush()
        _claim(zone, prefixes)
    return zone


def edit_zone(zone_id: UUID, written: ZoneFields) -> CoverZone:
    """Give a zone another name, or other postcodes. Raises NotFoundError; InvalidInputError, naming the field."""
    label, prefixes = checked_label(written.label), _checked_prefixes(written.prefixes)
    with transaction():
        _lock_table()
        zone = find_zone(zone_id)
        zone.label = label
        db.session.execute(delete(CoverZonePrefix).where(CoverZonePrefix.zone_id == zone_id))
        _claim(zone, prefixes)
        db.session.expire(zone, ["beginnings"])
    return zone


def drop_zone(zone_id: UUID) -> CoverZone:
    """Take a zone out of the table. Raises NotFoundError."""
    with transaction():
        _lock_table()
        zone = find_zone(zone_id)
        db.session.execute(delete(CoverZone).where(CoverZone.id == zone_id))
    return zone


def write_prices(version: CoverPlanVersion, prices: Mapping[str, Decimal]) -> None:
    """Let a draft keep the table as it is now, with the price of each zone by its code, if any."""
    db.session.execute(delete(CoverPlanZone).where(CoverPlanZone.version_id == version.id))
    db.session.add_all(
        CoverPlanZone(
            version_id=version.id,
            code=zone.code,
            label=zone.label,
            prefixes=zone.prefixes,
            price=prices.get(zone.code),
        )
        for zone in list_zones()
    )
    db.session.flush()
    db.session.expire(version, ["zones"])


def is_current(version: CoverPlanVersion) -> bool:
    """Whether the table is as the version keeps it."""
    return _as_kept(version.zones) == _as_kept(list_zones())


def _as_kept(zones: Iterable[CoverZone | CoverPlanZone]) -> dict[str, tuple[str, list[str]]]:
    return {zone.code: (zone.label, zone.prefixes) for zone in zones}


def _lock_table() -> None:
    """Whoever changes the table is alone, so that no prefix is claimed twice."""
    locked = select(Organisation.id).where(Organisation.id == current_organisation_id())
    db.session.execute(locked.with_for_update(key_share=True))


def _checked_prefixes(written: str) -> list[str]:
    prefixes = sorted(set(clean_text(written.replace(",", " ")).split()))
    wrong = next((prefix for prefix in prefixes if not _PREFIX.fullmatch(prefix)), None)
    if wrong and wrong.upper() in ("2A", "2B"):
        raise InvalidInputError("En Corse, les codes postaux commencent par 20.", field="prefixes")
    if wrong or not prefixes:
        named = f"«\u00a0{wrong[:20]}\u00a0» n’en est pas un\u202f: indiquez" if wrong else "Indiquez"
        raise InvalidInputError(
            f"{named} des codes postaux ou leurs débuts, de 1 à 5 chiffres, séparés par des espaces.", field="prefixes"
        )
    if len(prefixes) > MOST_PREFIXES:
        raise InvalidInputError(f"Une zone a {MOST_PREFIXES} codes postaux ou débuts au plus.", field="prefixes")
    return prefixes


def _claim(zone: CoverZone, prefixes: list[str]) -> None:
    """Raises InvalidInputError (field « prefixes ») for one that is another zone's."""
    taken = db.session.execute(
        select(CoverZonePrefix.prefix, CoverZone.label)
        .join(CoverZone, CoverZone.id == CoverZonePrefix.zone_id)
        .where(CoverZonePrefix.prefix.in_(prefixes))
        .order_by(CoverZonePrefix.prefix)
        .limit(1)
    ).one_or_none()
    if taken:
        raise InvalidInputError(
            f"{taken.prefix} est déjà dans la zone «\u00a0{taken.label}\u00a0»\u202f: un code est dans une seule zone.",
            field="prefixes",
        )
    db.session.add_all(CoverZonePrefix(zone_id=zone.id, prefix=prefix) for prefix in prefixes)
