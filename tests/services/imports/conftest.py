"""A file from its bytes to its plan, and applied."""

import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from tests.conftest import NOW
from webapp import clock, tenancy
from webapp.extensions import db
from webapp.gateways import document_store
from webapp.models.identity import User
from webapp.models.operations import Operation, OperationItem
from webapp.services.imports import commands
from webapp.services.operations import deciding, runs
from webapp.services.operations.carry_out import carry_out

RULES = {"policy": "fichier", "creates_clients": True}
Plan = Callable[..., UUID]


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Files that are given lie in a folder of the test's own."""
    monkeypatch.setattr(document_store, "_folder", tmp_path)
    return iter(())


def kept(content: bytes | str, by: User, name: str = "clients.csv", **options: Any) -> UUID:
    """An import whose file was read."""
    data = content.encode() if isinstance(content, str) else content
    import_id = commands.start(name, io.BytesIO(data), by=by, at=NOW)
    commands.read(tenancy.current_organisation_id(), import_id)
    if options:
        commands.correct(import_id, options, by=by, at=NOW)
        commands.read(tenancy.current_organisation_id(), import_id)
    return import_id


def planned(
    content: bytes | str, by: User, *, keys: Sequence[str | None] | None = None, name: str = "clients.csv", **rules: Any
) -> UUID:
    """The operation that was planned from a file; its columns are guessed unless ``keys`` says them."""
    import_id = kept(content, by, name)
    found = commands.find(import_id, by=by)
    assert found.error is None, found.error
    operation_id = commands.match(import_id, list(keys or found.columns), {**RULES, **rules}, by=by, at=clock.now())
    carry_out(tenancy.current_organisation_id(), operation_id)
    operation = runs.find(operation_id)
    assert operation.error is None, operation.error
    return operation_id


def applied(operation_id: UUID, by: User) -> Operation:
    """The operation, carried out to its end."""
    deciding.apply(operation_id, by=by, at=NOW)
    carry_out(tenancy.current_organisation_id(), operation_id)
    return runs.find(operation_id)


def items_of(operation_id: UUID) -> Sequence[OperationItem]:
    """The items, in their order."""
    mine = select(OperationItem).where(OperationItem.operation_id == operation_id).order_by(OperationItem.position)
    return db.session.scalars(mine.execution_options(populate_existing=True)).all()


def told(operation_id: UUID) -> list[tuple[int | None, str, str]]:
    """Line, target and action of each item."""
    return [(item.line, item.target.value, item.action.value) for item in items_of(operation_id)]
