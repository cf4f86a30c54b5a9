"""The papers of a batch: picking list, delivery notes, labels."""

from typing import Any
from uuid import UUID

from flask import Blueprint, Response, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from webapp import clock, french
from webapp.errors import NotFoundError
from webapp.models.fulfilment import BatchStatus, FulfilmentBatch
from webapp.models.shipping import DocumentKind
from webapp.security import current_user
from webapp.services.fulfilment import batches, delivery_notes, documents
from webapp.views.figures.spreadsheets import csv_file
from webapp.views.fulfilment.shipments import for_managers, may_act
from webapp.views.layout import is_fragment_request, toast

bp = Blueprint("batch_documents", __name__, url_prefix="/lots/<uuid:batch_id>/documents")

WORDS = {"etiquettes": DocumentKind.LABELS, "bons-de-livraison": DocumentKind.DELIVERY_NOTES}
"""The kinds as the addresses say them."""


@bp.get("")
def index(batch_id: UUID) -> ResponseReturnValue:
    """What can be printed, what is being made, and what lies ready."""
    template = "fulfilment/_documents.html" if is_fragment_request() else "fulfilment/documents.html"
    return render_template(template, **tab_values(batches.find_batch(batch_id)))


def tab_values(batch: FulfilmentBatch) -> dict[str, Any]:
    """What ``fulfilment/_documents.html`` needs."""
    made = documents.list_documents(batch.id)
    offered = {
        word: kind
        for word, kind in WORDS.items()
        if batch.status is not BatchStatus.OPEN
        and (kind is DocumentKind.DELIVERY_NOTES or batch.status is not BatchStatus.LOCKED)
    }
    return {
        "batch": batch,
        "offered": offered,
        "parts_of": {kind: [part for part in made if part.kind is kind] for kind in DocumentKind},
        "is_waiting": any(part.made_at is None and part.error is None for part in made),
        "may_act": may_act(),
    }


@bp.post("/<word>")
@for_managers
def ask(batch_id: UUID, word: str) -> ResponseReturnValue:
    """Have them made by a worker."""
    kind = WORDS.get(word)
    if kind is None:
        raise NotFoundError
    documents.ask(batch_id, kind, by=current_user(), at=clock.now())
    toast("info", f"{kind.label}\u202f: le document se prépare.")
    return redirect(url_for("batch_documents.index", batch_id=batch_id), 303)


@bp.get("/<uuid:document_id>.pdf")
def download(batch_id: UUID, document_id: UUID) -> ResponseReturnValue:
    """A part that is made."""
    name, content = documents.find_file(batch_id, document_id)
    return _pdf(name, content)


@bp.get("/preparation.pdf")
def print_picking_list(batch_id: UUID) -> ResponseReturnValue:
    """What is to be picked, on paper."""
    batch = batches.find_batch(batch_id)
    return _pdf(f"Lot {batch.number} - Préparation.pdf", delivery_notes.print_picking_list(batch_id))


@bp.get("/preparation.csv")
def export_picking_list(batch_id: UUID) -> ResponseReturnValue:
    """What is to be picked, for a spreadsheet."""
    batch = batches.find_batch(batch_id)
    rows = [
        (
            total.content[0]["label"],
            delivery_notes.in_words(total.content[0]["preferences"]),
            total.count,
            french.field_number(total.quantity),
        )
        for total in delivery_notes.list_picked(batch_id)
    ]
    return csv_file(f"lot-{batch.number}-preparation.csv", ("Article", "Préférences", "Lignes", "Quantité"), rows)


def _pdf(name: str, content: bytes) -> Response:
    response = Response(content, mimetype="application/pdf")
    response.headers.set("Content-Disposition", "attachment", filename=name)
    return response
