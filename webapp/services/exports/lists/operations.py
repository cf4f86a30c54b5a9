"""What changed many rows: synchronisations and operations; and the journal."""

from dataclasses import dataclass

from webapp.models.operations import OperationKind
from webapp.services import journal
from webapp.services.exports.exported_list import Everything, ExportedList
from webapp.services.journal import JournalView
from webapp.services.operations import columns as operation_columns
from webapp.services.operations import listing as operations
from webapp.services.winleadplus import columns as sync_columns
from webapp.services.winleadplus import status as syncs
from webapp.services.winleadplus.status import ItemsView


@dataclass(frozen=True)
class OperationsOf:
    """The operations of that kind, or any."""

    kind: OperationKind | None


LISTS = (
    ExportedList.of_any_day(
        "synchronisations",
        "Synchronisations",
        "synchronisation",
        view=Everything,
        select=lambda _: syncs.select_all_runs(),
        columns=sync_columns.RUNS,
    ),
    ExportedList.of_any_day(
        "elements-de-synchronisation",
        "Éléments de la synchronisation",
        "élément",
        view=ItemsView,
        select=syncs.select_all_items,
        columns=sync_columns.ITEMS,
    ),
    ExportedList.of_any_day(
        "operations",
        "Opérations",
        "opération",
        view=OperationsOf,
        select=lambda view: operations.select_all(view.kind),
        columns=operation_columns.COLUMNS,
        default=operation_columns.DEFAULT,
    ),
    ExportedList.of_any_day(
        "journal",
        "Journal",
        "entrée",
        view=JournalView,
        select=journal.select_all,
        columns=journal.COLUMNS,
    ),
)
