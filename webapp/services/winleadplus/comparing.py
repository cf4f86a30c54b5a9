"""Telling, before anything dearer, which prospects have not changed since they were last applied."""

import json
from collections.abc import Collection, Iterable
from hashlib import sha256
from typing import Any, LiteralString, NamedTuple
from uuid import UUID

import orjson

from webapp import tenancy
from webapp.gateways.json_stream import decode
from webapp.services.winleadplus.copying import driver_connection
from webapp.services.winleadplus.payload import MAPPING_VERSION

DIGEST_BYTES = 16

_VERSION = f"mapping {MAPPING_VERSION}\n".encode()
_VERSION_MARK = bytes([MAPPING_VERSION])


UNDECODABLE = b""
"""In the place of the fingerprint of a text that holds bytes of another charset."""


def fingerprint_of(raw: str) -> bytes:
    """Of the text as it came: equal means unchanged, at a quarter of the price of the hash. Different means nothing.

    UNDECODABLE where the reader found bytes that are no text: they stand there as lone surrogates.
    """
    try:
        encoded = raw.encode()
    except UnicodeEncodeError:
        return UNDECODABLE
    return _VERSION_MARK + sha256(encoded).digest()[: DIGEST_BYTES - 1]


def hash_of(value: object) -> bytes:
    """Of the object with its keys sorted and the version of our mapping rules: what decides about « unchanged »."""
    try:
        canonical = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # integers beyond 64 bits, halves of surrogate pairs, nests too deep
        canonical = json.dumps(value, sort_keys=True).encode()
    return sha256(_VERSION + canonical).digest()[:DIGEST_BYTES]


_PLAIN = """SELECT external_id, fingerprint FROM sync_mappings
    WHERE organisation_id = %(organisation_id)s AND external_id = ANY(string_to_array(%(external_ids)s, ','))
      AND fingerprint IS NOT NULL AND missing_since IS NULL AND run_id IS DISTINCT FROM %(run_id)s"""


def find_fingerprints(external_ids: Collection[str], *, run_id: UUID) -> dict[str, bytes]:
    """The fingerprints of those prospects about which nothing is to be done if they are unchanged: nearly all."""
    return dict(_fetch(_PLAIN, external_ids, run_id))


class Known(NamedTuple):
    """A mapping, as far as it takes to compare. ``is_counted``: the present run has applied it already."""

    external_id: str
    fingerprint: bytes | None
    hash: bytes | None
    is_counted: bool
    is_missing: bool

    def is_still(self, raw: str, fingerprint: bytes) -> bool:
        """Whether the prospect is what it was when it was last applied; what was refused never was."""
        return self.fingerprint == fingerprint or self.hash == hash_of(decode(raw))


_KNOWN = """SELECT external_id, fingerprint, hash, coalesce(run_id = %(run_id)s, false), missing_since IS NOT NULL
    FROM sync_mappings
    WHERE organisation_id = %(organisation_id)s AND external_id = ANY(string_to_array(%(external_ids)s, ','))"""


def find_known(external_ids: Collection[str], *, run_id: UUID) -> dict[str, Known]:
    """The mappings of these prospects, by external id."""
    return {row[0]: Known._make(row) for row in _fetch(_KNOWN, external_ids, run_id)}


def _fetch(statement: LiteralString, external_ids: Collection[str], run_id: UUID) -> list[Any]:
    """By the driver alone: a thousand rows a time, a hundred times a second."""
    if not external_ids:
        return []
    parameters = {
        "organisation_id": tenancy.current_organisation_id(),
        "run_id": run_id,
        "external_ids": ",".join(external_ids),  # they are digits; a thousand array elements take longer to send
    }
    return driver_connection().cursor(binary=True).execute(statement, parameters).fetchall()


class Seen:
    """A set of whole numbers ≥ 0, compact where they lie close together, as ids do: 64 to an entry."""

    def __init__(self) -> None:
        self._blocks: dict[int, int] = {}

    def add_all(self, numbers: Iterable[int]) -> set[int]:
        """Put the numbers in, one after another. Returns the places of those that were in already."""
        blocks, again = self._blocks, set()
        for place, number in enumerate(numbers):
            block, bit = number >> 6, 1 << (number & 63)
            bits = blocks.get(block, 0)
            if bits & bit:
                again.add(place)
            else:
                blocks[block] = bits | bit
        return again

    def __contains__(self, number: int) -> bool:
        return bool(self._blocks.get(number >> 6, 0) >> (number & 63) & 1)
