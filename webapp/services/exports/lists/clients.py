"""Clients, what is to be done for them, and those that may be one person."""

from dataclasses import dataclass
from uuid import UUID

from webapp.services.clients import columns as client_columns
from webapp.services.clients import expiring, expiring_columns, task_columns, tasks
from webapp.services.clients import listing as clients
from webapp.services.clients.expiring import ExpiringView
from webapp.services.clients.selection import ClientsView
from webapp.services.clients.tasks import Whose
from webapp.services.duplicates import columns as pair_columns
from webapp.services.duplicates import pairs
from webapp.services.duplicates.pairs import SeenPairs
from webapp.services.exports.exported_list import ExportedList


@dataclass(frozen=True)
class OpenTasks:
    """The open tasks that somebody sees."""

    whose: Whose
    viewer_id: UUID


LISTS = (
    ExportedList.of_any_day(
        "clients",
        "Clients",
        "client",
        view=ClientsView,
        select=clients.select_all,
        columns=client_columns.COLUMNS,
        default=client_columns.DEFAULT,
    ),
    ExportedList.of_any_day(
        "taches",
        "Tâches",
        "tâche",
        view=OpenTasks,
        select=lambda view: tasks.select_all(view.whose, view.viewer_id),
        columns=task_columns.COLUMNS,
    ),
    ExportedList(
        key="documents-a-renouveler",
        title="Documents à renouveler",
        one="document",
        many="documents",
        view=ExpiringView,
        select=expiring.select_all,
        columns=expiring_columns.columns,
    ),
    ExportedList.of_any_day(
        "doublons",
        "Doublons",
        "paire",
        view=SeenPairs,
        select=pairs.select_all,
        columns=pair_columns.COLUMNS,
    ),
)
