"""Where documents lie: a folder outside the web root, a sub-folder per organisation, names that nobody can guess."""

import os
import secrets
from pathlib import Path
from uuid import UUID

from webapp.config import Settings

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


def path_of(name: str, *, organisation_id: UUID) -> Path:
    """Where the file lies."""
    if _folder is None:
        raise RuntimeError("no document store is set")
    return _folder.resolve() / organisation_id.hex / name
