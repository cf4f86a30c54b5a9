"""Telling, before anything dearer, which prospects have not changed since they were last applied."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

import orjson
from sqlalchemy import text

from webapp import tenancy
from webapp.extensions import db
from webapp.services.winleadplus.payload import MAPPING_VERSION

DIGEST_BYTES = 16

_VERSION = f"mapping {MAPPING_VERSION}\n".encode()


def fingerprint_of(raw: str) -> bytes:
    """Of the text as it came: equal means unchanged, at a quarter of the price of the hash. Different means nothing."""
    return sha256(_VERSION + raw.encode("utf-8", "surrogatepass")).digest()[:DIGEST_BYTES]


def hash_of(value: object) -> bytes:
    """Of the object with its keys sorted and the version of our mapping rules: what decides about « unchanged »."""
    try:
        canonical = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # integers beyond 64 bits, halves of surrogate pairs, nests too deep
        canonical = json.dumps(value, sort_keys=True).encode()
    return sha256(_VERSION + canonical).digest()[:DIGEST_BYTES]


@dataclass(frozen=True, slots=True)
class Known:
    """A mapping, as far as it takes to compare."""

    fingerprint: bytes | None
    hash: bytes | None
    run_id: UUID | None
    is_missing: bool

    def is_still(self, value: object, fingerprint: bytes) -> bool:
        """Whether the prospect is what it was when it was last applied; one in error has no hash and never is."""
        return self.hash is not None and (self.fingerprint == fingerprint or self.hash == hash_of(value))


_KNOWN = text(
    """SELECT external_id, fingerprint, hash, run_id, missing_since IS NOT NULL
    FROM sync_mappings WHERE organisation_id = :organisation_id AND external_id = ANY(:external_ids)"""
)


def find_known(external_ids: Collection[str]) -> dict[str, Known]:
    """The mappings of these prospects, by external id."""
    rows = db.session.execute(
        _KNOWN, {"organisation_id": tenancy.current_organisation_id(), "external_ids": list(external_ids)}
    )
    return {row[0]: Known(row[1], row[2], row[3], row[4]) for row in rows}


class Seen:
    """A set of whole numbers ≥ 0, compact where they lie close together, as ids do: 64 to an entry."""

    def __init__(self) -> None:
        self._blocks: dict[int, int] = {}

    def add(self, number: int) -> bool:
        """Put ``number`` in; whether it was new."""
        block, bit = number >> 6, 1 << (number & 63)
        bits = self._blocks.get(block, 0)
        self._blocks[block] = bits | bit
        return not bits & bit

    def __contains__(self, number: int) -> bool:
        return bool(self._blocks.get(number >> 6, 0) >> (number & 63) & 1)
