"""Erasing a client: what goes, what stays and why, and that nothing brings it back."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from tests import factories
from tests.conftest import NOW, Cast
from tests.services.rights.markers import MARK, find_marks, mark_all
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.operations import Operation, OperationState
from webapp.models.personal_data import ERASED, HOLDINGS
from webapp.services.rights import commands

LATER = NOW + timedelta(hours=1)


def erased(client: Client, cast: Cast) -> Operation:
    """Erase the client, as its admin would."""
    operation = commands.erase(client.id, typed=client.full_name, version=client.version, by=cast.admin, at=LATER)
    db.session.expire_all()
    assert operation.state is OperationState.DONE, operation.error
    return operation


def test_what_is_kept_by_law_stays_and_nothing_else_of_any_table(cast: Cast) -> None:
    client = factories.ClientFactory()
    mark_all(client)
    before = find_marks()
    erased(client, cast)
    kept = {f"{table}.{column}" for table, holding in HOLDINGS.items() for column in holding.kept}
    assert find_marks() <= kept | {"contracts.reference_key"}
    must_be_gone = {f"{table}.{column}" for table, holding in HOLDINGS.items() for column in holding.goes}
    assert len(before & must_be_gone) > 60  # the test fills what it looks for
    assert client.full_name == ERASED
    assert MARK not in str(db.session.execute(text("SELECT search_text, name_key, city_key FROM clients")).all())
