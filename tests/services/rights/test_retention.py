"""Prospects without activity: proposed for erasure, never erased by themselves."""

from datetime import timedelta

import pytest
from sqlalchemy import select, text

from tests import factories
from tests.conftest import NOW, Cast
from tests.queries import recorded_statements
from webapp.errors import ForbiddenError, InvalidInputError
from webapp.extensions import db
from webapp.models.clients import Client, ClientStatus
from webapp.models.journal import JournalEntry
from webapp.models.operations import Operation, OperationKind
from webapp.models.tasks import Task
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.operations.carry_out import carry_out
from webapp.services.rights import commands, retention

OLD = NOW - timedelta(days=3 * 366 + 1)


def prospect(days: int = 0, **values: object) -> Client:
    client: Client = factories.ClientFactory(**{"status": ClientStatus.PROSPECT, "changed_at": OLD, **values})
    client.changed_at = values.get("changed_at", OLD - timedelta(days=days))  # type: ignore[assignment]
    db.session.flush()
    return client


def names(*, cursor: str | None = None, size: int = 50) -> list[str]:
    return [each.last_name for each in retention.list_proposed(cursor, at=NOW, size=size).rows]


def test_whoever_was_neither_changed_nor_told_of_for_three_years_is_proposed(cast: Cast) -> None:
    prospect(2, last_name="Ancien")
    prospect(1, last_name="Archivé", archived_at=OLD)
    prospect(last_name="Récent", changed_at=NOW - timedelta(days=1000))
    prospect(last_name="Client", status=ClientStatus.ACTIVE)
    noted = prospect(last_name="Noté")
    long_ago = prospect(3, last_name="Noté jadis")
    for client, at in ((noted, NOW - timedelta(days=10)), (long_ago, OLD)):
        db.session.add(TimelineEvent(client_id=client.id, kind=EventKind.NOTE, at=at, body="x"))
    to_call = prospect(last_name="À rappeler")
    db.session.add(Task(client_id=to_call.id, title="x", due_on=NOW.date()))
    db.session.flush()
    assert names() == ["Noté jadis", "Ancien", "Archivé"]
    assert retention.count_proposed(at=NOW).number == 3


def test_page_by_page_nobody_is_left_out_or_told_twice(cast: Cast) -> None:
    for number in range(7):
        prospect(number // 2, last_name=f"P{number}")
    seen, cursor = [], None
    while True:
        page = retention.list_proposed(cursor, at=NOW, size=3)
        seen += [each.last_name for each in page.rows]
        if (cursor := page.next_cursor) is None:
            break
    assert sorted(seen) == [f"P{number}" for number in range(7)]


def test_the_organisation_says_how_long(cast: Cast) -> None:
    prospect(last_name="Récent", changed_at=NOW - timedelta(days=400))
    assert names() == []
    retention.keep_for(12, by=cast.admin)
    assert retention.months() == 12
    assert names() == ["Récent"]
    for number in (0, 121, None):
        with pytest.raises(InvalidInputError, match="mois"):
            retention.keep_for(number, by=cast.admin)
    with pytest.raises(ForbiddenError):
        retention.keep_for(24, by=cast.manager)


def test_chosen_ones_are_erased_and_nobody_else(cast: Cast) -> None:
    chosen, other = prospect(last_name="Choisi"), prospect(last_name="Pas choisi")
    db.session.commit()
    operation_id = retention.erase([chosen.id], typed="1", by=cast.admin, at=NOW)
    carry_out(cast.organisation.id, operation_id)
    db.session.expire_all()
    assert (chosen.erased_at is not None, other.erased_at) == (True, None)
    [entry] = db.session.scalars(select(JournalEntry)).all()
    assert entry.details == [["Fiche", str(chosen.id)], ["Motif", "sans activité depuis 36 mois"]]
    assert names() == ["Pas choisi"]


def test_who_is_not_proposed_is_not_erased_this_way(cast: Cast) -> None:
    active = factories.ClientFactory(changed_at=NOW)
    db.session.commit()
    for ids, typed, field in (([active.id], "1", "client"), ([], "0", "client"), ([prospect().id], "2", "nombre")):
        db.session.commit()
        with pytest.raises(InvalidInputError) as refused:
            retention.erase(ids, typed=typed, by=cast.admin, at=NOW)
        assert refused.value.field == field
    assert db.session.scalar(select(Operation.id).where(Operation.kind == OperationKind.ERASURE)) is None
    assert commands.MOST >= retention.PAGE_SIZE


def test_a_page_walks_one_index_and_asks_little(cast: Cast) -> None:
    for number in range(30):
        prospect(number)
    with recorded_statements() as statements:
        retention.list_proposed(None, at=NOW, size=10)
    assert len(statements) == 2
    db.session.execute(text("SET LOCAL enable_seqscan = off"))
    db.session.execute(text("SET LOCAL enable_sort = off"))
    plan = "\n".join(
        db.session.execute(
            text(
                """EXPLAIN SELECT id FROM clients c WHERE organisation_id = :o AND status = 'prospect'
                AND erased_at IS NULL AND merged_into_id IS NULL AND changed_at < :at
                ORDER BY changed_at, id LIMIT 10"""
            ),
            {"o": cast.organisation.id, "at": NOW},
        ).scalars()
    )
    assert "ix_clients_retention" in plan
