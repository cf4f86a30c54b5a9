"""Items belong to an operation that is there, though no foreign key asks for each of them."""

from uuid import UUID

import pytest
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from tests.conftest import NOW, Cast
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.operations import ItemAction, ItemTarget, Operation, OperationItem, OperationKind
from webapp.services.operations import runs


def _item(organisation_id: UUID, operation_id: UUID, position: int) -> dict[str, object]:
    return {
        "organisation_id": organisation_id,
        "operation_id": operation_id,
        "position": position,
        "target": ItemTarget.CLIENT,
        "action": ItemAction.NOTHING,
    }


def _operation(cast: Cast) -> UUID:
    return runs.start(OperationKind.BULK, "Essai", by=cast.admin.id, at=NOW)


def test_no_item_comes_without_its_operation(cast: Cast) -> None:
    ours, organisation_id = _operation(cast), cast.admin.organisation_id
    for organisation, operation in ((organisation_id, new_id()), (new_id(), ours)):
        with pytest.raises(IntegrityError), db.session.begin_nested():
            rows = [_item(organisation_id, ours, 1), _item(organisation, operation, 2)]
            db.session.execute(insert(OperationItem), rows)
    db.session.execute(insert(OperationItem), [_item(organisation_id, ours, 1)])
    with pytest.raises(IntegrityError), db.session.begin_nested():
        db.session.execute(update(OperationItem).values(operation_id=new_id()))


def test_items_go_with_their_operation(cast: Cast) -> None:
    ours, other = _operation(cast), _operation(cast)
    rows = [_item(cast.admin.organisation_id, each, 1) for each in (ours, other)]
    db.session.execute(insert(OperationItem), rows)
    db.session.execute(delete(Operation).where(Operation.id == ours))
    left = select(OperationItem.operation_id).where(OperationItem.operation_id.in_([ours, other]))
    assert db.session.scalars(left).all() == [other]
    assert (
        db.session.scalar(select(func.count()).select_from(OperationItem).where(OperationItem.operation_id == ours))
        == 0
    )
