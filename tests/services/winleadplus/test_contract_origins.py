"""Of a contract, provenance says who wrote a value and what stood before, whoever wrote it, in whatever order."""

import random
from dataclasses import dataclass, field, replace
from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from tests import factories
from tests.conftest import Cast
from tests.queries import recorded_statements
from tests.services.winleadplus.conftest import Sync
from tests.services.winleadplus.looking import client_of, contract
from tests.services.winleadplus.raw import OTHER_REP, first, second
from tests.services.winleadplus.raw import contract as raw_contract
from tests.services.winleadplus.test_undo import _undo
from tests.upstream import Upstream
from webapp import clock
from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.contracts import Contract, ContractChange, ContractStatus
from webapp.models.identity import User
from webapp.models.operations import ItemAction, ItemTarget, Operation, OperationItem, OperationKind, OperationState
from webapp.models.winleadplus import SyncRun
from webapp.services.commercials import link_awaiting
from webapp.services.concurrent_edits import EditConflictError
from webapp.services.contracts import editing, origins
from webapp.services.contracts.fields import ContractFields
from webapp.services.operations import writing
from webapp.transactions import transaction, writing_as

BY_THE_CRM = "Modifié par le CRM"
# What is written by hand is refused: this is written within a trigger.
AS_THE_MIGRATION_DOES = (
    "CREATE TEMPORARY TABLE begun (at timestamptz) ON COMMIT DROP",
    """CREATE FUNCTION pg_temp.begin_history() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO contract_changes (organisation_id, contract_id, at, changes)
      SELECT organisation_id, id, NEW.at, '{}' FROM contracts;
      RETURN NEW;
    END $$""",
    "CREATE TRIGGER begun BEFORE INSERT ON begun FOR EACH ROW EXECUTE FUNCTION pg_temp.begin_history()",
    "INSERT INTO begun VALUES (now())",
)


def _edit(edited: str, by: User, **values: object) -> None:
    found = contract(edited)
    fields = replace(ContractFields.of(found), **values)  # type: ignore[arg-type]  as they come
    editing.edit_contract(found.id, fields, seen=found.changed_at, by=by, at=clock.now())


def _operate(by: User, *, row_id: UUID, action: ItemAction, line: int = 1, **after: object) -> Operation:
    """An operation that does one thing to one contract, and is applied."""
    operation = Operation(
        kind=OperationKind.IMPORT, title="Import contrats.csv", state=OperationState.RUNNING, by_id=by.id
    )
    db.session.add(operation)
    db.session.flush()
    seen = db.session.execute(
        text("SELECT (extract(epoch from changed_at) * 1000000)::bigint::text FROM contracts WHERE id = :id"),
        {"id": row_id},
    ).scalar()
    item = {"operation_id": operation.id, "position": 1, "line": line, "row_id": row_id, "seen": seen, "after": after}
    db.session.add(OperationItem(target=ItemTarget.CONTRACT, action=action, **item))
    db.session.flush()
    with transaction():
        chunk = writing.Chunk(
            operation.organisation_id, operation.id, 0, 1, by.id, clock.now(), plan_begun_at=clock.now()
        )
        assert writing.apply(chunk).applied == 1
    return operation


def _write_untold(contract_id: UUID, amount: Decimal) -> None:
    parameters = {"id": contract_id, "amount": amount}
    db.session.execute(text("UPDATE contracts SET amount = :amount WHERE id = :id"), parameters)
    db.session.expire_all()


Told = tuple[UUID | None, UUID | None, UUID | None, Decimal | None, Decimal | None]


@dataclass
class History:
    """What happened to the amount of the contract 1WNC, as it ought to be told: user, run, operation, before, after."""

    cast: Cast
    winleadplus: Upstream
    sync: Sync
    value: Decimal = Decimal("2.2")
    told: list[Told] = field(default_factory=list)
    undoable: tuple[SyncRun, Decimal, Decimal] | None = None

    def happen(self, what: str, new: Decimal) -> None:
        """One more change, or an undo that may find nothing to do."""
        found, by = contract("1WNC"), self.cast.manager
        match what:
            case "edit":
                _edit("1WNC", by, amount=new)
                self._tell(new, user=by.id)
            case "sync":
                self.winleadplus.serve([first(1, contrats=[raw_contract("1WNC", montant=float(new))])])
                run = self.sync()
                self.undoable = (run, self.value, new)
                self._tell(new, run=run.id)
            case "operation":
                operation = _operate(by, row_id=found.id, action=ItemAction.UPDATE, amount=str(new))
                self._tell(new, user=by.id, operation=operation.id)
            case "untold":
                _write_untold(found.id, new)
                self._tell(new)
            case "undo" if self.undoable:
                run, before, after = self.undoable
                operation = _undo(run, by)
                if self.value == after:
                    self._tell(before, user=by.id, operation=operation.id)
                self.undoable = None
        db.session.expire_all()

    def _tell(
        self, new: Decimal, *, user: UUID | None = None, run: UUID | None = None, operation: UUID | None = None
    ) -> None:
        self.told.append((user, run, operation, self.value, new))
        self.value = new


