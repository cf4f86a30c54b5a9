"""apply(plan) is the plan; undo(apply) is what was before, but for what somebody changed meanwhile."""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from tests import factories
from tests.conftest import NOW, Cast
from tests.examples import some
from tests.services.imports.conftest import applied, items_of, planned
from webapp import tenancy
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.contracts import Contract
from webapp.models.identity import User
from webapp.models.imports import Policy
from webapp.models.operations import ItemAction, ItemTarget, OperationState
from webapp.services.clients import editing
from webapp.services.clients.fields import ClientFields
from webapp.services.operations import carry_out as carrying
from webapp.services.operations import deciding, runs, undoing
from webapp.services.operations.carry_out import carry_out
from webapp.services.operations.taking_back import CHANGED_SINCE

FIELDS = ("last_name", "first_name", "city", "postcode", "address_line1")
KNOWN = 4
VALUES = {
    "last_name": st.sampled_from(["Durand", "Martin", "Petit"]),
    "first_name": st.sampled_from(["Ana", "Zoé", ""]),
    "city": st.sampled_from(["Lyon", "Lille", ""]),
    "postcode": st.sampled_from(["69001", "59000", ""]),
    "address_line1": st.sampled_from(["1 rue A", "2 rue B", ""]),
}
CLIENT = st.fixed_dictionaries(VALUES)
LINE = st.fixed_dictionaries({**VALUES, "email": st.integers(0, KNOWN + 3), "contract": st.integers(0, 8)})
KNOWN_CLIENTS = st.lists(CLIENT, min_size=KNOWN, max_size=KNOWN)
LINES = st.lists(LINE, min_size=4, max_size=8)
CHANGE = st.tuples(st.integers(0, KNOWN + 3), st.sampled_from(FIELDS[2:]))
settings_of_these = settings(
    max_examples=some(30), phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


def _email(number: int) -> str:
    return f"c{number}@exemple.fr"


def _begin(known: list[dict[str, str]]) -> None:
    db.session.query(Contract).delete()
    db.session.query(Client).delete()
    for number, values in enumerate(known):
        client = factories.ClientFactory(
            email=_email(number),
            **{key: value or None for key, value in values.items()}
            | {"last_name": values["last_name"], "first_name": values["first_name"]},
        )
        factories.ContractFactory(client_id=client.id, reference=f"K-{number}", amount="10.00")
    db.session.flush()


def _file(lines: list[dict[str, Any]]) -> str:
    head = "Nom;Prénom;Ville;Code postal;Adresse;E-mail;N° contrat;Montant"
    rows = [
        ";".join([*(line[name] for name in FIELDS), _email(line["email"]), f"K-{line['contract']}", "12,00"])
        for line in lines
    ]
    return "\n".join([head, *rows]) + "\n"


def _rows(model: type[Client] | type[Contract]) -> dict[UUID, dict[str, Any]]:
    """All columns but those that tell of the writing itself, and those that PostgreSQL makes of others."""
    written = {"version", "changed_at", "created_at", "contracts_count", "contract_references"}
    written |= {"name_key", "city_key", "search_text", "amount_key"}
    names = [each.name for each in model.__table__.columns if each.name not in written]
    db.session.expire_all()
    return {row.id: {name: _plain(getattr(row, name)) for name in names} for row in db.session.scalars(select(model))}


def _plain(value: Any) -> Any:
    return str(value) if value is not None else None


def _undone(operation_id: UUID, by: User) -> UUID:
    undo_id = undoing.plan_undo(operation_id, by=by, at=NOW)
    carry_out(tenancy.current_organisation_id(), undo_id)
    assert applied(undo_id, by).left_out == 0
    return undo_id


@pytest.mark.parametrize("policy", list(Policy))
@settings_of_these
@given(known=KNOWN_CLIENTS, lines=st.lists(LINE, min_size=1, max_size=8))
def test_what_is_applied_is_the_plan_and_nothing_else(
    cast: Cast, policy: Policy, known: list[dict[str, str]], lines: list[dict[str, Any]]
) -> None:
    _begin(known)
    before = {ItemTarget.CLIENT: _rows(Client), ItemTarget.CONTRACT: _rows(Contract)}
    operation_id = planned(_file(lines), cast.admin, policy=policy.value)
    assert {ItemTarget.CLIENT: _rows(Client), ItemTarget.CONTRACT: _rows(Contract)} == before
    done = applied(operation_id, cast.admin)
    after = {ItemTarget.CLIENT: _rows(Client), ItemTarget.CONTRACT: _rows(Contract)}
    assert done.left_out == 0
    assert done.applied == done.creates + done.updates
    for item in items_of(operation_id):
        if item.action in (ItemAction.CREATE, ItemAction.UPDATE):
            assert item.row_id is not None
            present = after[item.target].pop(item.row_id)
            stood = before[item.target].pop(item.row_id, {})
            for name, value in {**stood, **item.after}.items():
                same = float(present[name]) == float(value) if name == "amount" and value else present[name] == value
                assert same, (name, present[name], value)
    assert after == before  # what the plan does not name is as it was


@settings(settings_of_these, max_examples=some(75))
@given(
    known=KNOWN_CLIENTS,
    lines=LINES,
    changes=st.sets(CHANGE, min_size=4, max_size=12),
)
def test_what_is_undone_is_all_but_what_somebody_changed(
    cast: Cast, known: list[dict[str, str]], lines: list[dict[str, Any]], changes: set[tuple[int, str]]
) -> None:
    _begin(known)
    before = _rows(Client), _rows(Contract)
    operation_id = planned(_file(lines), cast.admin)
    if not applied(operation_id, cast.admin).applied:
        return
    changed: dict[UUID, set[str]] = {}
    for number, name in sorted(changes):
        client = db.session.scalar(select(Client).where(Client.email == _email(number)))
        if client is not None:
            fields = ClientFields(**{**vars(ClientFields.of(client)), name: "59777"})
            editing.edit_client(
                client.id, fields, version=client.version, bank=None, confirmed=True, by=cast.admin, at=NOW
            )
            changed.setdefault(client.id, set()).add(name)
    touched = _rows(Client)
    _undone(operation_id, cast.admin)
    clients, contracts = _rows(Client), _rows(Contract)
    written = {item.row_id: item for item in items_of(operation_id) if item.target is ItemTarget.CLIENT}
    for client_id, stood in before[0].items():
        for name, value in stood.items():
            is_theirs = name in changed.get(client_id, set())
            assert clients[client_id][name] == (touched[client_id][name] if is_theirs else value), name
    for client_id in clients.keys() - before[0].keys():
        assert written[client_id].action is ItemAction.CREATE
        assert (clients[client_id]["archived_at"] is None) == (client_id in changed)
    assert contracts == before[1]


@settings(settings_of_these, max_examples=some(40))
@given(
    known=KNOWN_CLIENTS,
    lines=LINES,
    done=st.integers(1, 12),
)
def test_the_rest_of_an_undo_that_was_stopped_is_undone_by_another(
    cast: Cast, known: list[dict[str, str]], lines: list[dict[str, Any]], done: int
) -> None:
    _begin(known)
    before = _rows(Client), _rows(Contract)
    operation_id = planned(_file(lines), cast.admin)
    if not applied(operation_id, cast.admin).applied:
        return
    undo_id = undoing.plan_undo(operation_id, by=cast.admin, at=NOW)
    carry_out(tenancy.current_organisation_id(), undo_id)
    _stop_after(undo_id, done, cast.admin)
    assert runs.find(undo_id).state is OperationState.PARTIAL
    rest = items_of(_undone(operation_id, cast.admin))
    assert CHANGED_SINCE not in {item.reason for item in rest}  # what went back already is no news
    clients, contracts = _rows(Client), _rows(Contract)
    assert {client_id: clients[client_id] for client_id in before[0]} == before[0]
    assert all(clients[client_id]["archived_at"] for client_id in clients.keys() - before[0].keys())
    assert contracts == before[1]


def _stop_after(operation_id: UUID, position: int, by: User) -> None:
    """Apply the items up to a position, in one chunk; then somebody stops the operation, whatever there is left."""
    deciding.apply(operation_id, by=by, at=NOW)
    work = runs.claim(operation_id, at=NOW)
    assert work is not None
    carrying._apply_chunk(work, min(position, work.operation.total))
    deciding.stop(operation_id, by=by, at=NOW)
    work.end(OperationState.PARTIAL)
