"""Covers, claim files, and what operators tell of them."""

from webapp.services.claims import columns as claim_columns
from webapp.services.claims import listing as claims
from webapp.services.claims.listing import ClaimsView
from webapp.services.covers import columns as cover_columns
from webapp.services.covers import listing as covers
from webapp.services.covers.listing import CoversView
from webapp.services.exports.exported_list import ExportedList
from webapp.services.operators import columns as operator_columns
from webapp.services.operators import listing as operator_events
from webapp.services.operators.listing import EventsView

LISTS = (
    ExportedList.of_any_day(
        "couvertures",
        "Couvertures",
        "couverture",
        view=CoversView,
        select=covers.select_all,
        columns=cover_columns.COVERS,
        default=cover_columns.DEFAULT,
    ),
    ExportedList.of_any_day(
        "dossiers",
        "Dossiers de sinistre",
        "dossier",
        view=ClaimsView,
        select=claims.select_all,
        columns=claim_columns.CLAIMS,
        default=claim_columns.DEFAULT,
    ),
    ExportedList.of_any_day(
        "evenements-d-operateurs",
        "Événements des opérateurs",
        "événement",
        view=EventsView,
        select=operator_events.select_all,
        columns=operator_columns.EVENTS,
    ),
)