@pytest.mark.parametrize("seed", range(6))
def test_what_is_told_is_what_happened(cast: Cast, winleadplus: Upstream, sync: Sync, seed: int) -> None:
    winleadplus.serve([first(1, contrats=[raw_contract("1WNC")])])
    created = sync()
    history, chance = History(cast, winleadplus, sync), random.Random(seed)
    for number in range(8):
        what = chance.choice(["edit", "sync", "sync", "operation", "untold", "undo"])
        history.happen(what, Decimal(10 + number))
        origin = origins.find_origin(contract("1WNC").id, "amount")
        assert (origin.value, origin.is_told) == (history.value, True)
        *steps, creation = origin.steps
        assert [
            (each.event.user.id if each.event.user else None, each.event.run_id, each.event.operation_id, each.before,
             each.after)
            for each in steps
        ] == history.told[::-1]  # fmt: skip
        assert [each.title == BY_THE_CRM for each in steps] == [not any(told[:3]) for told in history.told[::-1]]
        assert (creation.is_creation, creation.event.run_id) == (True, created.id)


def test_a_synchronisation_keeps_only_what_changes_in_as_many_statements(
    cast: Cast, winleadplus: Upstream, sync: Sync
) -> None:
    def serve(count: int, amount: float, **differences: object) -> int:
        winleadplus.serve(
            [first(each, contrats=[raw_contract(f"{each}WNC", montant=amount)], **differences) for each in range(count)]
        )
        with recorded_statements() as statements:
            sync()
        return len(statements)

    def kept() -> int:
        return db.session.scalar(select(func.count()).select_from(ContractChange)) or 0

    serve(12, 2.2)
    serve(12, 2.2, ville="Roubaix")
    assert kept() == 0
    few = serve(2, 3.3, ville="Roubaix")
    assert kept() == 2
    assert serve(12, 4.4, ville="Roubaix") <= few + 2  # to find ten more in two steps
    assert kept() == 14


def test_a_status_is_told_with_upstreams_word_which_is_not_put_back(
    cast: Cast, winleadplus: Upstream, sync: Sync
) -> None:
    def serve(status: str) -> None:
        raw = second(1)
        raw["Souscription"][0]["contrats"][0]["statut"] = status
        winleadplus.serve([raw])
        sync()

    serve("En étude")
    serve("Résilié")
    _edit("1TEL", cast.manager, status=ContractStatus.ACTIVE)
    origin = origins.find_origin(contract("1TEL").id, "status")
    assert [origin.word(step.before) for step in origin.steps[:2]] == ["Résilié", "En étude"]
    assert [origin.can_put_back(step) for step in origin.steps] == [True, False, False]
    found = contract("1TEL")
    at = {"seen": found.changed_at, "by": cast.commercial, "at": clock.now()}
    with pytest.raises(InvalidInputError):
        origins.put_back(found.id, "status", origin.steps[1].event.id or 0, **at)
    origins.put_back(found.id, "status", origin.steps[0].event.id or 0, **at)
    assert contract("1TEL").status is ContractStatus.TERMINATED


def test_a_value_is_put_back_as_an_edit_of_the_version_that_was_seen(cast: Cast) -> None:
    made = factories.ContractFactory(client_id=factories.ClientFactory().id, reference="A", supplier=None)
    db.session.flush()
    _edit("A", cast.manager, supplier="Lumifibre")
    change_id = origins.find_origin(made.id, "supplier").steps[0].event.id or 0
    with pytest.raises(EditConflictError):
        origins.put_back(
            made.id, "supplier", change_id, seen=clock.now().replace(year=2000), by=cast.commercial, at=clock.now()
        )
    origins.put_back(made.id, "supplier", change_id, seen=made.changed_at, by=cast.commercial, at=clock.now())
    origin = origins.find_origin(made.id, "supplier")
    assert (origin.value, origin.steps[0].event.user) == (None, cast.commercial)


def test_a_creation_names_the_operation_with_its_line_or_the_person(cast: Cast) -> None:
    client = factories.ClientFactory()
    db.session.flush()
    company_id, row_id = factories.default_company().id, new_id()
    operation = _operate(
        cast.manager, row_id=row_id, action=ItemAction.CREATE, line=214,
        client_id=str(client.id), company_id=str(company_id), reference="IMPORTÉ",
    )  # fmt: skip
    [step] = origins.find_origin(row_id, "amount").steps
    assert (step.event.operation_id, step.operation, step.line) == (operation.id, "Import contrats.csv", 214)
    assert step.event.user == cast.manager
    for by, reference in ((cast.manager, "B"), (cast.commercial, "C")):  # at the same instant
        written = ContractFields(reference=reference, company_id=company_id)
        made = editing.create_contract(client.id, written, by=by, at=clock.now())
        [step] = origins.find_origin(made.id, "amount").steps
        assert (step.title, step.event.user, step.event.run_id) == ("Contrat créé", by, None)


