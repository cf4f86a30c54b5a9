"""An import of clients and contracts from an Excel file: half of the clients are known and live elsewhere now.

Floor of the plan: the sheet read by the same library alone, its rows copied into a temporary table, and one statement
that compares them with what is there, by bare psycopg. That floor keeps nothing; « plan, kept » is held against one
that also writes the same items by COPY, since a plan is kept. Each is the best of three, and told in milliseconds of
processors, too: of this process, of the one that reads the sheet, and of PostgreSQL's. Floor of the applying: ``COPY``
of the rows that came to be into the same tables, with the same indexes and triggers, and one ``UPDATE`` of those that
were known.
"""

import gc
import io
import os
import resource
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple, Self
from uuid import UUID

import psycopg
from psycopg import sql
from python_calamine import CalamineWorkbook
from sqlalchemy import text
from xlsxwriter import Workbook

from bench.client_data import ORGANISATION, USER, make_clients
from bench.databases import dsn, open_database, settings_of
from bench.report import Line, Report
from webapp import clock, tenancy
from webapp.extensions import db
from webapp.factory import create_app
from webapp.models.identity import Role, User
from webapp.models.operations import OperationState
from webapp.services.imports import commands
from webapp.services.operations import deciding, runs
from webapp.services.operations.carry_out import carry_out

LIMIT = 2.0
TURNS = 3
HEADINGS = ("Nom", "Prénom", "E-mail", "Téléphone", "Code postal", "Ville", "N° contrat", "Montant")
KEYS = (
    "client.last_name", "client.first_name", "client.email", "client.phone", "client.postcode", "client.city",
    "contract.reference", "contract.amount",
)  # fmt: skip
KNOWN = b"SELECT last_name, first_name, email FROM clients WHERE email IS NOT NULL ORDER BY id LIMIT %s"
STAGE = b"""CREATE TEMPORARY TABLE given (
  last_name text, first_name text, email text, phone text, postcode text, city text, reference text, amount numeric
) ON COMMIT DROP"""
COMPARE = b"""
SELECT given.email, c.id, c.version, jsonb_build_object('city', c.city), jsonb_build_object('city', given.city), k.id
FROM given
LEFT JOIN clients c ON c.organisation_id = %s AND c.email = given.email AND c.archived_at IS NULL
LEFT JOIN contracts k ON k.organisation_id = %s AND k.reference = given.reference
WHERE c.id IS NULL OR (c.last_name, c.first_name, c.phone, c.postcode, c.city) IS DISTINCT FROM
  (given.last_name, given.first_name, given.phone, given.postcode, given.city) OR k.id IS NULL
"""
MADE = {
    "clients": "id IN (SELECT row_id FROM operation_items WHERE operation_id = {id} AND action = 'create')",
    "contracts": "id IN (SELECT row_id FROM operation_items WHERE operation_id = {id} AND action = 'create')",
    "timeline_events": "operation_id = {id}",
}
"""The rows that an operation brought, parents first."""
MOVE = b"""UPDATE clients c SET city = coalesce(i.after->>'city', c.city), phone = coalesce(i.after->>'phone', c.phone),
  postcode = coalesce(i.after->>'postcode', c.postcode), version = c.version + 1, changed_at = now()
FROM operation_items i WHERE i.operation_id = %s AND i.target = 'client' AND i.action = 'update'
  AND c.organisation_id = i.organisation_id AND c.id = i.row_id"""


class Spent(NamedTuple):
    """Milliseconds, of the wall and of processors."""

    wall: float
    processor: float

    @classmethod
    def now(cls, backend: int | None) -> Self:
        """Up to now: of this process and those that it waited for, and of PostgreSQL's ``backend``."""
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        of_backend = int(Path(f"/proc/{backend}/schedstat").read_text().split()[0]) / 1e9 if backend else 0.0
        seconds = time.process_time() + children.ru_utime + children.ru_stime + of_backend
        return cls(time.perf_counter() * 1000, seconds * 1000)

    def until(self, later: Self) -> Self:
        """What was spent meanwhile."""
        return type(self)(later.wall - self.wall, later.processor - self.processor)

    @classmethod
    def least(cls, several: Iterable[Self]) -> Self:
        """The least of each."""
        walls, processors = zip(*several, strict=True)
        return cls(min(walls), min(processors))


