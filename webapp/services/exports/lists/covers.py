"""Covers."""

from webapp.services.covers import columns, listing
from webapp.services.covers.listing import CoversView
from webapp.services.exports.exported_list import ExportedList

LISTS = (
    ExportedList.of_any_day(
        "couvertures",
        "Couvertures",
        "couverture",
        view=CoversView,
        select=listing.select_all,
        columns=columns.COVERS,
        default=columns.DEFAULT,
    ),
)