def test_nobody_is_named_for_what_another_wrote_in_the_same_transaction(cast: Cast) -> None:
    made = factories.ContractFactory(client_id=factories.ClientFactory().id, reference="A")
    factories.ContractFactory(client_id=made.client_id, reference="TAKEN")
    db.session.flush()
    with transaction():
        with pytest.raises(InvalidInputError):
            _edit("A", cast.manager, reference="TAKEN")
        _write_untold(made.id, Decimal(5))
        _edit("A", cast.manager, supplier="Lumifibre")
        _write_untold(made.id, Decimal(6))
    assert [step.title for step in origins.find_origin(made.id, "amount").steps[:2]] == [BY_THE_CRM, BY_THE_CRM]


def test_who_wrote_is_forgotten_with_the_transaction(committed: None) -> None:
    cast: Cast = factories.make_cast(Cast)
    made = factories.ContractFactory(client_id=factories.ClientFactory().id, reference="A")
    db.session.commit()
    contract_id = made.id

    def write_and_fail() -> None:
        with transaction(), writing_as(at=clock.now(), user_id=cast.manager.id):
            _write_untold(contract_id, Decimal(1))
            raise InvalidInputError("Non.")

    with pytest.raises(InvalidInputError):
        write_and_fail()
    with transaction():
        _write_untold(contract_id, Decimal(2))
    with transaction():
        _edit("A", cast.manager, amount=Decimal(3))
    with transaction():
        _write_untold(contract_id, Decimal(4))
    assert [step.event.user for step in origins.find_origin(contract_id, "amount").steps] == [
        None, cast.manager, None, None,
    ]  # fmt: skip


def test_whoever_has_gone_is_not_taken_for_the_crm(cast: Cast) -> None:
    made = factories.ContractFactory(client_id=factories.ClientFactory().id, reference="A")
    gone = factories.UserFactory()
    db.session.flush()
    _edit("A", gone, amount=Decimal(1))
    db.session.delete(gone)
    db.session.flush()
    [step, _] = origins.find_origin(made.id, "amount").steps
    assert step.title == "Modifié par une personne dont le compte n’existe plus"


def test_a_contract_changed_before_there_was_a_history_is_said_to_be_so(cast: Cast) -> None:
    made = factories.ContractFactory(client_id=factories.ClientFactory().id, reference="A")
    db.session.flush()
    for statement in AS_THE_MIGRATION_DOES:
        db.session.execute(text(statement))
    assert not origins.find_origin(made.id, "amount").is_told
    _edit("A", cast.manager, amount=Decimal(1))
    assert origins.find_origin(made.id, "amount").is_told
    assert not origins.find_origin(made.id, "supplier").is_told


def test_a_history_is_not_written_by_hand_and_goes_with_its_contract(cast: Cast) -> None:
    made = factories.ContractFactory(client_id=factories.ClientFactory().id, reference="A")
    db.session.flush()
    _edit("A", cast.manager, amount=Decimal(1))
    for statement in (
        "UPDATE contract_changes SET changes = '{}'",
        "DELETE FROM contract_changes",
        "INSERT INTO contract_changes (organisation_id, contract_id, at, changes)"
        " SELECT organisation_id, contract_id, at, changes FROM contract_changes",
    ):
        with pytest.raises(DBAPIError, match="not written by hand"), db.session.begin_nested():
            db.session.execute(text(statement))
    db.session.delete(made)
    db.session.flush()
    assert db.session.scalar(select(func.count()).select_from(ContractChange)) == 0


def test_moving_to_another_client_and_what_upstream_no_longer_names_are_no_values(
    cast: Cast, winleadplus: Upstream, sync: Sync
) -> None:
    winleadplus.serve([first(1, contrats=[raw_contract("KEPT"), raw_contract("GONE")])])
    sync()
    winleadplus.serve([first(1, contrats=[raw_contract("KEPT")])])
    sync()
    assert contract("GONE").missing_since
    other = factories.ClientFactory()
    db.session.flush()
    contract("KEPT").client_id = other.id
    db.session.flush()
    assert db.session.scalar(select(func.count()).select_from(ContractChange)) == 0
    assert client_of(1).id != other.id


def test_a_commercial_found_at_last_is_told_as_the_crms_doing(cast: Cast) -> None:
    made: Contract = factories.ContractFactory(client_id=factories.ClientFactory().id, commercial_id=None)
    made.commercial_external_id = OTHER_REP
    db.session.flush()
    found = factories.CommercialFactory(external_id=OTHER_REP)
    db.session.flush()
    link_awaiting(at=clock.now())
    db.session.expire_all()
    [step, _] = origins.find_origin(made.id, "commercial_id").steps
    assert (step.title, step.after) == (BY_THE_CRM, found.id)
