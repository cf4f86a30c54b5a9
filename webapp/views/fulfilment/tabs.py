"""What the tabs « Expéditions » and « Documents » of a batch show."""

from typing import Any

from flask import url_for

from webapp.models.fulfilment import BatchStatus, BatchWork, FulfilmentBatch, ParcelStatus
from webapp.models.shipping import DocumentKind
from webapp.services.carriers import settings
from webapp.services.carriers.accounts import service_label
from webapp.services.fulfilment import completing, dispatching, documents, shipment_listing
from webapp.services.fulfilment.dispatching import Unprepared
from webapp.services.fulfilment.shipment_listing import ShipmentsView
from webapp.views.fulfilment.shipments import list_values, may_act, read_view

SHIPMENTS, DOCUMENTS = "expeditions", "documents"
"""The tabs, as the address says them."""
DOCUMENT_WORDS = {"etiquettes": DocumentKind.LABELS, "bons-de-livraison": DocumentKind.DELIVERY_NOTES}
"""The kinds of papers as the addresses say them."""
_LABELLING = (ParcelStatus.TO_LABEL, ParcelStatus.SENDING)


def address_of_tab(batch: FulfilmentBatch, tab: str, **query: Any) -> str:
    """The page of the batch at a tab."""
    return url_for("batch.show", batch_id=batch.id, onglet=tab, **query)


def shipments_list(batch: FulfilmentBatch) -> dict[str, Any]:
    """What ``fulfilment/_shipments_list.html`` needs for a batch."""
    values = list_values(read_view(batch.id), lambda **query: address_of_tab(batch, SHIPMENTS, **query))
    return values | {"in_batch": True, "batch": batch, "filters": {"onglet": SHIPMENTS, **values["filters"]}}


def shipments_values(batch: FulfilmentBatch) -> dict[str, Any]:
    """What ``fulfilment/_batch_shipments.html`` needs, beside the problem of the page and what was written."""
    shipper = settings.find_shipper(batch.company_id)
    accounts = [
        (str(account.id), f"{account.carrier.label} {service_label(account)}".strip())
        for account in shipper.accounts
        if account.is_active
    ]
    return {
        **shipments_list(batch),
        **dispatch_standing(batch),
        "accounts": accounts,
        "default_account": str(shipper.settings.default_account_id or ""),
        "choices": [(each.value, each.label) for each in Unprepared],
        "unprepared": dispatching.count_unprepared(batch.id) if batch.status is BatchStatus.LOCKED else 0,
        "left": completing.count_left(batch.id) if batch.status is BatchStatus.DISPATCHED else 0,
    }


def dispatch_standing(batch: FulfilmentBatch) -> dict[str, Any]:
    """How far the dispatch and its labels are."""
    counts = shipment_listing.count_by_status(ShipmentsView(batch_id=batch.id))
    return {
        "batch": batch,
        "is_dispatching": batch.work is BatchWork.DISPATCH,
        "waiting": sum(counts.get(status, 0) for status in _LABELLING),
        "total": sum(number for status, number in counts.items() if status is not ParcelStatus.CANCELED),
        "undecided": {
            status: counts[status] for status in (ParcelStatus.REFUSED, ParcelStatus.UNKNOWN) if counts.get(status)
        },
        "resting": shipment_listing.list_resting(batch.id),
    }


def documents_values(batch: FulfilmentBatch) -> dict[str, Any]:
    """What ``fulfilment/_documents.html`` needs."""
    made = documents.list_documents(batch.id)
    is_dispatched = batch.status in (BatchStatus.DISPATCHED, BatchStatus.COMPLETED)
    return {
        "batch": batch,
        "offered": {
            word: kind for word, kind in DOCUMENT_WORDS.items() if kind is DocumentKind.DELIVERY_NOTES or is_dispatched
        },
        "parts_of": {kind: [part for part in made if part.kind is kind] for kind in DocumentKind},
        "is_waiting": any(part.made_at is None and part.error is None for part in made),
        "may_act": may_act(),
    }
