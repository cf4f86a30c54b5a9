"""Where documents lie: a folder outside the web root, a sub-folder per organisation, names that nobody can guess.

What is large and made by ourselves is sealed: written and read as a stream, each chunk encrypted with a key of the
file's own, which stands, sealed, in the file's row.
"""

import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from webapp.config import Settings
from webapp.crypto import DecryptionError

CHUNK = 1 << 20
"""Bytes that are sealed together."""
_LENGTH, _TAG = 4, 16
"""Bytes that stand before a sealed chunk, and that sealing adds to it."""

_folder: Path | None = None
_quota = 0


def use(settings: Settings) -> None:
    """Keep documents where the settings say."""
    global _folder, _quota
    _folder, _quota = settings.documents_folder, settings.documents_quota_mb * 1_000_000


def quota() -> int:
    """Bytes that each organisation may keep."""
    return _quota


def store(content: bytes, *, organisation_id: UUID) -> str:
    """Write a file, whole and to the disk, and give the name it is kept under."""
    name = secrets.token_hex(32)
    path = path_of(name, organisation_id=organisation_id)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return name


def drop(name: str, *, organisation_id: UUID) -> None:
    """Take a file away; one that is not there is no fault."""
    path_of(name, organisation_id=organisation_id).unlink(missing_ok=True)


class SealedFile:
    """A file that is being written, sealed; whole once the block ends without an error, and gone otherwise.

    Chunks are numbered by their nonces, and the last one is marked, so that none can be left out or put elsewhere.
    """

    def __init__(self, name: str, *, organisation_id: UUID, key: bytes) -> None:
        self._path = path_of(name, organisation_id=organisation_id)
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        self._cipher, self._number, self._waiting = AESGCM(key), 0, bytearray()

    def write(self, content: bytes) -> int:
        """Add bytes."""
        self._waiting += content
        while len(self._waiting) > CHUNK:
            self._seal(bytes(self._waiting[:CHUNK]), is_last=False)
            del self._waiting[:CHUNK]
        return len(content)

    def flush(self) -> None:
        """Do nothing: chunks are written when they are full."""

    def _seal(self, chunk: bytes, *, is_last: bool) -> None:
        sealed = self._cipher.encrypt(_nonce(self._number), chunk, bytes([is_last]))
        self._file.write(len(sealed).to_bytes(_LENGTH, "big") + sealed)
        self._number += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            if kind is None:
                self._seal(bytes(self._waiting), is_last=True)
                self._file.flush()
                os.fsync(self._file.fileno())
        if kind is not None:
            self._path.unlink(missing_ok=True)


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")


def sealed_size(name: str, *, organisation_id: UUID) -> int:
    """How many bytes a sealed file holds once it is opened. Raises FileNotFoundError."""
    size = path_of(name, organisation_id=organisation_id).stat().st_size
    added = _LENGTH + _TAG
    return size - added * -(-size // (CHUNK + added))


def read_sealed(name: str, *, organisation_id: UUID, key: bytes) -> Iterator[bytes]:
    """What a sealed file holds, chunk by chunk.

    Raises FileNotFoundError, and DecryptionError where it was altered or cut.
    """
    cipher, number = AESGCM(key), 0
    with path_of(name, organisation_id=organisation_id).open("rb") as file:
        while length := file.read(_LENGTH):
            sealed = file.read(int.from_bytes(length, "big"))
            is_last = file.tell() == os.fstat(file.fileno()).st_size
            try:
                yield cipher.decrypt(_nonce(number), sealed, bytes([is_last]))
            except (InvalidTag, ValueError) as error:
                raise DecryptionError("the file was altered or cut") from error
            number += 1


def working_folder(name: str, *, organisation_id: UUID) -> Path:
    """A folder of its own for what is put down in clear while a file is made; ``drop_work`` takes it away."""
    folder = path_of(f"{name}.work", organisation_id=organisation_id)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def drop_work(name: str, *, organisation_id: UUID) -> None:
    """Take a working folder away; one that is not there is no fault."""
    shutil.rmtree(path_of(f"{name}.work", organisation_id=organisation_id), ignore_errors=True)


def path_of(name: str, *, organisation_id: UUID) -> Path:
    """Where the file lies."""
    if _folder is None:
        raise RuntimeError("no document store is set")
    return _folder.resolve() / organisation_id.hex / name
