"""An erasure from its plan to its end: what ``models/personal_data.py`` lists goes, some clients a transaction.

Files go after the commit that forgets them: until then the operation names them, so that whoever takes over from a
process that was killed drops them first.
"""
# ruff: noqa: S608  put together from names and expressions of ours

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, text

from webapp import crypto, tenancy
from webapp.errors import ForbiddenError
from webapp.extensions import db
from webapp.gateways import document_store
from webapp.iban import iban_purpose
from webapp.models.clients import Client
from webapp.models.documents import Document
from webapp.models.exports import Export
from webapp.models.identity import Role, User
from webapp.models.imports import Import
from webapp.models.journal import JournalKind
from webapp.models.operations import Operation, OperationItem, OperationKind, OperationState
from webapp.models.personal_data import HOLDINGS, Holding
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.models.woocommerce import WooCommerceShop
from webapp.services import journal
from webapp.services.operations.handlers import Handler
from webapp.services.operations.runs import StoppedError, Work
from webapp.services.rights import finding, obstacles
from webapp.transactions import transaction

CHUNK = 50
"""Clients that are erased together."""
ADMINS = "Seul un administrateur peut effacer un client, ou remettre ses données."
MOVED = "Modifié depuis le plan\u202f: ce client n’a pas été effacé."
GONE = "Ce client n’existe plus."


def check_admin(user: User) -> None:
    """Raises ForbiddenError for whoever is no admin."""
    if not user.has_role(Role.ADMIN):
        raise ForbiddenError(ADMINS)


def _check_right(_operation: Operation, user: User) -> None:
    check_admin(user)


def _apply(work: Work) -> None:
    operation = work.operation
    _drop_files(work)
    try:
        while operation.position < operation.total:
            with transaction():
                _apply_chunk(work)
            _drop_files(work)
    except StoppedError as error:
        db.session.rollback()
        work.end(OperationState.PARTIAL, error=error.message)
        return
    work.end(OperationState.PARTIAL if operation.left_out else OperationState.DONE)


HANDLER = Handler(check_right=_check_right, apply=_apply)


def groups_of(client_ids: Collection[UUID]) -> dict[UUID, list[UUID]]:
    """Each client with those that were merged into it, and into those: they are one person."""
    rows = db.session.execute(
        text(
            """WITH RECURSIVE members AS (
              SELECT id AS asked, id FROM clients WHERE organisation_id = :organisation_id AND id = ANY(:ids)
              UNION SELECT m.asked, c.id FROM members m
              JOIN clients c ON c.organisation_id = :organisation_id AND c.merged_into_id = m.id
            ) SELECT asked, id FROM members ORDER BY asked, id"""
        ),
        {"organisation_id": tenancy.current_organisation_id(), "ids": list(client_ids)},
    )
    groups: dict[UUID, list[UUID]] = {}
    for asked, member in rows:
        groups.setdefault(asked, []).append(member)
    return groups


def _apply_chunk(work: Work) -> None:
    """The next clients of the plan, in the caller's transaction; one that moved, or is needed still, says why not."""
    operation, at = work.operation, work.at()
    items = _next_items(operation)
    groups = groups_of([item.row_id for item in items if item.row_id])
    versions = _lock([member for members in groups.values() for member in members])
    forbidden = obstacles.find({client_id: groups[client_id] for client_id in groups})
    erased: list[UUID] = []
    for item in items:
        item.left_out = _why_not(item, versions, forbidden)
        if item.left_out is None and item.row_id:
            erased.append(item.row_id)
    db.session.flush()
    files = _erase(operation.id, [member for each in erased for member in groups[each]], at=at)
    _tell(operation, erased, at=at)
    applied, left_out = operation.applied + len(erased), operation.left_out + len(items) - len(erased)
    position, settings = items[-1].position, operation.settings | ({"files": files} if files else {})
    work.save(position=position, applied=applied, left_out=left_out, settings=settings)
    operation.position, operation.applied, operation.left_out, operation.settings = (
        position,
        applied,
        left_out,
        settings,
    )


def _next_items(operation: Operation) -> Sequence[OperationItem]:
    wanted = select(OperationItem).where(
        OperationItem.operation_id == operation.id, OperationItem.position > operation.position
    )
    return db.session.scalars(wanted.order_by(OperationItem.position).limit(CHUNK)).all()


def _lock(client_ids: Sequence[UUID]) -> dict[UUID, str]:
    """The clients' versions, locked against whoever would give them something more; shops first, as shops do."""
    db.session.execute(select(WooCommerceShop.id).order_by(WooCommerceShop.id).with_for_update(key_share=True))
    wanted = select(Client.id, Client.version).where(Client.id.in_(client_ids)).order_by(Client.id).with_for_update()
    return {client_id: str(version) for client_id, version in db.session.execute(wanted)}


def _why_not(item: OperationItem, versions: Mapping[UUID, str], forbidden: Mapping[UUID, list[str]]) -> str | None:
    if item.row_id is None or item.row_id not in versions:
        return GONE
    if item.row_id in forbidden:
        return " ".join(forbidden[item.row_id])
    return MOVED if versions[item.row_id] != item.seen else None


