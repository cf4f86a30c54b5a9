"""kill -9 before any commit of a merge, and of taking it back: nothing is done by half, and what was begun is ended."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from flask import Flask

from tests import factories
from tests.concurrency import at_once
from tests.conftest import NOW, Cast
from tests.forking import lives
from tests.services.merging.test_merging import all_defaults, make_everything, picture
from webapp import clock, tenancy
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.identity import User
from webapp.models.operations import Operation, OperationKind, OperationState
from webapp.services.merging.commands import Choices, merge
from webapp.services.merging.tables import BELONGINGS
from webapp.services.operations import deciding, runs, undoing
from webapp.services.operations.carry_out import carry_out

LATER = NOW + timedelta(hours=1)
SOME = ("bank_accounts", "default_means", "contracts", "payments", "consents", "timeline_events", "sync_mappings")
COMMITS = 12
"""More than there are: the last ones let the process live."""


def recover() -> None:
    """Time passes, and whoever is well takes over."""
    clock.start_at(clock.now() + runs.LEASE + timedelta(minutes=1))
    for operation in db.session.query(Operation).filter(Operation.state.in_(["preparing", "running"])).all():
        organisation_id, operation_id = operation.organisation_id, operation.id
        db.session.commit()
        carry_out(organisation_id, operation_id)


def test_killed_anywhere_it_is_merged_once_or_not_at_all(committed: None) -> None:
    cast: Cast = factories.make_cast(Cast)
    admin_id = cast.admin.id
    outcomes = set()
    for fatal in range(COMMITS):
        clients = [factories.ClientFactory() for _ in range(2)]
        for each in clients:
            make_everything(each, dict.fromkeys(BELONGINGS, 0) | dict.fromkeys(SOME, 1))
        ids = [each.id for each in clients]
        defaults = all_defaults(*clients)
        before = picture(ids)
        db.session.commit()
        has_lived = lives(lambda: _merge(ids, defaults, admin_id), fatal=fatal)  # noqa: B023  called at once
        recover()
        merged = [each for each in _operations(OperationKind.MERGE) if each.settings["kept_id"] == str(ids[0])]
        after = picture(ids)
        if merged:
            assert [each.state for each in merged] == [OperationState.DONE]
            assert _number_with(after, ids[1]) == 0
        else:
            assert after == before
        outcomes.add((has_lived, bool(merged)))
        db.session.commit()
        if merged:
            _take_back(merged[0].id, admin_id, fatal)
            assert picture(ids) == before
            db.session.commit()
        if has_lived:
            break
    assert outcomes == {(False, False), (False, True), (True, True)}


def _merge(ids: list[UUID], defaults: dict[UUID, UUID], admin_id: UUID) -> None:
    by = _user(admin_id)
    merge(ids, Choices(kept_id=ids[0], defaults=defaults, is_understood=True), by=by, at=NOW)


def _take_back(operation_id: UUID, admin_id: UUID, fatal: int) -> None:
    """By processes that die before the same commit, as often as it takes."""
    for _ in range(2):
        lives(lambda: _undo(operation_id, admin_id), fatal=fatal)
        recover()
    db.session.commit()
    _undo(operation_id, admin_id)
    [undone] = [each for each in _operations(OperationKind.UNDO) if each.undoes_id == operation_id]
    assert undone.state is OperationState.DONE


def _undo(operation_id: UUID, admin_id: UUID) -> None:
    organisation_id, by = tenancy.current_organisation_id(), _user(admin_id)
    undo_id = undoing.plan_undo(operation_id, by=by, at=LATER)
    carry_out(organisation_id, undo_id)
    deciding.apply(undo_id, by=by, at=LATER)
    carry_out(organisation_id, undo_id)


def _user(user_id: UUID) -> User:
    return db.session.query(User).filter_by(id=user_id).one()


def _operations(kind: OperationKind) -> list[Operation]:
    db.session.expire_all()
    return db.session.query(Operation).filter_by(kind=kind).all()


def _number_with(rows: dict[str, Any], client_id: UUID) -> int:
    return sum(row["client_id"] == str(client_id) for table in rows if table != "clients" for row in rows[table])


def test_of_two_windows_one_wins_and_the_other_is_told(app: Flask, committed: None) -> None:
    cast: Cast = factories.make_cast(Cast)
    admin_id = cast.admin.id
    first, second = (factories.ClientFactory().id for _ in range(2))
    db.session.commit()
    told: list[Operation] = []

    def act(kept_id: UUID) -> Callable[[], None]:
        def do() -> None:
            choices = Choices(kept_id=kept_id, versions={first: 1, second: 1})
            told.append(merge([first, second], choices, by=_user(admin_id), at=NOW))

        return do

    ends = at_once(app, tenancy.current_organisation_id(), act(first), act(second))
    states = sorted(each.state.value for each in told)
    assert (ends, states) in (
        (["done", "done"], ["done", "failed"]),
        (["AlreadyMergedError", "done"], ["done"]),
        (["StaleError", "done"], ["done"]),
    )
    assert db.session.query(Client).filter(Client.archived_at.is_not(None)).count() == 1
