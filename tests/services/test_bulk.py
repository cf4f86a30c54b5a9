"""Bulk actions: planned, applied exactly as planned, undone where nobody interfered."""

from collections.abc import Sequence
from datetime import date, timedelta
from uuid import UUID

import pytest
from sqlalchemy import select

from tests import factories
from tests.conftest import NOW, Cast
from tests.queries import recorded_statements
from webapp import tenancy
from webapp.errors import ForbiddenError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.clients import Client, ClientStatus
from webapp.models.identity import User
from webapp.models.operations import ItemAction, Operation, OperationItem, OperationState
from webapp.models.tasks import Task
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services import bulk
from webapp.services.bulk import BulkAction, BulkChoice, Selection
from webapp.services.clients import archiving, editing
from webapp.services.clients.fields import ClientFields
from webapp.services.clients.listing import count_clients
from webapp.services.clients.selection import ClientsView
from webapp.services.operations import deciding, runs, undoing
from webapp.services.operations.carry_out import carry_out

LATER = NOW + timedelta(days=1)
ALL = Selection(ClientsView())


def _plan(choice: BulkChoice, by: User, selection: Selection = ALL) -> UUID:
    return bulk.plan(selection, choice, by=by, at=NOW)


def _apply(operation_id: UUID, by: User) -> Operation:
    deciding.apply(operation_id, by=by, at=NOW)
    carry_out(tenancy.current_organisation_id(), operation_id)
    return runs.find(operation_id)


def _undo(operation_id: UUID, by: User) -> Operation:
    undo_id = undoing.plan_undo(operation_id, by=by, at=LATER)
    carry_out(tenancy.current_organisation_id(), undo_id)
    return _apply(undo_id, by)


def _items(operation_id: UUID) -> Sequence[OperationItem]:
    mine = select(OperationItem).where(OperationItem.operation_id == operation_id).order_by(OperationItem.position)
    return db.session.scalars(mine.execution_options(populate_existing=True)).all()


def _client(client_id: UUID) -> Client:
    wanted = select(Client).where(Client.id == client_id).execution_options(populate_existing=True)
    return db.session.scalars(wanted).one()


@pytest.fixture
def clients(cast: Cast) -> list[UUID]:
    """Three clients, of the first seller."""
    made = [factories.ClientFactory(commercial_id=cast.sales_rep.id, status=ClientStatus.PROSPECT) for _ in range(3)]
    return [each.id for each in made]


def test_a_plan_changes_nothing_and_says_what_it_would(cast: Cast, clients: list[UUID]) -> None:
    operation_id = _plan(BulkChoice(action=BulkAction.STATUS, status=ClientStatus.ACTIVE), cast.manager)
    operation = runs.find(operation_id)
    assert (operation.state, operation.updates) == (OperationState.PLANNED, 3)
    assert operation.title == "Statut «\xa0Actif\xa0» pour 3 clients"
    assert [(item.before, item.after) for item in _items(operation_id)] == [
        ({"status": "prospect"}, {"status": "active"})
    ] * 3
    assert {_client(each).status for each in clients} == {ClientStatus.PROSPECT}


def test_what_is_applied_is_the_plan_once(cast: Cast, clients: list[UUID]) -> None:
    operation_id = _plan(BulkChoice(action=BulkAction.STATUS, status=ClientStatus.ACTIVE), cast.manager)
    operation = _apply(operation_id, cast.manager)
    assert (operation.state, operation.applied, operation.left_out) == (OperationState.DONE, 3, 0)
    versions = {each: _client(each).version for each in clients}
    assert set(versions.values()) == {2}
    _apply(operation_id, cast.manager)
    assert {each: _client(each).version for each in clients} == versions
    [told] = db.session.scalars(select(TimelineEvent).where(TimelineEvent.client_id == clients[0]))
    assert (told.kind, told.operation_id, told.user_id) == (
        EventKind.CHANGED_BY_OPERATION,
        operation_id,
        cast.manager.id,
    )
    assert told.changes == {"status": ["prospect", "active"]}


