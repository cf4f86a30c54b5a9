"""Batches, their lines and shipments, and the products in them."""

from dataclasses import dataclass
from uuid import UUID

from webapp.services.exports.exported_list import Everything, ExportedList
from webapp.services.fulfilment import columns as fulfilment_columns
from webapp.services.fulfilment import listing as batches
from webapp.services.fulfilment import products
from webapp.services.fulfilment import shipment_listing as shipments
from webapp.services.fulfilment.listing import LinesView
from webapp.services.fulfilment.shipment_listing import ShipmentsView


@dataclass(frozen=True)
class OfBatch:
    """The lines of a batch that wait for a person."""

    batch_id: UUID


@dataclass(frozen=True)
class ProductsNamed:
    """The products whose name holds that."""

    search: str


LISTS = (
    ExportedList.of_any_day(
        "lots",
        "Lots",
        "lot",
        view=Everything,
        select=lambda _: batches.select_all_past(),
        columns=fulfilment_columns.BATCHES,
    ),
    ExportedList.of_any_day(
        "lignes-de-lot",
        "Lignes du lot",
        "ligne",
        view=LinesView,
        select=batches.select_all_lines,
        columns=fulfilment_columns.LINES,
    ),
    ExportedList.of_any_day(
        "lignes-a-decider",
        "Lignes à décider du lot",
        "ligne",
        view=OfBatch,
        select=lambda view: batches.select_all_attention(view.batch_id),
        columns=fulfilment_columns.LINES,
    ),
    ExportedList.of_any_day(
        "expeditions",
        "Expéditions",
        "expédition",
        view=ShipmentsView,
        select=shipments.select_all,
        columns=fulfilment_columns.SHIPMENTS,
        default=fulfilment_columns.SHIPMENTS_DEFAULT,
    ),
    ExportedList.of_any_day(
        "produits-expedies",
        "Produits expédiés",
        "produit",
        view=ProductsNamed,
        select=lambda view: products.select_all(view.search),
        columns=fulfilment_columns.PRODUCTS,
    ),
)
