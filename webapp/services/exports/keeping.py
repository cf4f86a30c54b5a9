"""« Mes exports »: the files that were made for somebody, theirs alone."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import undefer

from webapp.errors import ForbiddenError, NotFoundError
from webapp.extensions import db
from webapp.gateways import document_store
from webapp.models.exports import KEPT, Export
from webapp.models.identity import Role, User
from webapp.models.operations import Operation, OperationKind
from webapp.models.runs import RunStatus
from webapp.services.exports.commands import name_of

_GONE = "Cet export n’existe pas, ou n’est plus conservé."


class ExportFile(NamedTuple):
    """A file to be saved: its bytes come in chunks."""

    name: str
    mimetype: str
    size: int
    chunks: Iterator[bytes]


def list_exports(owner: User) -> Sequence[Export]:
    """Those of the user that are kept, the latest first."""
    statement = select(Export).where(Export.user_id == owner.id).order_by(Export.created_at.desc(), Export.id.desc())
    return db.session.scalars(statement.execution_options(populate_existing=True)).all()


def last_dropped_at(*, at: datetime) -> datetime | None:
    """When the erasure of a client last took away all files that could be there still; None where none did."""
    last = select(func.max(Operation.finished_at)).where(
        Operation.kind == OperationKind.ERASURE, Operation.applied > 0, Operation.finished_at > at - KEPT
    )
    return db.session.scalar(last)


def find_export(export_id: UUID, *, owner: User) -> Export:
    """One of the user's. Raises NotFoundError, also for those of others."""
    statement = select(Export).where(Export.id == export_id, Export.user_id == owner.id)
    options = undefer(Export.file_key)
    export = db.session.scalar(statement.options(options).execution_options(populate_existing=True))
    if export is None:
        raise NotFoundError(_GONE)
    return export


def open_file(export_id: UUID, *, owner: User) -> ExportFile:
    """The file of one that is finished.

    Raises NotFoundError, and ForbiddenError for IBANs in clear where the owner is no admin any more.
    """
    export = find_export(export_id, owner=owner)
    if export.reason and not owner.has_role(Role.ADMIN):
        raise ForbiddenError("Ce fichier contient des IBAN en clair\u202f: il est réservé aux administrateurs.")
    if export.status is not RunStatus.SUCCESS:
        raise NotFoundError("Cet export n’a pas de fichier.")
    name, organisation_id = export.file_name, export.organisation_id
    try:
        size = document_store.sealed_size(name, organisation_id=organisation_id)
    except FileNotFoundError as error:
        raise NotFoundError(_GONE) from error
    chunks = document_store.read_sealed(name, organisation_id=organisation_id, key=export.file_key_in_clear())
    return ExportFile(name_of(export.list_key, export.format, export.created_at), export.format.mimetype, size, chunks)
