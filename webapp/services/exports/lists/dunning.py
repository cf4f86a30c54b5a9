"""What clients owe: cases, their letters, and what stands behind the figures."""

from webapp.services.dunning import columns as case_columns
from webapp.services.dunning import figures as dunning_figures
from webapp.services.dunning import letters as dunning_letters
from webapp.services.dunning import listing as cases
from webapp.services.dunning.figures import DocumentsView
from webapp.services.dunning.listing import CasesView, ClaimsView
from webapp.services.exports.exported_list import Everything, ExportedList

LISTS = (
    ExportedList(
        "relances",
        "Dossiers de relance",
        "dossier",
        "dossiers",
        CasesView,
        lambda view, today: cases.select_all(view, today=today),
        lambda _: case_columns.COLUMNS,
        case_columns.DEFAULT,
    ),
    ExportedList.of_any_day(
        "lettres-de-relance",
        "Lettres de relance à poster",
        "lettre",
        view=Everything,
        select=lambda _: dunning_letters.select_all_waiting(),
        columns=case_columns.LETTERS,
    ),
    ExportedList(
        "creances",
        "Créances",
        "créance",
        "créances",
        ClaimsView,
        lambda view, today: cases.select_all_claims(view, today=today),
        lambda _: case_columns.CLAIMS,
    ),
    ExportedList.of_any_day(
        "documents-a-payer",
        "À payer à la fin d’un mois",
        "document",
        view=DocumentsView,
        select=dunning_figures.select_all_receivables,
        columns=case_columns.DOCUMENTS,
    ),
    ExportedList.of_any_day(
        "documents-du-mois",
        "Facturé en un mois",
        "document",
        view=DocumentsView,
        select=dunning_figures.select_all_revenue,
        columns=case_columns.DOCUMENTS,
    ),
)
