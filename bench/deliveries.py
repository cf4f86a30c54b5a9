"""What somebody tells us by webhook: received at 200 a second by one web process, then handled by one worker.

Floors of the same run, in turns: a bare view that inserts the same row by psycopg (bench/webhook_floor.py); and the
same INSERTs, UPDATEs and DELETEs by bare psycopg, in the same transactions, on a copy of the same database.
"""

import asyncio
import gc
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql
from sqlalchemy import event
from sqlalchemy.engine import make_url

from bench.client_data import ORGANISATION
from bench.clients import ROOT, _free_port, _wait_for
from bench.databases import dsn, settings_of
from bench.report import Line, Report
from webapp.extensions import db
from webapp.factory import create_app

RATE = 200
"""Requests a second."""
AT_ONCE = 1_000
"""Requests to one of the two, before it is the other's turn."""
WARM_UP = 100
"""The first of each are not counted: threads connect, statements are made."""
RECEIVER_LIMIT, HANDLING_LIMIT = 3.0, 3.0
MOST_MS = 15.0
"""The receiver's p99."""
WRITES = ("INSERT", "UPDATE", "DELETE", "WITH")

Write = tuple[str, Any]
"""A statement and its parameters; a list of them where it is executed many times at once."""


@dataclass(frozen=True)
class Sender:
    """Whoever tells us: where its deliveries go, in which table they are kept, and what handles those that are due.

    ``request_of`` makes the whole request of the delivery of a number, to the floor where ``is_floor``; ``is_floors``
    tells the floor's rows. A delivery that is kept is answered ``status``. ``ping`` is a request that is kept nowhere.
    """

    name: str
    path: str
    floor: str
    table: str
    is_floors: str
    status: int
    ping: bytes
    request_of: Callable[..., bytes]
    handle_due: Callable[[UUID], int]


def measure(sender: Sender, environment: dict[str, str], size: int) -> Report:
    """Receive ``size`` deliveries, then handle them."""
    times, cpu, grown = _receive(sender, environment, size)
    kept = _forget_floor(sender, environment)
    if kept != size:
        raise RuntimeError(f"{kept} of {size} deliveries are kept")
    lines = [_receiver_line(sender, times, cpu), Line("memory of receiving", grown, unit="MiB")]
    notes = [f"{os.cpu_count()} cores, shared by all; none of {size:,} deliveries lost, at {RATE} a second"]
    return Report(sender.name, size, lines + _handle(sender, environment, size, notes), notes)


# ---------------------------------------------------------------------------------------------------------- receiving


def _receive(
    sender: Sender, environment: dict[str, str], size: int
) -> tuple[dict[str, list[float]], dict[str, float], float]:
    """Of the receiver and of the floor, milliseconds of each request, and those of the processor that one takes.

    Besides the MiB that the web process grew.
    """
    times: dict[str, list[float]] = {sender.path: [], sender.floor: []}
    cpu = dict.fromkeys(times, 0.0)
    with _serve(sender, environment) as (port, process):
        memory = 0.0
        for first in range(0, size, AT_ONCE):
            for path in times:
                numbers = range(first, min(first + AT_ONCE, size))
                told = [sender.request_of(number, is_floor=path == sender.floor) for number in numbers]
                busy = _cpu(process)
                times[path] += asyncio.run(_post(port, told, sender.status))
                cpu[path] += (_cpu(process) - busy) / size
            memory = memory or _resident(process)
            _say(f"{first + len(told):,} received")
        return times, cpu, _resident(process) - memory


