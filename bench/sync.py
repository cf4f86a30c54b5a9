"""A synchronisation of many prospects: the first import, one in which nothing changed, and one with 1 % changed.

Each is a process of its own, as a worker's job is, so that its peak memory is its own too. WinLeadPlus is a file behind
a socket (bench/sync_upstream.py): it costs what sending costs. Floors, in the same run: parsing the same stream with
ijson's C backend, and for the first import that plus COPY of the very rows that it left, into the same tables with the
same indexes and triggers. Our own reader (docs/adr/0022) is measured beside, and every import against it, too.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import orjson
import psycopg
from psycopg import sql

from bench.databases import dsn, open_database
from bench.report import Line, Report
from demo.prospects import prospects

ROOT = Path(__file__).resolve().parent.parent
ORGANISATION = UUID("00000000-0000-7000-8000-000000000001")
DATABASE = "bench_sync"
FIRST_LIMIT, UNCHANGED_LIMIT = 4.0, 1.5
MEMORY_LIMIT_MIB = 250.0
CHANGED_PERCENT = 1
TURNS = 3

# Everything that an import fills, in an order that foreign keys accept.
FILLED = (
    "users", "commercials", "products", "clients", "contracts", "contract_lines", "bank_accounts", "mandates",
    "sync_runs", "sync_mappings", "timeline_events", "sync_items",
)  # fmt: skip
FOUNDATION = f"""
INSERT INTO organisations (id, slug, name, created_at) VALUES ('{ORGANISATION}', 'banc', 'Banc d’essai', now());
INSERT INTO companies (organisation_id, id, name, is_default, created_at)
VALUES ('{ORGANISATION}', gen_random_uuid(), 'Société', true, now());
"""


def run(size: int = 100_000) -> Report:
    """Measure the three synchronisations of ``size`` prospects against their floors."""
    with TemporaryDirectory(dir=os.environ["CRM_HOME"]) as folder:
        base, changed = Path(folder, "base.json"), Path(folder, "changed.json")
        _say(f"{size:,} prospects: writing them")
        _write(base, size, {})
        _write(changed, size, dict.fromkeys(range(0, size, 100 // CHANGED_PERCENT), 1))
        with _upstream(base) as base_url, _upstream(changed) as changed_url:
            return _measure(size, base_url, changed_url, Path(folder))


def _measure(size: int, base_url: str, changed_url: str, folder: Path) -> Report:
    environment = open_database(DATABASE, lambda owner: owner.execute(FOUNDATION) and None, is_full="SELECT false")
    first = _work("sync", base_url, environment)
    # In turns, so that whatever else the machine does touches all three alike.
    turns = [[_work(task, base_url, environment) for task in ("read", "sync", "ijson")] for _ in range(TURNS)]
    reads, unchanged, parses = zip(*turns, strict=True)
    with_changes = _work("sync", changed_url, environment)
    _expect(size, first, unchanged, with_changes)
    reading, parsing = _best(reads), _best(parses)
    copying = _copy_again(environment, folder)
    memory = max(each["peak_mib"] for each in (first, *unchanged, with_changes))
    return Report(
        "sync",
        size,
        [
            Line(
                "first import",
                first["seconds"],
                parsing["seconds"] + copying["seconds"],
                unit="s",
                limit=FIRST_LIMIT,
                details={"prospects/s": size / first["seconds"]},
            ),
            _line("unchanged", size, _best(unchanged), parsing, reading, limit=UNCHANGED_LIMIT),
            _line(f"{CHANGED_PERCENT} % changed", size, with_changes, parsing, reading),
            _line("our reader alone", size, reading, parsing, reading),
            Line("peak memory", memory, unit="MiB", details={"MiB": memory}, detail_limits={"MiB": MEMORY_LIMIT_MIB}),
        ],
        [
            f"floors: parsing by ijson {parsing['seconds']:.2f} s, COPY {copying['seconds']:.2f} s",
            f"parsing, reading and unchanged: the best of {TURNS}, which took turns",
            "cpu: the worker's own processor time, which other work on the machine disturbs less than the clock's",
            f"{os.cpu_count()} cores, loopback, PostgreSQL beside the worker; memory of the worker's own process",
        ],
    )


def _best(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {name: min(each[name] for each in runs) for name in ("seconds", "cpu")}


def _line(
    name: str,
    size: int,
    took: dict[str, Any],
    parsing: dict[str, Any],
    reading: dict[str, Any],
    *,
    limit: float | None = None,
) -> Line:
    details = {
        "prospects/s": size / took["seconds"],
        "cpu / ijson": took["cpu"] / parsing["cpu"],
        "/ reader": took["seconds"] / reading["seconds"],
        "cpu / reader": took["cpu"] / reading["cpu"],
    }
    return Line(name, took["seconds"], parsing["seconds"], unit="s", limit=limit, details=details)


def _expect(size: int, first: dict[str, Any], unchanged: Sequence[dict[str, Any]], changed: dict[str, Any]) -> None:
    """A benchmark of the wrong work is worth nothing."""
    few = len(range(0, size, 100 // CHANGED_PERCENT))
    expected = [(first, [size, 0, 0]), *((each, [0, 0, size]) for each in unchanged), (changed, [0, few, size - few])]
    for found, counts in expected:
        if found["counts"] != counts:
            raise RuntimeError(f"expected {counts}, got {found}")


def _write(path: Path, size: int, changes: dict[int, int]) -> None:
    with path.open("wb") as file:
        for number, prospect in enumerate(prospects(size, changed=changes)):
            file.write(b"," if number else b"[")
            file.write(orjson.dumps(prospect))
        file.write(b"]")


@contextmanager
def _upstream(path: Path) -> Iterator[str]:
    """The address at which a process of its own serves the file."""
    command = [sys.executable, "-m", "bench.sync_upstream", str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline().strip() if process.stdout else ""
        finally:
            process.terminate()


def _work(task: str, url: str, environment: dict[str, str]) -> dict[str, Any]:
    """Have a fresh process do the task; what it says of it."""
    command = [sys.executable, "-m", "bench.sync_worker", task, url]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE)
    result: dict[str, Any] = json.loads(done.stdout)
    _say(f"{task}: {result['seconds']:.1f} s, {result['peak_mib']:.0f} MiB")
    return result


def _copy_again(environment: dict[str, str], folder: Path) -> dict[str, Any]:
    """Take the imported rows out, empty the tables, and copy the rows in again: what the last took."""
    _say("copying the same rows")
    with psycopg.connect(dsn(environment["DATABASE_OWNER_URL"]), autocommit=True) as owner:
        columns = {table: _written_columns(owner, table) for table in FILLED}
        for table in FILLED:
            with (
                (folder / table).open("wb") as file,
                owner.cursor().copy(copy_statement(table, columns[table], "TO STDOUT")) as out,
            ):
                for block in out:
                    file.write(block)
        owner.execute("TRUNCATE contract_tallies, client_tallies, " + ", ".join(FILLED) + " CASCADE")
        owner.execute(b"VACUUM")
    return _work("copy", str(folder), environment | {"BENCH_COLUMNS": json.dumps(columns)})


def _written_columns(owner: psycopg.Connection, table: str) -> list[str]:
    rows = owner.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = %s"
        " AND is_generated = 'NEVER' ORDER BY ordinal_position",
        [table],
    )
    return [row[0] for row in rows]


def copy_statement(table: str, columns: list[str], direction: str) -> sql.Composed:
    """``COPY table (columns) TO STDOUT`` or ``FROM STDIN``."""
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    return sql.SQL("COPY {} ({}) " + direction).format(sql.Identifier(table), names)  # type: ignore[arg-type]


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)
