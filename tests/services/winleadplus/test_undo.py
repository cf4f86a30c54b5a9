"""Undoing a run: what nobody changed since goes back, what WinLeadPlus said is remembered, and nothing comes back."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy import select

from tests.conftest import NOW, Cast
from tests.queries import recorded_statements
from tests.rows import make_row, table_named
from tests.services.winleadplus.conftest import Sync, counts
from tests.services.winleadplus.looking import all_clients, client_of, contract
from tests.services.winleadplus.raw import IBAN, OTHER_REP, first, second
from tests.services.winleadplus.raw import contract as raw_contract
from tests.upstream import Upstream
from webapp import clock, tenancy
from webapp.errors import ForbiddenError, NotFoundError
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.contracts import Contract, ContractStatus
from webapp.models.identity import User
from webapp.models.operations import ItemAction, Operation, OperationItem, OperationState
from webapp.models.winleadplus import SyncRun
from webapp.services.clients import activities, editing
from webapp.services.clients.fields import ClientFields
from webapp.services.operations import deciding, runs, taking_back, undoing_syncs
from webapp.services.operations.carry_out import carry_out
from webapp.services.operations.taking_back import NotUndoableError


def _plan(run: SyncRun, by: User) -> UUID:
    operation_id = undoing_syncs.plan_undo(run.id, by=by, at=clock.now())
    carry_out(tenancy.current_organisation_id(), operation_id)
    return operation_id


def _undo(run: SyncRun, by: User) -> Operation:
    operation_id = _plan(run, by)
    deciding.apply(operation_id, by=by, at=clock.now())
    carry_out(tenancy.current_organisation_id(), operation_id)
    db.session.expire_all()
    return runs.find(operation_id)


def _kept(operation: Operation) -> Sequence[OperationItem]:
    wanted = select(OperationItem).where(
        OperationItem.operation_id == operation.id, OperationItem.action == ItemAction.NOTHING
    )
    return db.session.scalars(wanted.order_by(OperationItem.position)).all()


def _edit(client: Client, by: User, **values: object) -> None:
    fields = ClientFields(**{**vars(ClientFields.of(client)), **values})
    editing.edit_client(client.id, fields, version=client.version, bank=None, confirmed=True, by=by, at=clock.now())


def test_what_nobody_changed_goes_back_and_what_somebody_changed_stays(
    cast: Cast, winleadplus: Upstream, sync: Sync
) -> None:
    winleadplus.serve([first(1), first(2)])
    sync()
    winleadplus.serve([first(1, ville="Roubaix", codePostal="59100", telephone="0639980252"), first(2)])
    run = sync()
    _edit(client_of(1), cast.manager, city="Tourcoing")
    operation = _undo(run, cast.manager)
    client = client_of(1)
    assert (client.city, client.postcode, client.phone) == ("Tourcoing", "59000", None)
    assert (operation.state, operation.applied) == (OperationState.DONE, 1)
    [kept] = _kept(operation)
    assert (kept.reason, kept.before, kept.after) == (
        taking_back.CHANGED_SINCE,
        {"city": "Lille"},
        {"city": "Tourcoing"},
    )


def test_nothing_comes_back_until_winleadplus_says_something_new_of_it(
    cast: Cast, winleadplus: Upstream, sync: Sync
) -> None:
    winleadplus.serve([first(1)])
    sync()
    changed = first(1, ville="Roubaix", codePostal="59100", contrats=[raw_contract("1WNC", montant=9.9)])
    winleadplus.serve([changed])
    _undo(sync(), cast.manager)
    assert counts(sync()) == (0, 0, 1)
    assert (client_of(1).city, contract("1WNC").amount) == ("Lille", Decimal("2.2"))
    winleadplus.serve([{**changed, "codePostal": "59200"}])
    assert counts(sync()) == (0, 1, 0)
    client = client_of(1)
    assert (client.city, client.postcode) == ("Lille", "59200")


def test_a_client_that_the_run_created_is_archived_unless_it_has_gained_something(
    cast: Cast, winleadplus: Upstream, sync: Sync
) -> None:
    paid = [{"IBAN": IBAN, "BIC": "AGRIFRPPXXX"}]
    winleadplus.serve([first(1, informationsPaiement=paid), first(2), first(3)])
    run = sync()
    activities.record(
        client_of(2).id, activities.Genre.NOTE, "Rappeler lundi.", due_on=None, by=cast.manager, at=clock.now()
    )
    _edit(client_of(3), cast.manager, city="Tourcoing")
    operation = _undo(run, cast.manager)
    assert [bool(client_of(each).archived_at) for each in (1, 2, 3)] == [True, False, False]
    assert sorted(item.reason or "" for item in _kept(operation)) == [
        "A reçu depuis\u202f: une note. Conservé.",
        taking_back.KEPT,
    ]
    assert counts(sync()) == (0, 0, 3)
    assert len(all_clients()) == 3
    assert client_of(1).archived_at


def test_a_pair_of_duplicates_that_was_found_is_nothing_that_a_client_gained(
    cast: Cast, winleadplus: Upstream, sync: Sync
) -> None:
    winleadplus.serve([first(1), first(2)])
    run = sync()
    one, other = sorted((client_of(1).id, client_of(2).id))
    make_row(table_named("duplicate_pairs"), first_id=one, second_id=other)
    operation = _undo(run, cast.manager)
    assert _kept(operation) == []
    assert client_of(1).archived_at
    assert client_of(2).archived_at


def test_a_contract_that_the_run_created_is_removed_unless_it_changed(
    cast: Cast, winleadplus: Upstream, sync: Sync
) -> None:
    winleadplus.serve([first(1)])
    sync()
    winleadplus.serve([first(1, contrats=[raw_contract("1WNC"), raw_contract("NEW"), raw_contract("KEPT")])])
    run = sync()
    contract("KEPT").changed_at = clock.now() + timedelta(minutes=1)
    db.session.flush()
    operation = _undo(run, cast.manager)
    assert set(db.session.scalars(select(Contract.reference))) == {"1WNC", "KEPT"}
    assert [(item.label, item.reason) for item in _kept(operation)] == [("KEPT", taking_back.KEPT)]
    assert counts(sync()) == (0, 0, 1)
    assert set(db.session.scalars(select(Contract.reference))) == {"1WNC", "KEPT"}


def test_the_status_of_a_contract_and_the_commercial_go_back(cast: Cast, winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([second(1)])
    sync()
    before = client_of(1).commercial_id
    other = {"id": OTHER_REP, "nom": "Roe", "prenom": "Jane", "email": "jane.roe@example.org"}
    changed = second(1, commercialId=OTHER_REP, commercial=other)
    changed["Souscription"][0]["contrats"][0]["statut"] = "Résilié"
    winleadplus.serve([changed])
    run = sync()
    assert client_of(1).commercial_id != before
    assert contract("1TEL").status is ContractStatus.TERMINATED
    _undo(run, cast.manager)
    assert client_of(1).commercial_id == before
    assert contract("1TEL").status is ContractStatus.PENDING


def test_what_cannot_go_back_is_listed_with_its_reason_and_without_its_value(
    cast: Cast, winleadplus: Upstream, sync: Sync
) -> None:
    winleadplus.serve([first(1)])
    sync()
    winleadplus.serve([first(1, informationsPaiement=[{"IBAN": IBAN, "BIC": "AGRIFRPPXXX"}], identityCard={"n": "X9"})])
    operation = _undo(sync(), cast.manager)
    kept = _kept(operation)
    assert {item.reason for item in kept} >= {undoing_syncs.STAYS["iban"]}
    assert all(IBAN not in str((item.before, item.after)) for item in kept)
    applied = db.session.scalars(select(OperationItem).where(OperationItem.action == ItemAction.UPDATE)).all()
    assert [(item.label, item.after) for item in applied] == [("1WNC", {"payment_method": None})]


def test_only_managers_and_admins_undo_and_only_what_wrote_something_lately(
    cast: Cast, winleadplus: Upstream, sync: Sync
) -> None:
    winleadplus.serve([first(1)])
    simulated, run = sync(dry_run=True), sync()
    with pytest.raises(ForbiddenError):
        undoing_syncs.plan_undo(run.id, by=cast.commercial, at=clock.now())
    with pytest.raises(NotUndoableError):
        undoing_syncs.plan_undo(simulated.id, by=cast.admin, at=clock.now())
    with pytest.raises(NotUndoableError):
        undoing_syncs.plan_undo(run.id, by=cast.manager, at=NOW + timedelta(days=31))
    with pytest.raises(NotFoundError):
        undoing_syncs.plan_undo(cast.manager.id, by=cast.manager, at=clock.now())
    planned = undoing_syncs.plan_undo(run.id, by=cast.manager, at=clock.now())
    assert undoing_syncs.plan_undo(run.id, by=cast.admin, at=clock.now()) == planned


def test_the_plan_takes_no_more_statements_for_more_prospects(cast: Cast, winleadplus: Upstream, sync: Sync) -> None:
    taken = []
    for numbers in ((1,), tuple(range(1, 9))):
        winleadplus.serve([first(each) for each in numbers])
        sync()
        winleadplus.serve([first(each, ville=f"Ville {len(numbers)}") for each in numbers])
        run = sync()
        operation_id = undoing_syncs.plan_undo(run.id, by=cast.manager, at=clock.now())
        with recorded_statements() as statements:
            carry_out(tenancy.current_organisation_id(), operation_id)
        taken.append(len(statements))
    assert taken[0] <= taken[1] <= taken[0] + 3  # the second run has created prospects too
