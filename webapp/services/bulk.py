"""Bulk actions on clients: what is chosen in the list becomes a plan, which is looked at and then applied."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    Text,
    and_,
    case,
    cast,
    false,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import aliased

from webapp import tenancy
from webapp.errors import ForbiddenError, InvalidInputError
from webapp.extensions import db
from webapp.french import counted, whole
from webapp.models.base import linked
from webapp.models.clients import Client, ClientStatus
from webapp.models.commercials import Commercial, Team, TeamLeader
from webapp.models.identity import Role, User
from webapp.models.operations import (
    ItemAction,
    ItemTarget,
    ListedIn,
    Operation,
    OperationItem,
    OperationKind,
    OperationState,
)
from webapp.models.tasks import Task
from webapp.services.clients.fields import find_commercial, find_own_commercial
from webapp.services.clients.search import find_terms
from webapp.services.clients.selection import ClientsView, conditions_of
from webapp.services.clients.tasks import TITLE_LENGTH
from webapp.services.contact import clean_text
from webapp.services.operations import plans
from webapp.services.operations.handlers import Handler
from webapp.transactions import transaction

MOST = 200_000
"""Clients of one action."""
NOT_YOURS = "Ce client n’est pas de votre équipe, ou pas le vôtre\u202f: il ne sera pas touché."
COLUMNS = (
    "organisation_id", "operation_id", "position", "target", "row_id", "client_id", "label", "action", "seen",
    "before", "after", "reason",
)  # fmt: skip


class BulkAction(StrEnum):
    """What is done to each client, as the address says it."""

    REASSIGN = "reaffecter"
    STATUS = "statut"
    TASK = "tache"
    ARCHIVE = "archiver"
    RESTORE = "desarchiver"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "reaffecter": "Réaffecter à un commercial",
            "statut": "Changer le statut",
            "tache": "Ajouter une tâche",
            "archiver": "Archiver",
            "desarchiver": "Sortir des archives",
        }[self.value]


@dataclass(frozen=True, kw_only=True)
class BulkChoice:
    """An action and what it needs: ``commercial_id`` (None: nobody), ``status``, or ``title`` and ``due_on`` of a task.

    ``with_tasks``: open tasks of the present commercial go along.
    """

    action: BulkAction
    commercial_id: UUID | None = None
    with_tasks: bool = False
    status: ClientStatus | None = None
    title: str = ""
    due_on: date | None = None


@dataclass(frozen=True)
class Selection:
    """The clients of an action: those of a view, or, where ``ids`` names any, these alone.

    ``listed_in`` is the view as the operation keeps it: whoever looks at it later reads where its clients came from.
    """

    view: ClientsView
    ids: Sequence[UUID] = ()
    listed_in: ListedIn | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """What a client must meet."""
        ours = [Client.organisation_id == tenancy.current_organisation_id()]
        if self.ids:
            return [*ours, Client.id.in_(self.ids)]
        return [*ours, *conditions_of(self.view, find_terms(self.view.search))]

    def count(self) -> int:
        """How many they are."""
        return db.session.scalar(select(func.count()).select_from(Client).where(*self.conditions())) or 0

    def count_for(self, user: User) -> tuple[int, int]:
        """How many they are, and how many of them ``user`` may act on: a plan leaves the others alone."""
        counts = select(func.count(), func.count().filter(_is_allowed(user))).select_from(Client)
        number, allowed = db.session.execute(counts.where(*self.conditions())).one()
        return number, allowed


def actions_of(user: User) -> list[BulkAction]:
    """What ``user`` may do: to give clients to others is for managers and admins (docs/adr/0049)."""
    if user.has_role(Role.MANAGER, Role.ADMIN):
        return list(BulkAction)
    return [each for each in BulkAction if each is not BulkAction.REASSIGN]


def plan(selection: Selection, choice: BulkChoice, *, by: User, at: datetime) -> UUID:
    """Plan the action for each client of the selection. Returns the operation's id; nothing is changed yet.

    Raises ForbiddenError; InvalidInputError, naming the field.
    """
    if choice.action not in actions_of(by):
        raise ForbiddenError("Réaffecter des clients est réservé aux managers et aux administrateurs.")
    choice, name = _checked(choice, at=at)
    with transaction():
        number = selection.count()
        if not 0 < number <= MOST:
            raise InvalidInputError(
                "Aucun client n’est choisi." if not number else f"Une action porte sur {whole(MOST)} clients au plus.",
                field="action",
            )
        settings = {"action": choice.action.value, "one_by_one": bool(selection.ids)}
        operation = plans.start_at_once(OperationKind.BULK, _title(choice, number, name), settings, by=by, at=at)
        if selection.listed_in is not None:
            operation.keep_listed_in(selection.listed_in)
        _write_plan(operation, selection, choice, by=by, at=at)
        plans.count(operation)
    return operation.id


def _checked(choice: BulkChoice, *, at: datetime) -> tuple[BulkChoice, str]:
    """The choice as it is kept, and how its object is called. Raises InvalidInputError."""
    if choice.action is BulkAction.REASSIGN:
        return choice, find_commercial(choice.commercial_id).full_name if choice.commercial_id else "personne"
    if choice.action is BulkAction.STATUS:
        if choice.status is None:
            raise InvalidInputError("Choisissez le statut.", field="status")
        return choice, choice.status.label
    if choice.action is BulkAction.TASK:
        title = clean_text(choice.title)
        if not title or len(title) > TITLE_LENGTH:
            raise InvalidInputError(f"Dites quoi faire, en {TITLE_LENGTH} caractères au plus.", field="title")
        if choice.due_on is None or choice.due_on < at.date():
            raise InvalidInputError("Choisissez une échéance à venir.", field="due_on")
        return BulkChoice(action=choice.action, title=title, due_on=choice.due_on), title
    return choice, ""


def _title(choice: BulkChoice, number: int, name: str) -> str:
    clients = counted(number, "client")
    return {
        BulkAction.REASSIGN: f"Réaffectation de {clients} à {name}",
        BulkAction.STATUS: f"Statut « {name} » pour {clients}".replace("« ", "«\xa0").replace(" »", "\xa0»"),
        BulkAction.TASK: f"Tâche pour {clients}\u202f: {name}",
        BulkAction.ARCHIVE: f"Archivage de {clients}",
        BulkAction.RESTORE: f"Sortie des archives de {clients}",
    }[choice.action]


def _write_plan(operation: Operation, selection: Selection, choice: BulkChoice, *, by: User, at: datetime) -> None:
    """One statement for the clients, and one for their tasks where these go with them."""
    values = _changes(choice, at)
    is_allowed = _is_allowed(by)
    if choice.action is BulkAction.TASK:
        statement = _tasks_to_add(operation, selection, values, is_allowed)
    else:
        statement = _clients_to_change(operation, selection, values, is_allowed)
    db.session.execute(insert(OperationItem).from_select(COLUMNS, statement))
    if choice.with_tasks and choice.action is BulkAction.REASSIGN and choice.commercial_id is not None:
        moved = _tasks_to_move(operation, selection, choice.commercial_id, is_allowed)
        db.session.execute(insert(OperationItem).from_select(COLUMNS, moved))


def _changes(choice: BulkChoice, at: datetime) -> dict[str, Any]:
    """The columns of a client, or of a task, and their new values."""
    changes: dict[BulkAction, dict[str, Any]] = {
        BulkAction.REASSIGN: {"commercial_id": str(choice.commercial_id) if choice.commercial_id else None},
        BulkAction.STATUS: {"status": choice.status.value if choice.status else None},
        BulkAction.TASK: {"title": choice.title, "due_on": choice.due_on.isoformat() if choice.due_on else None},
        BulkAction.ARCHIVE: {"archived_at": at.isoformat()},
        BulkAction.RESTORE: {"archived_at": None},
    }
    return changes[choice.action]


def _is_allowed(user: User) -> ColumnElement[bool]:
    """Whether the client of a row is one that ``user`` may act on: as in docs/adr/0049."""
    if user.has_role(Role.ADMIN):
        return true()
    if user.has_role(Role.MANAGER):
        led = select(TeamLeader.team_id).where(TeamLeader.user_id == user.id)
        others = (
            select(Commercial.id)
            .join(Team, linked(Team, Commercial.team_id))
            .where(Commercial.team_id.not_in(led))
            .scalar_subquery()
        )
        return func.coalesce(Client.commercial_id.not_in(others), True)
    own = find_own_commercial(user)
    return func.coalesce(Client.commercial_id == own, False) if own else false()


def _clients_to_change(
    operation: Operation, selection: Selection, values: dict[str, Any], is_allowed: ColumnElement[bool]
) -> Select[*tuple[Any, ...]]:
    [(column, value)] = values.items()
    present = getattr(Client, column)
    is_same = present.is_(None) if value is None else and_(present.is_not(None), cast(present, Text) == value)
    if column == "archived_at" and value is not None:
        is_same = present.is_not(None)
    is_merged = and_(Client.merged_into_id.is_not(None), literal(column == "archived_at" and value is None))
    return _items(
        operation,
        selection,
        ItemTarget.CLIENT,
        row_id=Client.id,
        action=case(
            (~is_allowed, ItemAction.ERROR.value),
            (is_same | is_merged | Client.erased_at.is_not(None), ItemAction.NOTHING.value),
            else_=ItemAction.UPDATE.value,
        ),
        before=func.jsonb_build_object(column, present),
        after=literal(values, JSONB),
        is_allowed=is_allowed,
    )


def _tasks_to_add(
    operation: Operation, selection: Selection, values: dict[str, Any], is_allowed: ColumnElement[bool]
) -> Select[*tuple[Any, ...]]:
    """A task for each client, of the user of its commercial; of nobody where there is none."""
    owner = select(Commercial.user_id).where(linked(Commercial, Client.commercial_id)).scalar_subquery()
    return _items(
        operation,
        selection,
        ItemTarget.TASK,
        row_id=func.gen_random_uuid(),
        action=case(
            (~is_allowed, ItemAction.ERROR.value),
            (Client.erased_at.is_not(None), ItemAction.NOTHING.value),
            else_=ItemAction.CREATE.value,
        ),
        before=literal({}, JSONB),
        after=literal(values, JSONB).concat(func.jsonb_build_object("client_id", Client.id, "user_id", owner)),
        is_allowed=is_allowed,
    )


def _items(
    operation: Operation,
    selection: Selection,
    target: ItemTarget,
    *,
    row_id: ColumnElement[Any] | Any,
    action: ColumnElement[str],
    before: ColumnElement[Any],
    after: ColumnElement[Any],
    is_allowed: ColumnElement[bool],
) -> Select[*tuple[Any, ...]]:
    return select(
        literal(operation.organisation_id),
        literal(operation.id),
        func.row_number().over(order_by=Client.id),
        literal(target.value),
        row_id,
        Client.id,
        func.left(func.trim(Client.last_name + " " + Client.first_name), 200),
        action,
        cast(Client.version, Text),
        before,
        after,
        case((~is_allowed, NOT_YOURS), else_=null()),
    ).where(*selection.conditions())


def _tasks_to_move(
    operation: Operation, selection: Selection, commercial_id: UUID, is_allowed: ColumnElement[bool]
) -> Select[*tuple[Any, ...]]:
    """The open tasks that the clients' present commercials have."""
    present, to = aliased(Commercial), aliased(Commercial)
    number = select(func.count()).select_from(Client).where(*selection.conditions()).scalar_subquery()
    new_owner = select(to.user_id).where(to.organisation_id == operation.organisation_id, to.id == commercial_id)
    return (
        select(
            literal(operation.organisation_id),
            literal(operation.id),
            number + func.row_number().over(order_by=Task.id),
            literal(ItemTarget.TASK.value),
            Task.id,
            Client.id,
            func.left(Task.title, 200),
            literal(ItemAction.UPDATE.value),
            func.coalesce(cast(Task.done_at, Text), ""),
            func.jsonb_build_object("user_id", Task.user_id),
            func.jsonb_build_object("user_id", new_owner.scalar_subquery()),
            cast(null(), Text),
        )
        .join(Client, linked(Client, Task.client_id))
        .join(present, linked(present, Client.commercial_id))
        .where(
            *selection.conditions(),
            is_allowed,
            Client.commercial_id != commercial_id,
            Task.done_at.is_(None),
            Task.user_id == present.user_id,
        )
    )


