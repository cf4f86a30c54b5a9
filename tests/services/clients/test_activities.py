"""One form that arrives several times in one instant: what it says is written down once."""

from datetime import timedelta
from functools import partial

import pytest
from flask import Flask
from sqlalchemy import func, select

from tests import factories
from tests.concurrency import at_once
from tests.conftest import NOW, Cast
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.tasks import Task
from webapp.models.timeline import TimelineEvent
from webapp.services.clients import activities
from webapp.services.clients.activities import Genre


@pytest.mark.parametrize(("genre", "tasks"), [(Genre.NOTE, 0), (Genre.TASK, 1)])
def test_sent_twice_at_once_it_is_written_down_once(app: Flask, committed: None, genre: Genre, tasks: int) -> None:
    cast: Cast = factories.make_cast(Cast)
    client = factories.ClientFactory()
    organisation_id, by, client_id = cast.organisation.id, cast.commercial, client.id
    db.session.commit()
    db.session.refresh(by)
    db.session.expunge(by)
    due = (NOW + timedelta(days=1)).date()
    sent = partial(activities.record, client_id, genre, "Rappeler", due_on=due, demand=new_id(), by=by, at=NOW)
    assert at_once(app, organisation_id, *[sent] * 4) == ["done"] * 4
    assert db.session.scalars(select(func.count()).select_from(TimelineEvent)).one() == 1
    assert db.session.scalars(select(func.count()).select_from(Task)).one() == tasks
