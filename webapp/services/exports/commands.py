"""Asking for an export: what is small is written at once, what is large by a worker (``carrying_out``)."""

import tempfile
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from webapp import clock, queue
from webapp.errors import ForbiddenError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.exports import Export, ExportFormat
from webapp.models.identity import Role, User
from webapp.models.journal import JournalKind
from webapp.services import journal
from webapp.services.exports import writing
from webapp.services.exports.exported_list import ExportedList
from webapp.services.exports.lists import LISTS
from webapp.services.exports.reading import Wanted, count_rows, read_rows
from webapp.services.exports.writing import Batches, Target
from webapp.services.list_columns import SealedColumn, chosen
from webapp.transactions import transaction

JOB = "jobs.exports.write"
QUEUE = "operations"
MOST_AT_ONCE = 5_000
"""Rows up to which a file is written while its asker waits."""
SHORTEST_REASON, LONGEST_REASON = 10, 500


def find_list(key: str) -> ExportedList:
    """The list of that key. Raises NotFoundError."""
    if key not in LISTS:
        raise NotFoundError("Cette liste n’existe pas.")
    return LISTS[key]


def want(
    listed: ExportedList,
    view: Any,
    *,
    keys: Sequence[str],
    file_format: ExportFormat,
    filters: Iterable[str] = (),
    in_clear: bool = False,
    reason: str = "",
    by: User,
    at: datetime,
) -> Wanted:
    """What is asked for: the columns ``keys`` of a view, in that order; those that the page shows where none are known.

    ``in_clear``: with IBANs in clear, for a ``reason``. Raises ForbiddenError for whoever is no admin, and
    InvalidInputError, field ``reason``.
    """
    today = at.astimezone(clock.PARIS).date()
    columns = chosen(keys, listed.columns(today), default=listed.defaults(today))
    words = " ".join(reason.split()) if in_clear and any(isinstance(each, SealedColumn) for each in columns) else None
    if words is not None:
        _check_reason(words, by)
    return Wanted(listed, view, columns, file_format, tuple(filters), words)


def _check_reason(reason: str, by: User) -> None:
    if not by.has_role(Role.ADMIN):
        raise ForbiddenError("Seul un administrateur peut exporter des IBAN en clair.")
    if not SHORTEST_REASON <= len(reason) <= LONGEST_REASON:
        raise InvalidInputError(
            f"Dites pourquoi les IBAN sont demandés en clair, en {SHORTEST_REASON} à {LONGEST_REASON} caractères.",
            field="reason",
        )


def count(wanted: Wanted, *, at: datetime) -> int:
    """How many rows the file will have, as things stand."""
    return count_rows(db.session.connection(), wanted, at=at)


def write_at_once(wanted: Wanted, target: Target, *, by: User, at: datetime) -> int:
    """Write the file, and note it in the journal; returns its rows."""
    with tempfile.TemporaryDirectory() as folder, closing(read_rows(db.session.connection(), wanted, at=at)) as rows:
        counting = Counting(rows)
        write(wanted, target, counting, working_folder=Path(folder))
    note(wanted, counting.rows, by=by, at=at)
    return counting.rows


class Counting:
    """Batches that are counted as they pass."""

    def __init__(self, batches: Batches) -> None:
        self.rows = 0
        self._batches = batches

    def __iter__(self) -> Any:
        for batch in self._batches:
            self.rows += len(batch)
            yield batch


def write(wanted: Wanted, target: Target, batches: Batches, *, working_folder: Path) -> None:
    """Write the batches in the format that is wanted."""
    if wanted.file_format is ExportFormat.CSV:
        writing.write_csv(target, wanted.columns, batches)
    else:
        writing.write_xlsx(target, wanted.columns, batches, title=wanted.listed.title, working_folder=working_folder)


def note(wanted: Wanted, rows: int, *, by: User | None, at: datetime) -> None:
    """The entry of the journal: who took what view out, and how many rows."""
    facts: dict[str, journal.Fact] = {
        "Liste": wanted.listed.title,
        "Lignes": rows,
        "Format": wanted.file_format.label,
        "Filtres": ", ".join(wanted.filters) or None,
        "IBAN en clair": wanted.reason,
    }
    journal.note(JournalKind.EXPORT, facts, by=by, at=at)


def start(wanted: Wanted, total: int, *, by: User, at: datetime) -> Export:
    """Have a worker write the file."""
    with transaction():
        export = Export(
            id=new_id(),
            user_id=by.id,
            list_key=wanted.listed.key,
            format=wanted.file_format,
            columns=[column.key for column in wanted.columns],
            reason=wanted.reason,
            total=total,
            created_at=at,
        )
        export.keep_asked(wanted.listed.written(wanted.view), wanted.filters)
        db.session.add(export)
        queue.enqueue_after_commit(JOB, by.organisation_id, export.id, on=QUEUE)
    return export


def file_name(wanted: Wanted, *, at: datetime) -> str:
    """What the file is called: clients-2026-11-20.csv."""
    return name_of(wanted.listed.key, wanted.file_format, at)


def name_of(list_key: str, file_format: ExportFormat, at: datetime) -> str:
    """What the file of a list is called."""
    return f"{list_key}-{at.astimezone(clock.PARIS):%Y-%m-%d}.{file_format.value}"
