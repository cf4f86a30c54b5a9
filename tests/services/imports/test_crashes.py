"""kill -9 before any commit of a reading, a plan, its applying and its undoing: taken over, with the same result."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select

from tests import factories
from tests.conftest import NOW, Cast
from tests.forking import lives
from tests.services.imports.conftest import RULES, kept, told
from webapp import clock, tenancy
from webapp.extensions import db
from webapp.models.banking import BankAccount, Mandate
from webapp.models.clients import Client
from webapp.models.contracts import Contract
from webapp.models.identity import User
from webapp.models.imports import Import, ImportRow, ImportState
from webapp.models.operations import Operation, OperationState
from webapp.models.timeline import TimelineEvent
from webapp.services.imports import commands, planning
from webapp.services.operations import carry_out as carrying
from webapp.services.operations import deciding, runs, undoing

LATER = NOW + timedelta(hours=1)
HEAD = "Nom;E-mail;Ville;Commercial;N° contrat;IBAN;RUM;Mandat signé le;Produit\n"
IBANS = ("FR7630006000011234567890189", "FR7630004000031234567890143")
COMMITS = 30
"""More than there are of any step: the last round lives."""


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few lines to a commit, so that a small file has many."""
    monkeypatch.setattr(planning, "STAGED_AT_ONCE", 2)
    monkeypatch.setattr(planning, "COMPARED_AT_ONCE", 2)
    monkeypatch.setattr(carrying, "CHUNK", 3)


def _content(mark: int) -> str:
    """Two clients who are new, one who is known; contracts, accounts, mandates, a commercial; and a fault."""
    return HEAD + (
        f"Durand;a{mark}@exemple.fr;Lyon;Jean Vendeur{mark};A-{mark};{IBANS[0]};RUM-A{mark};03/11/2025;Box\n"
        f"Martin;b{mark}@exemple.fr;Lyon;Jean Vendeur{mark};B-{mark};{IBANS[1]};RUM-B{mark};04/11/2025;\n"
        f"Connu;known{mark}@exemple.fr;Lyon;;K-{mark};;;;Box\n"
        f"Faux;faux{mark}@@exemple.fr;;;;;;;\n"
    )


def _picture(mark: int) -> dict[str, Any]:
    """What there is of a round's file."""
    db.session.rollback()
    db.session.expire_all()
    of_round = Client.email.in_([f"{name}{mark}@exemple.fr" for name in ("a", "b", "known", "faux")])
    clients = db.session.scalars(select(Client).where(of_round).order_by(Client.email)).all()
    ids = [each.id for each in clients]

    def number(model: Any) -> int:
        return db.session.scalar(select(func.count()).select_from(model).where(model.client_id.in_(ids))) or 0

    return {
        "clients": [(each.email, each.city, each.archived_at is not None) for each in clients],
        "contracts": number(Contract),
        "lines": sum(len(each.lines) for each in db.session.query(Contract).filter(Contract.client_id.in_(ids))),
        "accounts": number(BankAccount),
        "mandates": number(Mandate),
        "events": number(TimelineEvent),
    }


def _user(user_id: UUID) -> User:
    return db.session.query(User).filter_by(id=user_id).one()


def _recover() -> None:
    """Time passes, and whoever is well takes over."""
    clock.start_at(clock.now() + runs.LEASE + timedelta(minutes=1))
    commands.sweep(at=clock.now())
    runs.sweep(at=clock.now())
    db.session.rollback()
    organisation_id = tenancy.current_organisation_id()
    for import_id in db.session.scalars(select(Import.id).where(Import.state == ImportState.READING)).all():
        commands.read(organisation_id, import_id)
    worked_on = select(Operation.id).where(Operation.state.in_(["preparing", "running"]))
    for operation_id in db.session.scalars(worked_on).all():
        carrying.carry_out(organisation_id, operation_id)
    db.session.commit()


def _apply(operation_id: UUID, admin_id: UUID) -> None:
    if runs.find(operation_id).state is OperationState.PLANNED:
        deciding.apply(operation_id, by=_user(admin_id), at=LATER)
    carrying.carry_out(tenancy.current_organisation_id(), operation_id)