def test_a_client_that_moved_since_the_plan_is_left_out_and_listed(cast: Cast, clients: list[UUID]) -> None:
    operation_id = _plan(BulkChoice(action=BulkAction.STATUS, status=ClientStatus.INACTIVE), cast.manager)
    _edit(clients[1], cast.manager, city="Rennes")
    operation = _apply(operation_id, cast.manager)
    assert (operation.state, operation.applied, operation.left_out) == (OperationState.PARTIAL, 2, 1)
    assert _client(clients[1]).status is ClientStatus.PROSPECT
    assert [item.left_out is not None for item in _items(operation_id)] == [
        item.row_id == clients[1] for item in _items(operation_id)
    ]


def _edit(client_id: UUID, by: User, **values: object) -> None:
    client = _client(client_id)
    fields = ClientFields(**{**vars(ClientFields.of(client)), **values})
    editing.edit_client(client_id, fields, version=client.version, bank=None, confirmed=True, by=by, at=LATER)


def test_a_view_is_acted_on_whole_and_a_choice_alone(cast: Cast, clients: list[UUID]) -> None:
    factories.ClientFactory(city="Brest", status=ClientStatus.ACTIVE)
    some = Selection(ClientsView(status=ClientStatus.PROSPECT))
    assert some.count() == 3
    assert Selection(ClientsView(), clients[:2]).count() == 2


def test_reassigning_gives_the_clients_and_with_them_the_open_tasks(cast: Cast, clients: list[UUID]) -> None:
    other_user = factories.UserFactory()
    other = factories.CommercialFactory(user_id=other_user.id)
    open_task = Task(client_id=clients[0], title="Rappeler", due_on=date(2026, 12, 1), user_id=cast.commercial.id)
    done = Task(client_id=clients[0], title="Fait", due_on=date(2026, 11, 1), user_id=cast.commercial.id, done_at=NOW)
    db.session.add_all([open_task, done])
    db.session.flush()
    choice = BulkChoice(action=BulkAction.REASSIGN, commercial_id=other.id, with_tasks=True)
    operation = _apply(_plan(choice, cast.admin), cast.admin)
    assert operation.applied == 4
    assert {_client(each).commercial_id for each in clients} == {other.id}
    assert _owners() == {"Rappeler": other_user.id, "Fait": cast.commercial.id}
    assert _undo(operation.id, cast.admin).state is OperationState.DONE
    assert {_client(each).commercial_id for each in clients} == {cast.sales_rep.id}
    assert _owners() == {"Rappeler": cast.commercial.id, "Fait": cast.commercial.id}


def _owners() -> dict[str, UUID | None]:
    return dict(db.session.execute(select(Task.title, Task.user_id)).all())


def test_a_task_is_added_for_each_and_taken_back_where_nobody_did_it(cast: Cast, clients: list[UUID]) -> None:
    choice = BulkChoice(action=BulkAction.TASK, title="Appeler avant Noël", due_on=date(2026, 12, 20))
    operation = _apply(_plan(choice, cast.manager), cast.manager)
    tasks = db.session.scalars(select(Task).order_by(Task.client_id)).all()
    assert [each.client_id for each in tasks] == sorted(clients)
    tasks[0].done_at = LATER
    db.session.flush()
    undo = _undo(operation.id, cast.manager)
    assert (undo.applied, undo.unchanged) == (2, 1)
    assert db.session.scalars(select(Task.client_id)).all() == [min(clients)]


def test_archived_clients_leave_the_lists_and_come_back(cast: Cast, clients: list[UUID]) -> None:
    before = count_clients(ClientsView()).number
    operation = _apply(_plan(BulkChoice(action=BulkAction.ARCHIVE), cast.admin), cast.admin)
    assert count_clients(ClientsView()).number == 0
    assert count_clients(ClientsView(archived=True)).number == before
    kinds = db.session.scalars(select(TimelineEvent.kind).where(TimelineEvent.client_id == clients[0])).all()
    assert kinds == [EventKind.CLIENT_ARCHIVED]
    _undo(operation.id, cast.admin)
    assert count_clients(ClientsView()).number == before
    assert {_client(each).archived_at for each in clients} == {None}


