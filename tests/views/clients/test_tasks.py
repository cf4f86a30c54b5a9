"""« Tâches »: one's own, and for managers everybody's."""

from datetime import date, timedelta
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from tests.conftest import Cast
from tests.factories import ClientFactory
from tests.queries import recorded_queries
from webapp import clock
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.tasks import Task
from webapp.services.clients import tasks
from webapp.services.clients.tasks import NewTask


@pytest.fixture
def subject(cast: Cast) -> Client:
    """A client of the commercial."""
    client: Client = ClientFactory(last_name="MARTIN", commercial_id=cast.sales_rep.id)
    db.session.commit()
    return client


def _add(client: Client, title: str, *, user_id: UUID | None, due_on: date | None = None) -> Task:
    task = Task(client_id=client.id, title=title, due_on=due_on or clock.today(), user_id=user_id)
    db.session.add(task)
    db.session.commit()
    return task


def _rows(browser: FlaskClient, query: str = "") -> int:
    return browser.get(f"/taches{query}").text.count('data-testid="task-row"')


def test_a_commercial_sees_the_own_ones_alone(client: FlaskClient, subject: Client, cast: Cast) -> None:
    _add(subject, "La mienne", user_id=cast.commercial.id)
    _add(subject, "D’un autre", user_id=cast.manager.id)
    _add(subject, "De personne", user_id=None)
    for query in ("", "?qui=toutes", "?qui=sans-responsable", "?qui=x", "?apres=x"):
        page = client.get(f"/taches{query}").text
        assert "La mienne" in page
        assert page.count('data-testid="task-row"') == 1, query
    assert "Sans responsable" not in page


def test_a_manager_sees_what_nobody_has(manager_client: FlaskClient, subject: Client, cast: Cast) -> None:
    _add(subject, "D’un autre", user_id=cast.commercial.id)
    _add(subject, "De personne", user_id=None)
    page = manager_client.get("/taches?qui=sans-responsable").text
    assert "De personne" in page
    assert "D’un autre" not in page
    assert "Les miennes · 0" in page
    assert "Sans responsable · 1" in page
    assert "Toutes · 2" in page
    assert _rows(manager_client, "?qui=toutes") == 2


def test_a_task_is_ticked_off_from_the_list(client: FlaskClient, subject: Client, cast: Cast) -> None:
    task = _add(subject, "Rappeler", user_id=cast.commercial.id, due_on=clock.today() - timedelta(days=1))
    assert "task-late" in client.get("/taches").text
    answer = client.post(f"/taches/{subject.id}/{task.id}")
    assert (answer.status_code, answer.location) == (303, "/taches")
    assert _rows(client) == 0
    db.session.refresh(task)
    assert task.done_at is not None


def test_an_outsider_sees_and_ticks_nothing(outsider_client: FlaskClient, subject: Client, cast: Cast) -> None:
    task = _add(subject, "Rappeler", user_id=None)
    assert _rows(outsider_client, "?qui=toutes") == 0
    assert outsider_client.post(f"/taches/{subject.id}/{task.id}").status_code == 404


def test_pages_follow_each_other_at_the_same_cost(client: FlaskClient, subject: Client, cast: Cast) -> None:
    _add(subject, "Une", user_id=cast.commercial.id)
    client.get("/taches")
    with recorded_queries() as one:
        client.get("/taches")
    for number in range(tasks.PAGE_SIZE + 1):
        db.session.add(Task(client_id=subject.id, title=str(number), due_on=clock.today(), user_id=cast.commercial.id))
    db.session.commit()
    with recorded_queries() as many:
        first = client.get("/taches").text
    assert len(many) == len(one)
    following = first.split('data-testid="next-page" href="')[1].split('"')[0].replace("&amp;", "&")
    assert client.get(following).text.count('data-testid="task-row"') == 2


def test_what_the_product_makes_is_the_commercial_s_else_nobody_s(subject: Client, cast: Cast) -> None:
    orphan = ClientFactory()
    today = clock.today()
    made = [NewTask(subject.id, "a" * 600, today), NewTask(orphan.id, "b", today)]
    with recorded_queries() as queries:
        tasks.add_for_commercials(made, at=clock.now())
    assert len(queries) == 1
    db.session.flush()
    found = {task.client_id: (task.user_id, len(task.title)) for task in db.session.query(Task)}
    assert found == {subject.id: (cast.commercial.id, 500), orphan.id: (None, 1)}