def _undo(operation_id: UUID, admin_id: UUID) -> None:
    undo_id = undoing.plan_undo(operation_id, by=_user(admin_id), at=LATER)
    carrying.carry_out(tenancy.current_organisation_id(), undo_id)
    _apply(undo_id, admin_id)


def _read(mark: int, admin_id: UUID, fatal: int) -> tuple[UUID, bool]:
    import_id = kept(_content(mark), _user(admin_id))
    commands.correct(import_id, {"separator": ";"}, by=_user(admin_id), at=clock.now())
    db.session.commit()
    organisation_id = tenancy.current_organisation_id()
    lived = lives(lambda: commands.read(organisation_id, import_id), fatal=fatal)
    _recover()
    assert commands.find(import_id, by=_user(admin_id)).state is ImportState.READ
    return import_id, lived


def _plan(import_id: UUID, admin_id: UUID, fatal: int) -> tuple[UUID, bool]:
    by = _user(admin_id)
    keys = commands.find(import_id, by=by).columns
    operation_id = commands.match(import_id, keys, {**RULES, "creates_commercials": True}, by=by, at=clock.now())
    db.session.commit()
    organisation_id = tenancy.current_organisation_id()
    lived = lives(lambda: carrying.carry_out(organisation_id, operation_id), fatal=fatal)
    _recover()
    assert told(operation_id) == [
        (None, "commercial", "create"),
        (2, "client", "create"), (2, "contract", "create"), (2, "bank_account", "create"), (2, "mandate", "create"),
        (3, "client", "create"), (3, "contract", "create"), (3, "bank_account", "create"), (3, "mandate", "create"),
        (4, "client", "update"), (4, "contract", "create"),
        (5, "client", "error"),
    ]  # fmt: skip
    assert db.session.query(ImportRow).count() == 0
    db.session.commit()
    return operation_id, lived


def test_killed_anywhere_an_import_ends_the_same(committed: None) -> None:
    cast: Cast = factories.make_cast(Cast)
    admin_id = cast.admin.id
    factories.ProductFactory(name="Box")
    db.session.commit()
    for fatal in range(COMMITS):
        factories.ClientFactory(email=f"known{fatal}@exemple.fr", last_name="Connu", city="Paris")
        db.session.commit()
        before = _picture(fatal)
        import_id, read_whole = _read(fatal, admin_id, fatal)
        operation_id, planned_whole = _plan(import_id, admin_id, fatal)
        assert _picture(fatal) == before

        applied_whole = lives(lambda: _apply(operation_id, admin_id), fatal=fatal)  # noqa: B023  called at once
        _recover()
        _apply(operation_id, admin_id)
        done = runs.find(operation_id)
        assert (done.state.value, done.applied, done.left_out) == ("partial", 11, 0)
        assert _picture(fatal) == {
            "clients": [
                (f"a{fatal}@exemple.fr", "Lyon", False),
                (f"b{fatal}@exemple.fr", "Lyon", False),
                (f"known{fatal}@exemple.fr", "Lyon", False),
            ],
            "contracts": 3,
            "lines": 2,
            "accounts": 2,
            "mandates": 2,
            "events": 10,
        }
        db.session.commit()

        undone_whole = lives(lambda: _undo(operation_id, admin_id), fatal=fatal)  # noqa: B023  called at once
        _recover()
        _undo(operation_id, admin_id)
        assert _picture(fatal) == {
            "clients": [
                (f"a{fatal}@exemple.fr", "Lyon", True),
                (f"b{fatal}@exemple.fr", "Lyon", True),
                (f"known{fatal}@exemple.fr", "Paris", False),
            ],
            "contracts": 0,
            "lines": 0,
            "accounts": 0,
            "mandates": 0,
            "events": 20,
        }
        if read_whole and planned_whole and applied_whole and undone_whole:
            break
    assert 10 < fatal < COMMITS - 1
