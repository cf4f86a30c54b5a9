"""Which pairs are found, how sure they are, and what becomes of them."""

import re
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from tests.conftest import NOW, Cast
from tests.databases import admin_url
from tests.factories import ClientFactory, OrganisationFactory
from webapp import clock, queue, tenancy
from webapp.config import Settings
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.duplicates import DuplicatePair, DuplicateSearch, PairScore
from webapp.models.operations import (
    ItemAction,
    ItemTarget,
    Operation,
    OperationItem,
    OperationKind,
    OperationState,
)
from webapp.models.runs import RunStatus, RunTrigger
from webapp.models.winleadplus import ItemKind, SyncItem, SyncRun
from webapp.services import leases
from webapp.services.duplicates import finding, pairs, searches

NIGHT = NOW.replace(hour=2)
BORN = date(1970, 5, 12)
NOTHING = {"email": None, "phone": None, "postcode": None, "city": None, "birth_date": None, "address_line1": None}


def search() -> DuplicateSearch:
    """A whole search from start to end."""
    search_id = searches.start(at=NOW)
    assert search_id
    searches.carry_out(tenancy.current_organisation_id(), search_id)
    db.session.expire_all()
    found = db.session.get(DuplicateSearch, (tenancy.current_organisation_id(), search_id))
    assert found
    assert found.error is None
    return found


def found() -> list[tuple[PairScore, list[str]]]:
    search()
    return [(PairScore(pair.score), sorted(pair.evidence)) for pair in db.session.query(DuplicatePair)]


def make(**values: Any) -> Client:
    return ClientFactory(**{**NOTHING, "last_name": "Dupont", "first_name": "Marie", **values})


@pytest.mark.parametrize(
    ("first", "second", "score"),
    [
        pytest.param(
            {"email": "m@exemple.test", "phone": "+33612345678"},
            {"email": "m@exemple.test", "phone": "+33612345678"},
            PairScore.CERTAIN,
            id="the same name, e-mail and telephone",
        ),
        pytest.param(
            {"birth_date": BORN, "postcode": "59000"},
            {"birth_date": BORN, "postcode": "59000", "last_name": "DUPONT", "first_name": "marie"},
            PairScore.CERTAIN,
            id="the same name, birth date and postcode",
        ),
        pytest.param(
            {"phone": "+33612345678"},
            {"phone": "+33612345678", "last_name": "Marie", "first_name": "Dupont"},
            PairScore.PROBABLE,
            id="last and first name changed places, the same telephone",
        ),
        pytest.param({"birth_date": BORN}, {"birth_date": BORN}, PairScore.PROBABLE, id="the same name and birth date"),
        pytest.param(
            {"email": "marie.dupont@gmail.com"},
            {"email": "mariedupont+crm@googlemail.com"},
            PairScore.PROBABLE,
            id="one mailbox written in two ways",
        ),
        pytest.param(
            {"postcode": "59000", "last_name": "Lefebvre"},
            {"postcode": "59000", "last_name": "Lefèbre"},
            PairScore.POSSIBLE,
            id="a slip in the name, in one town",
        ),
        pytest.param(
            {"email": "m@exemple.test"},
            {"email": "m@exemple.test", "last_name": "Durand"},
            PairScore.POSSIBLE,
            id="another last name, the same e-mail",
        ),
        pytest.param(
            {"email": "m@exemple.test", "birth_date": BORN},
            {"email": "m@exemple.test", "birth_date": date(1999, 1, 1)},
            PairScore.POSSIBLE,
            id="the same name and e-mail, another birth date",
        ),
        pytest.param(
            {"email": "famille@exemple.test"},
            {"email": "famille@exemple.test", "first_name": "Jean"},
            None,
            id="a family that shares an e-mail",
        ),
        pytest.param(
            {"email": "f@exemple.test", "phone": "+33612345678", "postcode": "59000"},
            {"email": "f@exemple.test", "phone": "+33612345678", "postcode": "59000", "first_name": "Jean"},
            None,
            id="a family that shares everything",
        ),
        pytest.param(
            {"email": "contact@exemple.test", "first_name": ""},
            {"email": "contact@exemple.test", "first_name": ""},
            None,
            id="the address of a role",
        ),
        pytest.param(
            {"postcode": "59000", "birth_date": BORN},
            {"postcode": "59000", "birth_date": date(1999, 1, 1)},
            None,
            id="namesakes in one town, born on other days",
        ),
        pytest.param(
            {"postcode": "59000", "email": "a@exemple.test", "phone": "+33612345678"},
            {"postcode": "59000", "email": "b@exemple.test", "phone": "+33687654321"},
            None,
            id="namesakes in one town, who are reached otherwise",
        ),
        pytest.param({}, {}, None, id="nothing but the name"),
        pytest.param(
            {"last_name": "", "first_name": "", "postcode": "59000"},
            {"last_name": "", "first_name": "", "postcode": "59000"},
            None,
            id="no name at all",
        ),
    ],
)
def test_how_sure_it_is(cast: Cast, first: dict[str, Any], second: dict[str, Any], score: PairScore | None) -> None:
    make(**first)
    make(**second)
    assert [each for each, _ in found()] == ([score] if score else [])


