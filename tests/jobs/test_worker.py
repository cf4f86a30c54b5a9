"""A worker performs our jobs, and nothing else that somebody wrote into Redis."""

from pathlib import Path

import pytest
from flask import Flask
from rq import Callback, Queue, SimpleWorker
from rq.job import Job

from jobs.worker import KNOWN, KnownJob
from tests.jobs.test_names import NAMES
from webapp import queue


@pytest.fixture
def line(app: Flask, app_context: Flask) -> Queue:
    """A queue as somebody with access to Redis would write into it."""
    return queue.queue("outbox")


def _work(line: Queue) -> None:
    worker = SimpleWorker([line], connection=line.connection, serializer=queue.SERIALIZER, job_class=KnownJob)
    worker.work(burst=True, logging_level="CRITICAL")


def test_every_job_that_the_code_rings_for_is_known() -> None:
    assert set(NAMES) <= KNOWN


@pytest.mark.parametrize("name", ["os.mkdir", "builtins.exec", "jobs.worker.main", "jobs.charges.UUID", "mkdir"])
def test_a_foreign_function_fails_unrun(line: Queue, tmp_path: Path, name: str) -> None:
    target = tmp_path / "made"
    job = line.enqueue(name, str(target))
    _work(line)
    assert Job.fetch(job.id, connection=line.connection, serializer=queue.SERIALIZER).is_failed
    assert not target.exists()


def test_a_foreign_callback_is_not_called_and_fails_its_job(line: Queue, tmp_path: Path) -> None:
    callback = Callback("tests.jobs.test_worker.leave_a_trace")
    job = line.enqueue("jobs.outbox.deliver", on_success=callback, on_failure=callback, on_stopped=callback)
    job.meta["trace"] = str(tmp_path / "trace")
    job.save_meta()
    _work(line)
    assert Job.fetch(job.id, connection=line.connection, serializer=queue.SERIALIZER).is_failed
    assert not (tmp_path / "trace").exists()


def leave_a_trace(job: Job, *_: object) -> None:
    """What a callback would do, were it called."""
    Path(job.meta["trace"]).touch()


def test_a_dependent_of_ours_is_held_against_the_list_too(line: Queue, tmp_path: Path) -> None:
    target = tmp_path / "made"
    line.enqueue("os.mkdir", str(target), depends_on=line.enqueue("builtins.exec", "1"))
    _work(line)
    assert not target.exists()


def test_a_job_of_ours_is_performed(line: Queue) -> None:
    job = line.enqueue("jobs.outbox.deliver", "018f0000-0000-7000-8000-000000000000", result_ttl=60)
    _work(line)
    assert Job.fetch(job.id, connection=line.connection, serializer=queue.SERIALIZER).is_finished
