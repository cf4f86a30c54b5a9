"""The products that contract lines name; each is made the first time."""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import text

from webapp import clock, tenancy
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.services.winleadplus.payload import ProspectLine
from webapp.transactions import transaction

CACHE_LIMIT = 20_000
"""Offers are few; should a list name each of its lines differently, memory does not grow with it."""

_INSERT = text(
    """INSERT INTO products (organisation_id, id, name, category, supplier, created_at)
    SELECT :organisation_id, * FROM unnest(
        CAST(:ids AS uuid[]), CAST(:names AS text[]), CAST(:categories AS text[]), CAST(:suppliers AS text[])
    ), (VALUES (CAST(:at AS timestamptz))) AS now
    ON CONFLICT DO NOTHING"""
)
_FIND = text(
    """SELECT wanted.name, products.id FROM unnest(CAST(:names AS text[])) AS wanted(name)
    JOIN products ON products.organisation_id = :organisation_id AND products.name_key = fold(wanted.name)"""
)


class Catalogue:
    """Product ids by name, whatever its case and accents."""

    def __init__(self) -> None:
        self._ids: dict[str, UUID] = {}

    def id_of(self, line: ProspectLine) -> UUID | None:
        """The product of a line that ``ensure`` was told of."""
        return self._ids.get(line.label)

    def ensure(self, lines: Iterable[ProspectLine]) -> None:
        """Make those products known that are not yet, in a transaction of its own; a later crash does no harm."""
        if len(self._ids) > CACHE_LIMIT:
            self._ids.clear()
        unknown = {line.label: line for line in lines if line.label not in self._ids}
        if not unknown:
            return
        names = sorted(unknown)
        parameters = {
            "organisation_id": tenancy.current_organisation_id(),
            "ids": [new_id() for _ in names],
            "names": names,
            "categories": [unknown[name].category for name in names],
            "suppliers": [unknown[name].supplier for name in names],
            "at": clock.now(),
        }
        with transaction():
            db.session.execute(_INSERT, parameters)
            self._ids.update((name, product_id) for name, product_id in db.session.execute(_FIND, parameters))