def _check_right(operation: Operation, user: User) -> None:
    """Whoever planned it, and an admin; a reassignment needs the role still."""
    is_own = operation.by_id == user.id
    if not (is_own or user.has_role(Role.ADMIN)):
        raise ForbiddenError("Seul qui a préparé cette action, ou un administrateur, peut en décider.")
    if BulkAction(operation.settings["action"]) not in actions_of(user):
        raise ForbiddenError("Réaffecter des clients est réservé aux managers et aux administrateurs.")
    if operation.state is OperationState.PLANNED and _holds_others(operation, user):
        raise ForbiddenError(
            "Ce plan porte sur des clients qui ne sont plus de votre équipe, ou plus les vôtres\u202f: refaites-le."
        )


def _holds_others(operation: Operation, user: User) -> bool:
    """Whether the plan changes a client that ``user`` may no longer act on; one that moved since is left out anyway."""
    if user.has_role(Role.ADMIN):
        return False
    others = (
        select(OperationItem.position)
        .join(Client, linked(Client, OperationItem.client_id))
        .where(
            OperationItem.operation_id == operation.id,
            OperationItem.action.in_((ItemAction.UPDATE, ItemAction.CREATE)),
            or_(OperationItem.target != ItemTarget.CLIENT, OperationItem.seen == cast(Client.version, Text)),
            ~_is_allowed(user),
        )
    )
    return bool(db.session.scalar(select(others.exists())))


HANDLER = Handler(check_right=_check_right)
