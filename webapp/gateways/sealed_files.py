"""Files that are kept encrypted, in blocks, so that a large one is written and read in little memory.

Each block is bound to its file, its number and whether it is the last one: none can be left out, moved or cut off.
"""

import os
import secrets
from collections.abc import Iterator
from typing import IO
from uuid import UUID

from webapp import crypto
from webapp.gateways import document_store

BLOCK = 1024 * 1024
_LENGTH_BYTES = 4


def keep(file: IO[bytes], *, organisation_id: UUID) -> str:
    """Write the rest of ``file``, whole and to the disk, and give the name it is kept under."""
    name = secrets.token_hex(32)
    path = document_store.path_of(name, organisation_id=organisation_id)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as kept:
        number, block = 0, file.read(BLOCK)
        while True:
            following = file.read(BLOCK)
            place = _place(organisation_id, name, number, is_last=not following)
            sealed = crypto.keyring().encrypt(block, place=place)
            kept.write(len(sealed).to_bytes(_LENGTH_BYTES, "big") + sealed)
            if not following:
                break
            number, block = number + 1, following
        kept.flush()
        os.fsync(kept.fileno())
    return name


def read(name: str, *, organisation_id: UUID) -> Iterator[bytes]:
    """The file in blocks. Raises FileNotFoundError, and crypto.DecryptionError for one that was changed or cut off."""
    with document_store.path_of(name, organisation_id=organisation_id).open("rb") as kept:
        number, sealed = 0, _next(kept)
        while True:
            following = _next(kept)
            place = _place(organisation_id, name, number, is_last=not following)
            yield crypto.keyring().decrypt(sealed, place=place)
            if not following:
                return
            number, sealed = number + 1, following


def _next(kept: IO[bytes]) -> bytes:
    return kept.read(int.from_bytes(kept.read(_LENGTH_BYTES), "big"))


def _place(organisation_id: UUID, name: str, number: int, *, is_last: bool) -> str:
    return f"{organisation_id}|files|{name}|{number}{'|last' if is_last else ''}"
