"""Contracts."""

from webapp.services.contracts import columns as contract_columns
from webapp.services.contracts import listing as contracts
from webapp.services.contracts.selection import ContractsView
from webapp.services.exports.exported_list import ExportedList

LISTS = (
    ExportedList.of_any_day(
        "contrats",
        "Contrats",
        "contrat",
        view=ContractsView,
        select=contracts.select_all,
        columns=contract_columns.COLUMNS,
        default=contract_columns.DEFAULT,
    ),
)
