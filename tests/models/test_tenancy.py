"""Nothing crosses organisations, and nothing is asked without one."""

import gc
import weakref

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from tests import factories
from tests.conftest import Cast
from webapp import tenancy
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.contracts import Contract


def test_a_query_sees_the_current_organisation_only(cast: Cast) -> None:
    mine = factories.ClientFactory()
    with tenancy.organisation(cast.other_organisation.id):
        theirs = factories.ClientFactory()
        assert db.session.scalars(select(Client.id)).all() == [theirs.id]
    assert db.session.scalars(select(Client.id)).all() == [mine.id]


def test_a_statement_that_is_kept_sees_whichever_organisation_is_current(cast: Cast) -> None:
    kept = select(Client.id)
    mine = factories.ClientFactory()
    with tenancy.organisation(cast.other_organisation.id):
        theirs = factories.ClientFactory()
    for _ in range(2):
        assert db.session.scalars(kept).all() == [mine.id]
        with tenancy.organisation(cast.other_organisation.id):
            assert db.session.scalars(kept).all() == [theirs.id]
    with tenancy.across_organisations():
        assert set(db.session.scalars(kept)) == {mine.id, theirs.id}
    tenancy.enter_organisation(None)
    with pytest.raises(tenancy.NoOrganisationError):
        db.session.scalars(kept).all()


def test_a_statement_used_once_is_not_remembered(cast: Cast) -> None:
    statement = select(Client.id)
    db.session.scalars(statement).all()
    used = weakref.ref(statement)
    del statement
    gc.collect()
    assert used() is None


def test_a_query_without_an_organisation_is_an_error(cast: Cast) -> None:
    tenancy.enter_organisation(None)
    with pytest.raises(tenancy.NoOrganisationError):
        db.session.scalars(select(Client)).all()


def test_a_row_for_another_organisation_is_refused(cast: Cast) -> None:
    db.session.add(Client(organisation_id=cast.other_organisation.id, last_name="X"))
    with pytest.raises(tenancy.NoOrganisationError):
        db.session.flush()


def test_a_contract_cannot_point_at_another_organisations_client(cast: Cast) -> None:
    with tenancy.organisation(cast.other_organisation.id):
        theirs = factories.ClientFactory()
    with pytest.raises(IntegrityError):
        factories.ContractFactory(client_id=theirs.id)


def test_an_update_stays_within_the_organisation(cast: Cast) -> None:
    with tenancy.organisation(cast.other_organisation.id):
        theirs = factories.ClientFactory(city="Brest")
    factories.ClientFactory(city="Lille")
    db.session.query(Client).update({"city": "Nice"})
    with tenancy.organisation(cast.other_organisation.id):
        assert db.session.scalar(select(Client.city).where(Client.id == theirs.id)) == "Brest"


def test_contracts_keep_the_clients_count_and_search_text(cast: Cast) -> None:
    first, second = factories.ClientFactory(), factories.ClientFactory()
    contract = factories.ContractFactory(client_id=first.id, reference="ABC-77É")
    assert _count_and_found(first, "%abc 77e%") == (1, True)
    contract.client_id = second.id
    db.session.flush()
    assert _count_and_found(first, "%abc 77e%") == (0, False)
    assert _count_and_found(second, "%abc 77e%") == (1, True)
    db.session.execute(Contract.__table__.delete())
    assert _count_and_found(second, "%abc 77e%") == (0, False)


def _count_and_found(client: Client, pattern: str) -> tuple[int, bool]:
    row = db.session.execute(
        select(Client.contracts_count, Client.search_text.like(pattern)).where(Client.id == client.id)
    ).one()
    return row[0], row[1]


def test_the_applications_role_cannot_change_tables(session: None) -> None:
    with pytest.raises(Exception, match=r"must be owner|permission denied"):
        db.session.execute(text("ALTER TABLE clients ADD COLUMN hole text"))
