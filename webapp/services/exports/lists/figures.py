"""What stands behind the figures of Depanssur."""

from webapp.services.exports.exported_list import ExportedList
from webapp.services.figures import cover_columns as columns
from webapp.services.figures.cover_rows import FigureRowsView, select_all

LISTS = tuple(
    ExportedList.of_any_day(key, title, one, view=FigureRowsView, select=select_all, columns=offered)
    for key, title, one, offered in (
        ("ecritures-depanssur", "Écritures des chiffres Depanssur", "écriture", columns.ENTRIES),
        ("couvertures-depanssur", "Couvertures d’un chiffre Depanssur", "couverture", columns.COVERS),
        ("clients-depanssur", "Mouvements du MRR Depanssur", "client", columns.CLIENTS),
        ("creances-depanssur", "Reste à payer Depanssur", "document", columns.RECEIVABLES),
        ("reponses-depanssur", "Réponses des clients (NPS) Depanssur", "réponse", columns.ANSWERS),
    )
)