def test_undoing_puts_back_what_nobody_changed_and_lists_the_rest_with_both_values(
    cast: Cast, clients: list[UUID]
) -> None:
    choice = BulkChoice(action=BulkAction.STATUS, status=ClientStatus.ACTIVE)
    operation = _apply(_plan(choice, cast.manager), cast.manager)
    _edit(clients[0], cast.manager, status=ClientStatus.INACTIVE)
    _edit(clients[1], cast.manager, city="Rennes")
    undo = _undo(operation.id, cast.manager)
    assert [_client(each).status for each in clients] == [
        ClientStatus.INACTIVE,
        ClientStatus.PROSPECT,
        ClientStatus.PROSPECT,
    ]
    assert _client(clients[1]).city == "Rennes"
    kept = [item for item in _items(undo.id) if item.action is ItemAction.NOTHING]
    assert [(item.row_id, item.before, item.after) for item in kept] == [
        (clients[0], {"status": "prospect"}, {"status": "inactive"})
    ]
    assert undoing.plan_undo(operation.id, by=cast.manager, at=LATER) == undo.id


def test_after_thirty_days_nothing_is_undone(cast: Cast, clients: list[UUID]) -> None:
    operation = _apply(_plan(BulkChoice(action=BulkAction.ARCHIVE), cast.admin), cast.admin)
    with pytest.raises(undoing.NotUndoableError):
        undoing.plan_undo(operation.id, by=cast.admin, at=NOW + timedelta(days=31))


def test_a_commercial_acts_on_their_own_clients_alone(cast: Cast, clients: list[UUID]) -> None:
    foreign = factories.ClientFactory(commercial_id=factories.CommercialFactory().id)
    db.session.flush()
    operation = _apply(_plan(BulkChoice(action=BulkAction.ARCHIVE), cast.commercial), cast.commercial)
    assert (operation.applied, operation.errors) == (3, 1)
    assert _client(foreign.id).archived_at is None
    with pytest.raises(ForbiddenError):
        _plan(BulkChoice(action=BulkAction.REASSIGN, commercial_id=cast.sales_rep.id), cast.commercial)


def test_a_manager_does_not_touch_the_clients_of_another_team(cast: Cast) -> None:
    led, other = factories.TeamFactory(), factories.TeamFactory()
    factories.TeamLeaderFactory(team_id=led.id, user_id=cast.manager.id)
    ours = factories.ClientFactory(commercial_id=factories.CommercialFactory(team_id=led.id).id)
    theirs = factories.ClientFactory(commercial_id=factories.CommercialFactory(team_id=other.id).id)
    nobodys = factories.ClientFactory()
    _apply(_plan(BulkChoice(action=BulkAction.ARCHIVE), cast.manager), cast.manager)
    assert [_client(each.id).archived_at is not None for each in (ours, theirs, nobodys)] == [True, False, True]


def test_whoever_lost_the_right_applies_nothing(cast: Cast, clients: list[UUID]) -> None:
    choice = BulkChoice(action=BulkAction.REASSIGN, commercial_id=cast.sales_rep.id)
    operation_id = _plan(choice, cast.manager)
    cast.manager.roles = ["commercial"]
    with pytest.raises(ForbiddenError):
        deciding.apply(operation_id, by=cast.manager, at=NOW)
    with pytest.raises(ForbiddenError):
        deciding.apply(operation_id, by=cast.commercial, at=NOW)


def test_whoever_became_a_commercial_does_not_apply_to_the_clients_of_others(cast: Cast, clients: list[UUID]) -> None:
    operation_id = _plan(BulkChoice(action=BulkAction.ARCHIVE), cast.manager)
    tasks_id = _plan(BulkChoice(action=BulkAction.TASK, title="Rappeler", due_on=LATER.date()), cast.manager)
    for planned in (operation_id, tasks_id):
        cast.manager.roles = ["commercial"]
        db.session.commit()
        with pytest.raises(ForbiddenError, match="ne sont plus de votre équipe"):
            deciding.apply(planned, by=cast.manager, at=NOW)
    assert _apply(operation_id, cast.admin).applied == 3


