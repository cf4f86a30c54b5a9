"""The papers of a batch: picking list, delivery notes, labels."""

from uuid import UUID

from flask import Blueprint, Response, redirect
from flask.typing import ResponseReturnValue

from webapp import clock, french
from webapp.errors import NotFoundError
from webapp.security import current_user
from webapp.services.fulfilment import batches, delivery_notes, documents
from webapp.views.figures.spreadsheets import csv_file
from webapp.views.fulfilment.shipments import for_managers
from webapp.views.fulfilment.tabs import DOCUMENT_WORDS, DOCUMENTS, address_of_tab
from webapp.views.layout import toast

bp = Blueprint("batch_documents", __name__, url_prefix="/lots/<uuid:batch_id>/documents")


@bp.post("/<word>")
@for_managers
def ask(batch_id: UUID, word: str) -> ResponseReturnValue:
    """Have them made by a worker."""
    kind = DOCUMENT_WORDS.get(word)
    if kind is None:
        raise NotFoundError
    documents.ask(batch_id, kind, by=current_user(), at=clock.now())
    toast("info", f"{kind.label}\u202f: le document se prépare.")
    return redirect(address_of_tab(batches.find_batch(batch_id), DOCUMENTS), 303)


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