def test_why_is_said(cast: Cast) -> None:
    make(email="m@exemple.test", postcode="59000", address_line1="1 rue Haute")
    make(email="m@exemple.test", postcode="59000", address_line1="1, Rue haute")
    assert found() == [(PairScore.PROBABLE, ["address", "email", "name"])]


def test_what_many_share_is_no_evidence(cast: Cast) -> None:
    for _ in range(5):
        make(email="agence@exemple.fr", phone="+33320000000")
        make(last_name="Durand", first_name="Zoé", email="x@exemple.fr", phone="+33320000000")
    assert found() == []


def test_other_organisations_are_not_looked_at(cast: Cast) -> None:
    make(email="m@exemple.test")
    with tenancy.organisation(cast.other_organisation.id):
        make(email="m@exemple.test")
    assert found() == []


def test_a_pair_goes_with_what_spoke_for_it_and_comes_once(cast: Cast) -> None:
    make(email="m@exemple.test")
    other = make(email="m@exemple.test")
    search()
    assert search().found == 1
    other.email = "n@exemple.test"
    db.session.flush()
    assert found() == []


def test_what_a_person_said_is_remembered_for_good(cast: Cast) -> None:
    make(email="m@exemple.test")
    other = make(email="m@exemple.test")
    search()
    [pair] = pairs.list_pairs(pairs.PairsView(), by=cast.admin).rows
    pairs.dismiss(pair.id, by=cast.admin, at=NOW)
    other.email = "n@exemple.test"
    db.session.flush()
    search()
    other.email = "m@exemple.test"
    db.session.flush()
    search()
    assert not pairs.list_pairs(pairs.PairsView(), by=cast.admin).rows
    [kept] = pairs.list_pairs(pairs.PairsView(is_dismissed=True), by=cast.admin).rows
    assert (kept.dismissed_by_id, kept.dismissed_at) == (cast.admin.id, NOW)
    pairs.reopen(kept.id, by=cast.admin)
    assert pairs.list_pairs(pairs.PairsView(), by=cast.admin).rows == [kept]


# ---- After a synchronisation


def synchronised(*clients: Client) -> SyncRun:
    run = SyncRun(trigger=RunTrigger.MANUAL, status=RunStatus.SUCCESS, finished_at=NOW, created=len(clients))
    db.session.add(run)
    db.session.flush()
    db.session.add_all(
        SyncItem(run_id=run.id, external_id=str(number), kind=ItemKind.CREATED, client_id=client.id)
        for number, client in enumerate(clients)
    )
    db.session.flush()
    return run


def test_clients_that_a_synchronisation_touched_are_looked_at(cast: Cast) -> None:
    make(email="m@exemple.test")
    make(birth_date=BORN)
    touched = make(email="m@exemple.test", birth_date=BORN, last_name="Marie", first_name="Dupont")
    make(phone="+33612345678")
    make(phone="+33612345678")  # these two were not touched: the night finds them
    synchronised(touched)
    assert searches.start_due(at=NOW) == 1
    [begun] = db.session.query(DuplicateSearch)
    searches.carry_out(cast.organisation.id, begun.id)
    assert {frozenset((each.first_id, each.second_id)) & {touched.id} for each in db.session.query(DuplicatePair)} == {
        frozenset({touched.id})
    }
    assert db.session.query(DuplicatePair).count() == 2
    assert searches.start_due(at=NOW) == 0  # once for each synchronisation