def _erase(operation_id: UUID, ids: Sequence[UUID], *, at: datetime) -> list[str]:
    """Carry out the list, in its order; returns the names of the files that are to be dropped afterwards."""
    if not ids:
        return []
    given = finding.find(ids, operation_id, at=at)
    files = _files(ids)
    db.session.execute(text("SELECT set_config('crm.erasing', :id, true)"), {"id": str(operation_id)})
    for table, holding in HOLDINGS.items():
        _seal_anew(table, holding, given)
        _clear(table, holding, given)
    db.session.execute(text("SELECT set_config('crm.erasing', '', true)"))
    db.session.expire_all()
    return files


def _clear(table: str, holding: Holding, given: Mapping[str, Any]) -> None:
    mine = f"t.organisation_id = :organisation_id AND ({holding.whose})"
    if holding.is_deleted:
        db.session.execute(text(f"DELETE FROM {table} t WHERE {mine}"), given)
    elif holding.goes:
        sets = ", ".join(f'"{column}" = {value}' for column, value in holding.goes.items())
        db.session.execute(text(f"UPDATE {table} t SET {sets} WHERE {mine}"), given)


def _seal_anew(table: str, holding: Holding, given: Mapping[str, Any]) -> None:
    """Sealed columns that cannot be empty hold a text that tells nothing; an IBAN's index is made from it, too."""
    organisation_id = given["organisation_id"]
    mine = f"t.organisation_id = :organisation_id AND ({holding.whose})"
    for column, words in holding.resealed.items():
        row_ids = db.session.execute(text(f"SELECT t.id FROM {table} t WHERE {mine}"), given).scalars()
        sealed = [_sealed(table, column, words, row_id, organisation_id) for row_id in row_ids]
        if sealed:
            sets = ", ".join(f'"{name}" = :{name}' for name in sealed[0].keys() - {"organisation_id", "id"})
            wanted = "organisation_id = :organisation_id AND id = :id"
            db.session.execute(text(f"UPDATE {table} SET {sets} WHERE {wanted}"), sealed)


def _sealed(table: str, column: str, words: str, row_id: UUID, organisation_id: UUID) -> dict[str, Any]:
    """The row's names, and what the column holds from now on."""
    said = words.replace("{id}", str(row_id))
    row: dict[str, Any] = {"organisation_id": organisation_id, "id": row_id}
    row[column] = crypto.seal(said, place=f"{organisation_id}|{table}.{column}|{row_id}")
    if table == "bank_accounts":
        row["iban_index"] = crypto.blind_index(said, purpose=iban_purpose(organisation_id))
    return row


def _tell(operation: Operation, client_ids: Sequence[UUID], *, at: datetime) -> None:
    """In the client's timeline and in the journal, without anything of the person."""
    by = db.session.scalar(select(User).where(User.id == operation.by_id))
    for client_id in client_ids:
        db.session.add(
            TimelineEvent(
                client_id=client_id,
                kind=EventKind.CLIENT_ERASED,
                at=at,
                user_id=operation.by_id,
                operation_id=operation.id,
            )
        )
        facts = {"Fiche": str(client_id), "Motif": operation.settings.get("reason")}
        journal.note(JournalKind.ERASURE, facts, by=by, at=at)


# ---- Files


def _files(ids: Sequence[UUID]) -> list[str]:
    """The documents of the clients, and every import and export that is kept: nobody knows whom these name."""
    documents = db.session.scalars(select(Document.stored_as).where(Document.client_id.in_(ids)))
    imports = db.session.scalars(select(Import.stored_as).where(Import.stored_as.is_not(None)))
    exports = db.session.scalars(select(Export))
    files = [each.name_of_file(fence) for each in exports for fence in range(1, each.fence + 1)]
    return [*documents, *(each for each in imports if each), *files]


def _drop_files(work: Work) -> None:
    operation = work.operation
    if files := operation.settings.get("files"):
        _drop(files, operation.organisation_id)
        operation.settings = {key: value for key, value in operation.settings.items() if key != "files"}
        with transaction():
            work.save(settings=operation.settings)


def _drop(files: Sequence[str], organisation_id: UUID) -> None:
    for name in files:
        document_store.drop(name, organisation_id=organisation_id)
        document_store.drop_work(name, organisation_id=organisation_id)


def sweep(*, at: datetime) -> int:
    """Drop the files that operations still name though they have ended, as after too many crashes; returns how many."""
    swept = 0
    with tenancy.across_organisations(), transaction():
        left = select(Operation).where(
            Operation.kind == OperationKind.ERASURE, Operation.finished_at <= at, Operation.settings.has_key("files")
        )
        for operation in db.session.scalars(left.with_for_update()):
            _drop(operation.settings["files"], operation.organisation_id)
            swept += len(operation.settings["files"])
            operation.settings = {key: value for key, value in operation.settings.items() if key != "files"}
    return swept