def run(size: int = 20_000) -> Report:
    """Plan and apply a file of ``size`` lines, beside as many clients."""
    environment = open_database(
        f"bench_imports_{size}",
        fill=lambda owner: make_clients(owner, size, print, make_contracts=lambda _: None),
        is_full="SELECT false",
    )
    with create_app(settings_of(environment)).app_context(), tenancy.organisation(ORGANISATION):
        url = dsn(environment["DATABASE_URL"])
        content = _file(url, size)
        by = db.session.get_one(User, (ORGANISATION, USER))
        by.roles = [Role.ADMIN]
        db.session.commit()
        import_id = commands.start("clients.xlsx", io.BytesIO(content), by=by, at=clock.now())
        commands.read(ORGANISATION, import_id)
        gc.collect()
        before = _forget_peak()
        plans = [_plan(import_id, by) for _ in range(TURNS)]
        operation_id = plans[-1][1]
        grown = _peak() - before
        plan = Spent.least(each for each, _ in plans)
        compare = Spent.least(_compare(url, content) for _ in range(TURNS))
        write = Spent.least(_write_items(dsn(environment["DATABASE_OWNER_URL"]), operation_id) for _ in range(TURNS))
        kept = Spent(compare.wall + write.wall, compare.processor + write.processor)
        gc.collect()
        before = _forget_peak()
        apply = _timed(lambda: _apply(operation_id, by))
        grown_more = _peak() - before
        apply_floor = _copy(dsn(environment["DATABASE_OWNER_URL"]), operation_id)
        db.session.remove()
        db.engine.dispose()
    lines = [
        Line("plan", plan.wall, compare.wall, limit=LIMIT, details={"more MiB": grown}),
        Line("plan, kept", plan.wall, kept.wall, limit=LIMIT),
        Line("plan, processor", plan.processor, compare.processor),
        Line("plan, kept, processor", plan.processor, kept.processor),
        Line("apply", apply, apply_floor, limit=LIMIT, details={"more MiB": grown_more}),
    ]
    return Report("imports", size, lines, [f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.0f}"])


def _file(url: str, size: int) -> bytes:
    with psycopg.connect(url) as connection:
        known = connection.execute(KNOWN, [size // 2]).fetchall()
    content = io.BytesIO()
    with Workbook(content, {"constant_memory": True}) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, HEADINGS)
        for number in range(1, size + 1):
            last_name, first_name, email = (
                known[number - 1] if number <= len(known) else ("Nouveau", f"Client {number}", f"n{number}@example.org")
            )
            phone, postcode = f"0739{number:06}", f"{1000 + number % 95000:05}"
            row = (last_name, first_name, email, phone, postcode, "Ailleurs", f"I-{number}", number + 0.5)
            sheet.write_row(number, 0, row)
    return content.getvalue()


def _plan(import_id: UUID, by: User) -> tuple[Spent, UUID]:
    """What the plan took, and its operation; the one before is given up."""
    rules = {"policy": "fichier", "creates_clients": True}
    operation_id = commands.match(import_id, list(KEYS), rules, by=by, at=clock.now())
    backend = _backend()
    started = Spent.now(backend)
    carry_out(ORGANISATION, operation_id)
    spent = started.until(Spent.now(_backend()))
    operation = runs.find(operation_id)
    if operation.state is not OperationState.PLANNED or operation.errors or operation.undecided:
        raise RuntimeError(f"{operation.state}: {operation.error or operation.errors}")
    db.session.execute(text("ANALYZE operation_items"))
    db.session.commit()
    return spent, operation_id


def _backend() -> int:
    """PostgreSQL's process for the session: the pool has one connection."""
    pid = db.session.execute(text("SELECT pg_backend_pid()")).scalar_one()
    db.session.rollback()
    return int(pid)


def _compare(url: str, content: bytes) -> Spent:
    started = Spent.now(None)
    sheet = CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(0)
    with psycopg.connect(url) as connection:
        connection.execute(STAGE)
        with connection.cursor().copy("COPY given FROM STDIN") as copy:
            rows = sheet.iter_rows()
            next(rows)
            for row in rows:
                copy.write_row(row)
        connection.execute("ANALYZE given")
        connection.execute(COMPARE, [ORGANISATION, ORGANISATION]).fetchall()
        return started.until(Spent.now(connection.info.backend_pid))


def _write_items(url: str, operation_id: UUID) -> Spent:
    """What it takes to write the items of a plan once more, after they were taken away; nothing of it stays."""
    with psycopg.connect(url) as connection:
        columns = _columns(connection, "operation_items")
        named = {"columns": columns, "id": sql.Literal(operation_id)}
        wanted = sql.SQL("SELECT {columns} FROM operation_items WHERE operation_id = {id} ORDER BY position")
        copied = sql.SQL("COPY ({}) TO STDOUT (FORMAT binary)").format(wanted.format(**named))
        with connection.cursor().copy(copied) as copy:
            blocks = list(copy)
        connection.execute(sql.SQL("DELETE FROM operation_items WHERE operation_id = {id}").format(**named))
        started = Spent.now(connection.info.backend_pid)
        into = sql.SQL("COPY operation_items ({}) FROM STDIN (FORMAT binary)").format(columns)
        with connection.cursor().copy(into) as copy:
            for block in blocks:
                copy.write(block)
        spent = started.until(Spent.now(connection.info.backend_pid))
        connection.rollback()
        return spent


def _apply(operation_id: UUID, by: User) -> None:
    deciding.apply(operation_id, by=by, at=clock.now())
    carry_out(ORGANISATION, operation_id)
    operation = runs.find(operation_id)
    if operation.state is not OperationState.DONE:
        raise RuntimeError(f"{operation.state}: {operation.error}")


def _copy(url: str, operation_id: UUID) -> float:
    """Milliseconds of writing the same rows once more, after they were taken away; nothing of it stays."""
    with psycopg.connect(url) as connection:
        named = {"id": sql.Literal(operation_id)}
        rows = {}
        for table, where in MADE.items():
            statement = sql.SQL("COPY (SELECT {} FROM {} WHERE {}) TO STDOUT (FORMAT binary)").format(
                _columns(connection, table), sql.Identifier(table), sql.SQL(where).format(**named)
            )
            with connection.cursor().copy(statement) as copy:
                rows[table] = list(copy)
        connection.execute("ALTER TABLE timeline_events DISABLE TRIGGER USER")
        for table, where in reversed(MADE.items()):
            deletion = sql.SQL("DELETE FROM {} WHERE {}")
            connection.execute(deletion.format(sql.Identifier(table), sql.SQL(where).format(**named)))
        started = time.perf_counter()
        for table, blocks in rows.items():
            statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(
                sql.Identifier(table), _columns(connection, table)
            )
            with connection.cursor().copy(statement) as copy:
                for block in blocks:
                    copy.write(block)
        connection.execute(MOVE, [operation_id])
        milliseconds = (time.perf_counter() - started) * 1000
        connection.rollback()
        return milliseconds


def _columns(connection: psycopg.Connection, table: str) -> sql.Composed:
    """Those that are not made by PostgreSQL."""
    rows = connection.execute(
        """SELECT attname FROM pg_attribute
        WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum""",
        [table],
    )
    return sql.SQL(", ").join(sql.Identifier(row[0]) for row in rows)


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def _forget_peak() -> float:
    """What the process has in MiB, from where its peak is counted."""
    Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