def test_a_pair_of_the_night_stands_when_one_of_them_is_touched(cast: Cast) -> None:
    touched = make(postcode="59000", last_name="Lefebvre")
    make(postcode="59000", last_name="Lefèbre")
    search()
    synchronised(touched)
    searches.start_due(at=NOW)
    begun = db.session.query(DuplicateSearch).filter(DuplicateSearch.sync_run_id.is_not(None)).one()
    searches.carry_out(cast.organisation.id, begun.id)
    assert db.session.query(DuplicatePair).count() == 1
    touched.last_name = "Mercier"
    synchronised(touched)
    searches.start_due(at=NOW)
    begun = db.session.query(DuplicateSearch).filter(DuplicateSearch.status == RunStatus.RUNNING).one()
    searches.carry_out(cast.organisation.id, begun.id)
    assert db.session.query(DuplicatePair).count() == 0


def test_clients_that_an_import_touched_are_looked_at(cast: Cast) -> None:
    make(email="m@exemple.test")
    touched = make(email="m@exemple.test")
    operation = Operation(
        kind=OperationKind.IMPORT, title="Import", state=OperationState.DONE, applied=1, finished_at=NOW
    )
    db.session.add(operation)
    db.session.flush()
    item = {"target": ItemTarget.CLIENT, "action": ItemAction.CREATE, "row_id": touched.id}
    db.session.add(OperationItem(operation_id=operation.id, position=1, **item))
    db.session.flush()
    assert [searches.start_due(at=NOW) for _ in range(2)] == [1, 0]
    begun = db.session.query(DuplicateSearch).one()
    searches.carry_out(cast.organisation.id, begun.id)
    assert db.session.query(DuplicatePair).count() == 1
    assert searches.start_due(at=NOW) == 0


def test_those_of_the_same_name_are_found_by_an_index_for_each_client_that_was_touched(
    committed: None, settings: Settings
) -> None:
    organisation = OrganisationFactory()
    many = """INSERT INTO clients (organisation_id, id, status, last_name, created_at, changed_at)
      SELECT :organisation_id, gen_random_uuid(), 'prospect', 'Nom ' || n, :at, :at FROM generate_series(1, 2000) n"""
    db.session.execute(text(many), {"organisation_id": organisation.id, "at": NOW})
    db.session.commit()
    with psycopg.connect(admin_url(make_url(settings.database_url).database), autocommit=True) as admin:
        admin.execute("ANALYZE clients")
    given = {"organisation_id": organisation.id, "client_ids": [organisation.id]}
    explained = text(f"EXPLAIN WITH {finding._OF_TOUCHED} SELECT count(*) FROM candidates")
    plan = "\n".join(db.session.execute(explained, given).scalars())
    assert {"ix_clients_email", "ix_clients_phone", "ix_clients_name_key"} <= set(re.findall(r"ix_clients_\w+", plan))
    assert "Seq Scan on clients" not in plan


def test_archived_clients_are_left_alone(cast: Cast) -> None:
    make(email="m@exemple.test")
    other = make(email="m@exemple.test")
    search()
    other.archived_at = NOW
    db.session.flush()
    assert not pairs.list_pairs(pairs.PairsView(), by=cast.admin).rows
    assert found() == []


# ---- Started once, taken over


def test_the_night_searches_once_and_one_search_runs_at_a_time(cast: Cast) -> None:
    make()
    assert searches.start_due(at=NIGHT - timedelta(hours=2)) == 0
    assert searches.start_due(at=NIGHT) == 1
    assert searches.start(at=NIGHT) is None
    [begun] = db.session.query(DuplicateSearch)
    searches.carry_out(cast.organisation.id, begun.id)
    assert searches.start_due(at=NIGHT + timedelta(hours=1)) == 0
    assert searches.start_due(at=NIGHT + timedelta(hours=24)) == 1


def test_one_that_died_is_taken_over_where_it_had_come(cast: Cast) -> None:
    make(email="m@exemple.test", birth_date=BORN)
    make(email="m@exemple.test", birth_date=BORN)
    search_id = searches.start(at=NOW)
    assert search_id
    dead = searches.claim(search_id, at=NOW)
    assert dead
    assert searches.sweep(at=NOW) == 0
    later = NOW + searches.LEASE + timedelta(seconds=1)
    assert searches.sweep(at=later) == 1
    assert [job.func_name for job in queue.queue("operations").jobs] == [searches.JOB] * 2
    clock.start_at(later)
    searches.carry_out(cast.organisation.id, search_id)
    with pytest.raises(leases.LeaseLostError):
        searches._LEASES.renew(dead.id, dead.fence, at=later, steps_done=1)
    assert db.session.query(DuplicatePair).count() == 1
