"""Operations and their items as pages show them."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import joinedload

from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.clients import Client
from webapp.models.identity import User
from webapp.models.operations import ItemAction, Operation, OperationItem, OperationKind
from webapp.services import keyset
from webapp.services.operations.wording import Change, Names, changes_of

PAGE_SIZE = 50
WRITTEN_AT_ONCE = 1000


class ItemFilter(StrEnum):
    """Which items are listed, as the address says it."""

    CREATES = "a-creer"
    UPDATES = "a-modifier"
    LINKS = "a-rattacher"
    REMOVES = "a-retirer"
    ERASES = "a-effacer"
    UNDECIDED = "a-decider"
    ERRORS = "en-erreur"
    UNCHANGED = "inchanges"
    LEFT_OUT = "ecartes"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "a-creer": "Création",
            "a-modifier": "Modification",
            "a-rattacher": "Rattachement",
            "a-retirer": "Retrait",
            "a-effacer": "Effacement",
            "a-decider": "À décider",
            "en-erreur": "En erreur",
            "inchanges": "Inchangé",
            "ecartes": "Écarté",
        }[self.value]

    @property
    def action(self) -> ItemAction | None:
        """The items' action; None of those that were left out."""
        return {
            "a-creer": ItemAction.CREATE,
            "a-modifier": ItemAction.UPDATE,
            "a-rattacher": ItemAction.LINK,
            "a-retirer": ItemAction.REMOVE,
            "a-effacer": ItemAction.ERASE,
            "a-decider": ItemAction.UNDECIDED,
            "en-erreur": ItemAction.ERROR,
            "inchanges": ItemAction.NOTHING,
        }.get(self.value)


class ItemRow(NamedTuple):
    """An item with its changes in words, and the clients that it might be about."""

    item: OperationItem
    changes: list[Change]
    candidates: list[Client]


class ItemPage(NamedTuple):
    """A page of items; ``after`` continues it, None on the last one."""

    rows: list[ItemRow]
    after: int | None


def list_operations(*, kind: OperationKind | None = None, cursor: str = "") -> keyset.Page[Operation]:
    """The operations of the organisation, the newest first."""
    statement = select(Operation).where(*_of_kind(kind)).options(joinedload(Operation.by))

    def read(start: keyset.Position | None) -> Sequence[Operation]:
        cut = keyset.cut(statement, [Operation.created_at, Operation.id], start, is_descending=True, size=PAGE_SIZE)
        return db.session.scalars(cut).all()

    position = keyset.decode(cursor, sort="-cree", kind=datetime)
    return keyset.page(read, position, place=lambda row: (row.created_at, row.id), sort="-cree", size=PAGE_SIZE)


def select_all(kind: OperationKind | None) -> Select[*tuple[Any, ...]]:
    """Every one of them in that order, joined with who began it: an export adds the columns."""
    statement = select(Operation.id).outerjoin(User, linked(User, Operation.by_id)).where(*_of_kind(kind))
    return statement.order_by(Operation.created_at.desc(), Operation.id.desc())


def _of_kind(kind: OperationKind | None) -> list[ColumnElement[bool]]:
    return [] if kind is None else [Operation.kind == kind]


def count_items(operation_id: UUID) -> dict[ItemFilter, int]:
    """How many items stand behind each filter."""
    mine = OperationItem.operation_id == operation_id
    by_action = select(OperationItem.action, func.count()).where(mine).group_by(OperationItem.action)
    counted = dict(db.session.execute(by_action).all())
    left_out = db.session.scalar(select(func.count()).select_from(OperationItem).where(mine, _left_out())) or 0
    return {each: left_out if each.action is None else counted.get(each.action, 0) for each in ItemFilter}


def list_items(operation_id: UUID, only: ItemFilter | None, *, after: int = 0, size: int = PAGE_SIZE) -> ItemPage:
    """The items of a filter, or all, behind the position ``after``, in the order of the plan."""
    statement = select(OperationItem).where(OperationItem.operation_id == operation_id, OperationItem.position > after)
    if only is not None:
        statement = statement.where(OperationItem.action == only.action if only.action else _left_out())
    rows = db.session.scalars(statement.order_by(OperationItem.position).limit(size + 1)).all()
    page = rows[:size]
    return ItemPage(_worded(page), page[-1].position if len(rows) > size else None)


def _left_out() -> ColumnElement[bool]:
    return OperationItem.left_out.is_not(None)


def _worded(items: Sequence[OperationItem]) -> list[ItemRow]:
    names = Names.among(value for item in items for image in (item.before, item.after) for value in image.items())
    ids = {client_id for item in items for client_id in item.candidate_ids}
    found = {each.id: each for each in db.session.scalars(select(Client).where(Client.id.in_(ids)))} if ids else {}
    return [
        ItemRow(
            item,
            changes_of(item.target, item.before, item.after, names),
            [found[each] for each in item.candidate_ids if each in found],
        )
        for item in items
    ]


def all_items(operation_id: UUID) -> Iterator[ItemRow]:
    """Every item, for the file of an operation: read page by page, so that memory stays flat."""
    after: int | None = 0
    while after is not None:
        rows, after = list_items(operation_id, None, after=after, size=WRITTEN_AT_ONCE)
        yield from rows
        db.session.expire_all()


def find_undo(operation_id: UUID) -> Operation | None:
    """What undoes an operation, or is planned to."""
    wanted = select(Operation).where(Operation.undoes_id == operation_id).order_by(Operation.created_at.desc())
    return db.session.scalars(wanted.limit(1)).first()
