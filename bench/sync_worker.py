"""``python -m bench.sync_worker TASK ADDRESS``: one task in a process of its own; says how long it took, as JSON."""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import ijson
import psycopg

from bench.databases import dsn, settings_of
from bench.sync import FILLED, ORGANISATION, copy_statement
from webapp import clock, tenancy
from webapp.factory import create_app
from webapp.gateways import winleadplus
from webapp.models.runs import RunTrigger
from webapp.services.winleadplus import config, runs
from webapp.services.winleadplus.carry_out import carry_out

TOKEN = "bench"  # noqa: S105  the upstream lets everybody in
ROWS = 1000
"""As many rows to a statement as our batches have: triggers look at a statement's rows together."""


def read(url: str) -> dict[str, Any]:
    """The floor: every prospect read through the gateway, and dropped."""
    winleadplus.use(settings_of(dict(os.environ)))
    for _elements in winleadplus.stream_prospects(url, token=TOKEN, patience=winleadplus.NOBODY_WAITS):
        pass
    return {}


def by_ijson(url: str) -> dict[str, Any]:
    """The same by ijson's C backend, fed with the blocks that httpx hands out."""
    with httpx.stream("GET", url) as response:
        blocks = response.iter_bytes()

        class File:
            def read(self, size: int) -> bytes:
                return next(blocks, b"") if size else b""

        for _prospect in ijson.items(File(), "item", use_float=True):
            pass
    return {}


def sync(url: str) -> dict[str, Any]:
    """A run from claim to end, as a job does it."""
    app = create_app(settings_of(dict(os.environ)))
    with app.app_context(), tenancy.organisation(ORGANISATION):
        config.change(endpoint=url)
        run_id, _ = runs.start(trigger=RunTrigger.COMMAND, at=clock.now(), user_token=TOKEN, enqueue=False)
        began, spent = time.perf_counter(), time.process_time()
        carry_out(ORGANISATION, run_id)
        took = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - spent}
        run = runs.find_run(run_id)
        if run is None or run.error:
            raise RuntimeError(run and run.error)
        return took | {"counts": [run.created, run.updated, run.skipped]}


def copy(folder: str) -> dict[str, Any]:
    """COPY of the rows in the folder's files into the tables of the same names, committed once per table."""
    columns = json.loads(os.environ["BENCH_COLUMNS"])
    with psycopg.connect(dsn(os.environ["DATABASE_OWNER_URL"])) as connection:
        for table in FILLED:
            statement = copy_statement(table, columns[table], "FROM STDIN")
            with Path(folder, table).open("rb") as file, connection.transaction():
                while rows := b"".join(islice(file, ROWS)):
                    with connection.cursor().copy(statement) as into:
                        into.write(rows)
    return {}


TASKS: dict[str, Callable[[str], dict[str, Any]]] = {"read": read, "ijson": by_ijson, "sync": sync, "copy": copy}


def main(task: str, address: str) -> None:
    """Do the task, and say what it took."""
    began, spent = time.perf_counter(), time.process_time()
    said = TASKS[task](address)
    took = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - spent}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(took | {"peak_mib": peak} | said))


if __name__ == "__main__":
    main(*sys.argv[1:])