def test_whoever_no_longer_leads_the_team_does_not_apply_to_its_clients(cast: Cast) -> None:
    led, other = factories.TeamFactory(), factories.TeamFactory()
    leads = factories.TeamLeaderFactory(team_id=led.id, user_id=cast.manager.id)
    factories.ClientFactory(commercial_id=factories.CommercialFactory(team_id=led.id).id)
    operation_id = _plan(BulkChoice(action=BulkAction.ARCHIVE), cast.manager)
    leads.team_id = other.id
    db.session.flush()
    with pytest.raises(ForbiddenError):
        deciding.apply(operation_id, by=cast.manager, at=NOW)


def test_a_client_that_went_to_another_team_since_the_plan_is_left_out_of_it(cast: Cast) -> None:
    led, other = factories.TeamFactory(), factories.TeamFactory()
    factories.TeamLeaderFactory(team_id=led.id, user_id=cast.manager.id)
    ours, gone = (factories.ClientFactory(commercial_id=factories.CommercialFactory(team_id=led.id).id) for _ in "ab")
    operation_id = _plan(BulkChoice(action=BulkAction.ARCHIVE), cast.manager)
    gone.commercial_id, gone.version = factories.CommercialFactory(team_id=other.id).id, gone.version + 1
    db.session.flush()
    assert (_apply(operation_id, cast.manager).applied, runs.find(operation_id).left_out) == (1, 1)
    assert _client(ours.id).archived_at is not None


def test_large_numbers_read_as_elsewhere(cast: Cast) -> None:
    assert bulk._title(BulkChoice(action=BulkAction.ARCHIVE), 60_000, "") == "Archivage de 60\u202f000 clients"


def test_another_organisation_finds_nothing(cast: Cast, clients: list[UUID]) -> None:
    operation_id = _plan(BulkChoice(action=BulkAction.ARCHIVE), cast.admin)
    with tenancy.organisation(cast.other_organisation.id), pytest.raises(NotFoundError):
        deciding.apply(operation_id, by=cast.outsider, at=NOW)


@pytest.mark.parametrize(
    ("choice", "field"),
    [
        (BulkChoice(action=BulkAction.STATUS), "status"),
        (BulkChoice(action=BulkAction.TASK, title=" ", due_on=date(2026, 12, 1)), "title"),
        (BulkChoice(action=BulkAction.TASK, title="Appeler", due_on=date(2026, 11, 1)), "due_on"),
        (BulkChoice(action=BulkAction.REASSIGN, commercial_id=UUID(int=7)), "commercial_id"),
    ],
)
def test_what_is_missing_is_said_at_its_field(cast: Cast, clients: list[UUID], choice: BulkChoice, field: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        _plan(choice, cast.admin)
    assert refused.value.field == field


def test_nobody_chosen_is_refused(cast: Cast) -> None:
    with pytest.raises(InvalidInputError, match="Aucun client"):
        _plan(BulkChoice(action=BulkAction.ARCHIVE), cast.admin)


def test_the_number_of_statements_does_not_grow_with_the_clients(cast: Cast, clients: list[UUID]) -> None:
    def statements() -> int:
        with recorded_statements() as counted:
            _apply(_plan(BulkChoice(action=BulkAction.STATUS, status=ClientStatus.ACTIVE), cast.admin), cast.admin)
        return len(counted)

    few = statements()
    for _ in range(30):
        factories.ClientFactory()
    assert statements() == few


def test_one_client_is_archived_and_restored_by_hand(cast: Cast, clients: list[UUID]) -> None:
    archiving.archive(clients[0], by=cast.manager, at=NOW)
    archiving.archive(clients[0], by=cast.manager, at=LATER)
    assert _client(clients[0]).archived_at == NOW
    archiving.restore(clients[0], by=cast.manager, at=LATER)
    assert _client(clients[0]).archived_at is None
    with pytest.raises(ForbiddenError):
        archiving.archive(clients[0], by=factories.UserFactory(), at=NOW)
