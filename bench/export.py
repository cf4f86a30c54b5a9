"""The list of clients as a file: by the worker's way, from the claim to the sealed file, in both formats.

Floor: ``COPY … TO`` of the same columns by bare psycopg, and the writer alone, on rows in memory.
"""

import csv
import gc
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
from xlsxwriter import Workbook

from bench.client_data import ORGANISATION, USER, make_clients
from bench.databases import dsn, open_database, settings_of
from bench.report import Line, Report
from webapp import clock, tenancy
from webapp.extensions import db
from webapp.factory import create_app
from webapp.models.exports import Export, ExportFormat
from webapp.models.identity import User
from webapp.models.runs import RunStatus
from webapp.services.clients.selection import ClientsView
from webapp.services.exports import carrying_out, commands
from webapp.services.exports.lists import LISTS
from webapp.services.exports.reading import BATCH, read_rows
from webapp.services.exports.writing import MOST_ROWS

LIMIT = 2.0
TURNS = {ExportFormat.CSV: 3, ExportFormat.XLSX: 1}
COPY = b"""
COPY (
  SELECT c.last_name, c.first_name, c.email, c.phone, c.city, m.first_name, m.last_name, c.status, c.contracts_count,
         c.changed_at
  FROM clients c LEFT JOIN commercials m ON m.organisation_id = c.organisation_id AND m.id = c.commercial_id
  WHERE c.organisation_id = %s ORDER BY c.name_key, c.id
) TO STDOUT (FORMAT csv)
"""


def run(size: int = 1_000_000) -> Report:
    """Measure the export of ``size`` clients."""
    environment = open_database(
        f"bench_export_{size}",
        fill=lambda owner: make_clients(owner, size, print),
        is_full=f"SELECT count(*) = {size} FROM clients",
    )
    with create_app(settings_of(environment)).app_context(), tenancy.organisation(ORGANISATION):
        lines = [_measure(each, environment["DATABASE_URL"], size) for each in ExportFormat]
        lines.append(Line("memory, at its peak", _peak(), unit="MiB"))
        db.session.remove()
        db.engine.dispose()
    return Report("export", size, lines, [f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.0f}; eight columns"])


def _measure(file_format: ExportFormat, url: str, size: int) -> Line:
    ours, floor = [], []
    sample = _sample(file_format)
    for _ in range(TURNS[file_format]):
        gc.collect()
        ours.append(_timed(lambda: _export(file_format, size)))
        floor.append(_timed(lambda: _copy(url)) + _timed(lambda: _ALONE[file_format](sample, size)))
        print(file_format, f"{ours[-1] / 1000:.1f} s, floor {floor[-1] / 1000:.1f} s, peak {_peak():.0f} MiB")
    return Line(file_format.label, statistics.median(ours), statistics.median(floor), limit=LIMIT)


def _export(file_format: ExportFormat, size: int) -> None:
    """What a worker does, and the file taken away."""
    user = db.session.get_one(User, (ORGANISATION, USER))
    asked = commands.want(LISTS["clients"], ClientsView(), keys=[], file_format=file_format, by=user, at=clock.now())
    export_id = commands.start(asked, size, by=user, at=clock.now()).id
    carrying_out.write(ORGANISATION, export_id)
    export = db.session.get_one(Export, (ORGANISATION, export_id), populate_existing=True)
    if (export.status, export.written) != (RunStatus.SUCCESS, size):
        raise RuntimeError(f"{export.status}: {export.written} of {size} rows; {export.error}")
    carrying_out.prune(at=export.kept_until + carrying_out.LEASE)


def _sample(file_format: ExportFormat) -> list[Sequence[Any]]:
    """A batch of rows, as cells."""
    user = db.session.get_one(User, (ORGANISATION, USER))
    at = clock.now()
    asked = commands.want(LISTS["clients"], ClientsView(), keys=[], file_format=file_format, by=user, at=at)
    rows = read_rows(db.session.connection(), asked, at=at)
    batch = next(rows)
    rows.close()
    db.session.rollback()
    if file_format is ExportFormat.CSV:
        return list(csv.reader((line.decode() for line in batch), delimiter=";"))
    return list(batch)


def _copy(url: str) -> None:
    with psycopg.connect(dsn(url)) as connection, connection.cursor().copy(COPY, [ORGANISATION]) as copy:
        for _ in copy:
            pass


def _rows(sample: list[Sequence[Any]], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, size, BATCH):
        yield from sample[: size - start]


def _write_csv(sample: list[Sequence[Any]], size: int) -> None:
    with tempfile.TemporaryFile("w", newline="") as file:
        csv.writer(file, delimiter=";").writerows(_rows(sample, size))


def _write_xlsx(sample: list[Sequence[Any]], size: int) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        Workbook(Path(folder) / "file", {"constant_memory": True, "tmpdir": folder}) as book,
    ):
        sheet, row, day = book.add_worksheet(), 0, book.add_format({"num_format": "dd/mm/yyyy hh:mm:ss"})
        for cells in _rows(sample, size):
            if row == MOST_ROWS:
                sheet, row = book.add_worksheet(), 0
            for place, value in enumerate(cells[:6]):
                if value is not None:
                    sheet.write_string(row, place, value)
            sheet.write_number(row, 6, cells[6])
            sheet.write_datetime(row, 7, cells[7], day)
            row += 1


_ALONE: dict[ExportFormat, Callable[[list[Sequence[Any]], int], None]] = {
    ExportFormat.CSV: _write_csv,
    ExportFormat.XLSX: _write_xlsx,
}


def _timed(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
