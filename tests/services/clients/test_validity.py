"""Documents that expire: one task before the last day, one word in the timeline after it, whoever runs and dies."""

from datetime import date, timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select

from tests import factories
from tests.concurrency import at_once
from tests.conftest import NOW, Cast
from tests.factories import ClientFactory
from tests.forking import lives
from tests.queries import recorded_statements
from webapp import clock, tenancy
from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.documents import Document, Validity
from webapp.models.identity import User
from webapp.models.tasks import Task
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.clients import documents, validity

PDF = b"%PDF-1.7\n%fiction\n"
TODAY = NOW.astimezone(clock.PARIS).date()
LAST_DAY = TODAY + timedelta(days=60)


def keep(client: Client, valid_until: date | None, *, by: User, name: str = "carte.pdf") -> Document:
    document = documents.add_document(client.id, name, PDF, valid_until=valid_until, by=by, at=NOW)
    db.session.commit()
    return document


def run(day: date) -> int:
    """What the timetable does on a day."""
    told = validity.tell_due(at=clock.start_of(day) + timedelta(hours=6))
    db.session.expire_all()
    return told


def told(kind: EventKind) -> int:
    return db.session.scalar(select(func.count()).select_from(TimelineEvent).where(TimelineEvent.kind == kind)) or 0


def tasks() -> list[tuple[str, date, bool]]:
    rows = db.session.scalars(select(Task).order_by(Task.created_at, Task.id))
    return [(task.title, task.due_on, task.done_at is not None) for task in rows]


def test_the_commercial_gets_one_task_a_month_before_and_the_timeline_says_when_it_is_over(cast: Cast) -> None:
    document = keep(ClientFactory(commercial_id=cast.sales_rep.id), LAST_DAY, by=cast.manager)
    assert run(LAST_DAY - timedelta(days=31)) == 0
    for day in (LAST_DAY - timedelta(days=30), LAST_DAY - timedelta(days=29), LAST_DAY):
        run(day)
    task = db.session.scalars(select(Task)).one()
    assert (task.user_id, task.due_on) == (cast.commercial.id, LAST_DAY)
    assert task.title.startswith("carte.pdf, valable jusqu’au")
    assert told(EventKind.DOCUMENT_EXPIRED) == 0
    for day in (LAST_DAY + timedelta(days=1), LAST_DAY + timedelta(days=2)):
        run(day)
    assert (told(EventKind.DOCUMENT_EXPIRED), told(EventKind.TASK_ADDED), len(tasks())) == (1, 1, 1)
    assert document.tell_on is None
    days = (LAST_DAY - timedelta(days=31), LAST_DAY - timedelta(days=30), LAST_DAY, LAST_DAY + timedelta(days=1))
    assert [document.validity_on(day) for day in days] == [
        Validity.VALID,
        Validity.SOON,
        Validity.SOON,
        Validity.EXPIRED,
    ]


def test_what_was_missed_is_caught_up_once(cast: Cast) -> None:
    keep(ClientFactory(), LAST_DAY, by=cast.manager)
    keep(ClientFactory(), None, by=cast.manager)
    keep(ClientFactory(), TODAY - timedelta(days=1), by=cast.manager)  # whoever added it knew
    keep(ClientFactory(archived_at=NOW), LAST_DAY, by=cast.manager)
    late = LAST_DAY + timedelta(days=200)
    assert (run(late), run(late)) == (1, 0)
    ((title, due_on, _),) = tasks()
    assert "expiré depuis le" in title
    assert due_on == late
    assert told(EventKind.DOCUMENT_EXPIRED) == 1


def test_another_day_and_the_way_out_settle_the_task(cast: Cast) -> None:
    client = ClientFactory()
    document = keep(client, LAST_DAY, by=cast.manager)
    run(LAST_DAY)
    later = LAST_DAY + timedelta(days=365)
    for _ in range(2):
        documents.set_validity(client.id, document.id, later, by=cast.manager, at=NOW)
    assert [done for _, _, done in tasks()] == [True]
    assert (told(EventKind.DOCUMENT_CHANGED), told(EventKind.TASK_DONE)) == (1, 1)
    run(LAST_DAY + timedelta(days=1))
    assert told(EventKind.DOCUMENT_EXPIRED) == 0
    run(later)
    assert [done for _, _, done in tasks()] == [True, False]
    documents.remove_document(client.id, document.id, by=cast.manager, at=NOW)
    assert [done for _, _, done in tasks()] == [True, True]
    assert run(later + timedelta(days=1)) == 0


def test_a_year_that_nobody_means_is_refused(cast: Cast) -> None:
    client = ClientFactory()
    with pytest.raises(InvalidInputError) as refused:
        keep(client, date(202, 1, 1), by=cast.manager)
    assert refused.value.field == "valid_until"
    document = keep(client, None, by=cast.manager)
    with pytest.raises(InvalidInputError):
        documents.set_validity(client.id, document.id, date(2300, 1, 1), by=cast.manager, at=NOW)


def test_many_cost_as_many_statements_as_one(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(ClientFactory(), LAST_DAY, by=cast.manager)
    with recorded_statements() as one:
        run(LAST_DAY)
    for number in range(12):
        keep(ClientFactory(), LAST_DAY, by=cast.manager, name=f"{number}.pdf")
    with recorded_statements() as many:
        assert run(LAST_DAY) == 12
    assert len(many) == len(one)
    monkeypatch.setattr(validity, "AT_ONCE", 5)
    assert run(LAST_DAY + timedelta(days=1)) == 13


def test_killed_before_any_commit_or_run_by_two_each_is_told_once(app: Flask, committed: None) -> None:
    cast: Cast = factories.make_cast(Cast)
    organisation_id = cast.organisation.id
    for number in range(4):
        keep(ClientFactory(), LAST_DAY, by=cast.manager, name=f"{number}.pdf")
    fatal = 0
    while not lives(lambda: validity.tell_due(at=clock.start_of(LAST_DAY)), fatal=fatal):
        fatal += 1
    assert fatal >= 1
    tenancy.enter_organisation(organisation_id)
    assert (len(tasks()), told(EventKind.TASK_ADDED)) == (4, 4)
    db.session.commit()
    over = clock.start_of(LAST_DAY + timedelta(days=1))
    assert at_once(app, organisation_id, *[lambda: validity.tell_due(at=over)] * 3) == ["done"] * 3
    assert (len(tasks()), told(EventKind.DOCUMENT_EXPIRED)) == (4, 4)