@contextmanager
def _serve(sender: Sender, environment: dict[str, str]) -> Iterator[tuple[int, int]]:
    """The application and the floor in one process; its port and its id."""
    port = _free_port()
    environment = environment | {"PORT": str(port), "WEB_CONCURRENCY": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py", "bench.webhook_floor:app"]
    with subprocess.Popen(command, env=environment, cwd=ROOT) as master:
        try:
            _wait_for(port)
            asyncio.run(_ask(port, sender.ping, None))
            children = Path(f"/proc/{master.pid}/task/{master.pid}/children").read_text().split()
            yield port, int(children[-1])
        finally:
            master.terminate()


async def _post(port: int, told: Sequence[bytes], status: int) -> list[float]:
    """Milliseconds of each, sent when it is due whatever became of those before."""
    start, asked = asyncio.get_running_loop().time() + 0.1, []
    for number, content in enumerate(told):
        await asyncio.sleep(start + number / RATE - asyncio.get_running_loop().time())
        asked.append(asyncio.create_task(_ask(port, content, status)))
    return list(await asyncio.gather(*asked))


async def _ask(port: int, content: bytes, status: int | None) -> float:
    """Milliseconds from connecting to the last byte of the answer. Raises RuntimeError where it is not ``status``."""
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(content)
    answer = await reader.read()
    took = (time.perf_counter() - began) * 1000
    writer.close()
    if status is not None and answer[:12].split()[-1:] != [str(status).encode()]:
        raise RuntimeError(f"answered {answer[:300]!r}")
    return took


def _receiver_line(sender: Sender, times: dict[str, list[float]], cpu: dict[str, float]) -> Line:
    ours, floor = times[sender.path][WARM_UP:], times[sender.floor][WARM_UP:]
    p99 = statistics.quantiles(ours, n=100)[-1]
    details = {"p99": p99, "p50": statistics.median(ours), "floor p50": statistics.median(floor), "most": max(ours)}
    details |= {"cpu": cpu[sender.path], "floor cpu": cpu[sender.floor]}
    return Line(
        "received, p99",
        p99,
        statistics.quantiles(floor, n=100)[-1],
        limit=RECEIVER_LIMIT,
        details=details,
        detail_limits={"p99": MOST_MS},
    )


def _forget_floor(sender: Sender, environment: dict[str, str]) -> int:
    """Delete the floor's rows; how many others there are."""
    with psycopg.connect(dsn(environment["DATABASE_OWNER_URL"]), autocommit=True) as owner:
        owner.execute(f"DELETE FROM {sender.table} WHERE {sender.is_floors}".encode())
        owner.execute("VACUUM ANALYZE")
        row = owner.execute(f"SELECT count(*) FROM {sender.table}".encode()).fetchone()
    return int(row[0]) if row else 0


# ----------------------------------------------------------------------------------------------------------- handling


def _handle(sender: Sender, environment: dict[str, str], size: int, notes: list[str]) -> list[Line]:
    """Handle all in turns: by the application; by it on a copy, recording; and what was written by bare psycopg."""
    copies = [_copy(environment, name) for name in ("recorded", "floor")]
    app, recorded = create_app(settings_of(environment)), create_app(settings_of(copies[0]))
    ours = floor = cpu = floor_cpu = server = floor_server = memory = 0.0
    written = handled = 0
    with psycopg.connect(dsn(copies[1]["DATABASE_URL"])) as bare:
        while True:
            with app.app_context():
                backend, busy = _backend(), time.process_time()
                busy_server = _cpu(backend)
                number, took = _handle_turn(sender)
            if not number:
                break
            ours, handled, cpu = ours + took, handled + number, cpu + time.process_time() - busy
            server += _cpu(backend) - busy_server
            with recorded.app_context():
                transactions = _record_turn(sender)
            gc.collect()
            busy, busy_server = time.process_time(), _cpu(bare.info.backend_pid)
            floor, written = floor + _write(bare, transactions), written + sum(map(len, transactions))
            floor_cpu += time.process_time() - busy
            floor_server += _cpu(bare.info.backend_pid) - busy_server
            memory = memory or _resident(os.getpid())
            _say(f"{handled:,} handled: {ours / handled * 1000:.2f} ms, floor {floor / handled * 1000:.2f} ms")
    grown = _resident(os.getpid()) - memory
    with psycopg.connect(dsn(environment["DATABASE_URL"])) as connection:
        counted = f"SELECT state, count(*) FROM {sender.table} GROUP BY 1"
        states = dict(connection.execute(counted.encode()).fetchall())
    notes.append(f"{written / size:.1f} writing statements an event; events: {states}")
    details = {"cpu": cpu / size * 1000, "floor cpu": floor_cpu / size * 1000}
    details |= {"server's": server / size, "floor, server's": floor_server / size}
    line = Line("handled, each", ours / size * 1000, floor / size * 1000, limit=HANDLING_LIMIT, details=details)
    return [line, Line("memory of handling", grown, unit="MiB")]


def _copy(environment: dict[str, str], name: str) -> dict[str, str]:
    """The environment of an application on a copy of the database."""
    original = make_url(environment["DATABASE_URL"]).database or ""
    name = f"{original}_{name}"
    owner = make_url(environment["DATABASE_OWNER_URL"]).username or ""
    with psycopg.connect(dsn(os.environ["DATABASE_ADMIN_URL"]), autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}")
        admin.execute(statement.format(sql.Identifier(name), sql.Identifier(original), sql.Identifier(owner)))
    named = {
        each: make_url(environment[each]).set(database=name).render_as_string(hide_password=False)
        for each in ("DATABASE_URL", "DATABASE_OWNER_URL")
    }
    return environment | named


def _handle_turn(sender: Sender) -> tuple[int, float]:
    """How many events one job handled, and in how many seconds."""
    began = time.perf_counter()
    number = sender.handle_due(ORGANISATION)
    return number, time.perf_counter() - began


def _backend() -> int:
    """The server's process that the next turn is going to talk to."""
    connection = db.session.connection().connection.dbapi_connection
    backend: int = connection.info.backend_pid  # type: ignore[union-attr]
    db.session.rollback()
    return backend


def _record_turn(sender: Sender) -> list[list[Write]]:
    """What one job writes, by transaction."""
    transactions: list[list[Write]] = [[]]

    def keep(_connection: object, _cursor: object, statement: str, given: Any, *_rest: object) -> None:
        if statement.lstrip().startswith(WRITES):
            transactions[-1].append((statement, given))

    def commit(_connection: object) -> None:
        transactions.append([])

    event.listen(db.engine, "before_cursor_execute", keep)
    event.listen(db.engine, "commit", commit)
    try:
        sender.handle_due(ORGANISATION)
    finally:
        event.remove(db.engine, "before_cursor_execute", keep)
        event.remove(db.engine, "commit", commit)
    return [each for each in transactions if each]


def _write(bare: psycopg.Connection[Any], transactions: list[list[Write]]) -> float:
    """Seconds that the same takes by psycopg alone."""
    began = time.perf_counter()
    with bare.cursor() as cursor:
        for writes in transactions:
            for statement, given in writes:
                execute: Callable[..., Any] = cursor.executemany if isinstance(given, list) else cursor.execute
                execute(statement, given)
            bare.commit()
    return time.perf_counter() - began


def _cpu(process: int) -> float:
    """Milliseconds of the processor that a process has taken."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") * 1000


def _resident(process: int) -> float:
    """MiB that a process holds."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1024 * 1024)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
