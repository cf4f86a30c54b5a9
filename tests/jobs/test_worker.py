"""A worker performs our jobs, and nothing else that somebody wrote into Redis."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from redis import Redis
from rq import Callback, Queue
from rq.job import Job

from jobs.worker import KNOWN, make_worker
from tests.jobs.test_names import NAMES
from webapp import queue
from webapp.config import Settings

Work = Callable[[], None]


@pytest.fixture
def line(app: Flask, app_context: Flask) -> Queue:
    """A queue as somebody with access to Redis would write into it."""
    return queue.queue("outbox")


@pytest.fixture
def work(app: Flask, line: Queue, settings: Settings) -> Iterator[Work]:
    """Lets the worker that we run in production, which forks for each job, empty the queue."""
    with Redis.from_url(settings.redis_url) as connection:
        worker = make_worker(line.name, app, connection)
        yield lambda: worker.work(burst=True, logging_level="CRITICAL")


def test_every_job_that_the_code_rings_for_is_known() -> None:
    assert set(NAMES) <= KNOWN


@pytest.mark.parametrize("name", ["os.mkdir", "builtins.exec", "jobs.worker.main", "jobs.charges.UUID", "mkdir"])
def test_a_foreign_function_fails_unrun(line: Queue, work: Work, tmp_path: Path, name: str) -> None:
    target = tmp_path / "made"
    job = line.enqueue(name, str(target))
    work()
    assert Job.fetch(job.id, connection=line.connection, serializer=queue.SERIALIZER).is_failed
    assert not target.exists()


def test_a_foreign_callback_is_not_called_and_fails_its_job(line: Queue, work: Work, tmp_path: Path) -> None:
    callback = Callback("tests.jobs.test_worker.leave_a_trace")
    job = line.enqueue("jobs.outbox.deliver", on_success=callback, on_failure=callback, on_stopped=callback)
    job.meta["trace"] = str(tmp_path / "trace")
    job.save_meta()
    work()
    assert Job.fetch(job.id, connection=line.connection, serializer=queue.SERIALIZER).is_failed
    assert not (tmp_path / "trace").exists()


def leave_a_trace(job: Job, *_: object) -> None:
    """What a callback would do, were it called."""
    Path(job.meta["trace"]).touch()


def test_a_dependent_of_ours_is_held_against_the_list_too(line: Queue, work: Work, tmp_path: Path) -> None:
    target = tmp_path / "made"
    line.enqueue("os.mkdir", str(target), depends_on=line.enqueue("builtins.exec", "1"))
    work()
    assert not target.exists()


def test_a_job_of_ours_is_performed(line: Queue, work: Work) -> None:
    job = line.enqueue("jobs.outbox.deliver", "018f0000-0000-7000-8000-000000000000", result_ttl=60)
    work()
    assert Job.fetch(job.id, connection=line.connection, serializer=queue.SERIALIZER).is_finished
