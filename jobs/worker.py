"""``python -m jobs.worker QUEUE``: one worker process for one queue.

One queue only: a worker on several pops with BLPOP and loses the job if it dies in between, while on a single one
Redis keeps it in an intermediate list until the worker has begun.
"""

import logging
import sys
from collections.abc import Callable
from inspect import isfunction

import structlog
from flask import Flask
from redis import Redis
from rq import Queue, Worker
from rq.job import Job

from jobs import (
    charges,
    dunning,
    duplicates,
    exports,
    fulfilment,
    imports,
    invoices,
    messages,
    operations,
    operators,
    outbox,
    payments,
    probe,
    winleadplus,
    woocommerce,
)
from webapp import queue
from webapp.config import Settings, load_settings
from webapp.extensions import db
from webapp.factory import create_app
from webapp.services import health

log = structlog.get_logger()

MODULES = (
    charges,
    duplicates,
    dunning,
    exports,
    fulfilment,
    imports,
    invoices,
    messages,
    operations,
    operators,
    outbox,
    payments,
    probe,
    winleadplus,
    woocommerce,
)
KNOWN = frozenset(
    f"{module.__name__}.{name}"
    for module in MODULES
    for name, function in vars(module).items()
    if isfunction(function) and function.__module__ == module.__name__
)
"""The functions that a worker performs. Whoever can write to Redis can name others; none of them is run."""


class UnknownFunctionError(Exception):
    """The job, or what it is to call afterwards, is none of ours: it fails without being run."""


class KnownJob(Job):
    """A job of RQ that resolves the names of KNOWN, and no others; callbacks are never ours."""

    @property
    def func(self) -> Callable[..., object]:
        """The function to perform. Raises UnknownFunctionError."""
        if self.func_name not in KNOWN or self.instance is not None or self._callbacks:
            log.error("job_refused", job=self.id)
            raise UnknownFunctionError("this worker performs its own jobs only")
        function: Callable[..., object] = super().func
        return function

    @property
    def _callbacks(self) -> list[str]:
        names = (self._success_callback_name, self._failure_callback_name, self._stopped_callback_name)
        return [name for name in names if name]

    @property
    def success_callback(self) -> None:
        """None: it is not even looked up."""

    @property
    def failure_callback(self) -> None:
        """None: it is not even looked up."""

    @property
    def stopped_callback(self) -> None:
        """None: it is not even looked up."""


class ApplicationWorker(Worker):
    """An RQ worker whose jobs run inside the application.

    The application is made once, in the parent, so that a job starts in milliseconds.
    """

    app: Flask

    def perform_job(self, job: Job, queue: Queue) -> bool:
        """Run the job in the forked child: its own context, its own database connections."""
        with self.app.app_context():
            db.engine.dispose(close=False)  # the parent's connections are not ours to use or to close
            structlog.contextvars.bind_contextvars(job=job.func_name)
            log.info("job_started")
            succeeded = super().perform_job(job, queue)
            log.info("job_ended", status="ok" if succeeded else "failed")
            return succeeded


def make_worker(name: str, app: Flask, connection: Redis) -> ApplicationWorker:
    """The worker of the queue called ``name``. RQ sets the connection's time-out to suit its own blocking reads."""
    worker = ApplicationWorker(
        [queue.queue(name)], connection=connection, serializer=queue.SERIALIZER, job_class=KnownJob
    )
    worker.app = app
    return worker


def main(arguments: list[str]) -> None:
    """Work on the queue named on the command line until told to stop."""
    if len(arguments) != 1 or arguments[0] not in queue.QUEUES:
        raise SystemExit(f"usage: python -m jobs.worker {{{','.join(queue.QUEUES)}}}")
    settings: Settings = load_settings()
    health.refuse_powerful_role(settings)
    app = create_app(settings)
    logging.getLogger("rq").setLevel(logging.WARNING)
    worker = make_worker(arguments[0], app, Redis.from_url(settings.redis_url))
    with app.app_context():
        db.engine.dispose()
    worker.work(logging_level="WARNING")


if __name__ == "__main__":
    main(sys.argv[1:])
