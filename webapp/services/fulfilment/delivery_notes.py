"""Delivery notes (bons de livraison), one page for each consignment, and the picking list. No prices."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from barcode.codex import Code128
from jinja2 import Environment
from markupsafe import Markup
from sqlalchemy import select

from webapp import french
from webapp.extensions import db
from webapp.models.fulfilment import (
    BatchTotal,
    FulfilmentBatch,
    FulfilmentBatchLine,
    LineStatus,
    TotalKind,
    consignment_code,
)
from webapp.models.organisations import Company
from webapp.services import pdf

TEMPLATES = Path(__file__).parent / "print"
PRINTED = (LineStatus.TO_PREPARE, LineStatus.PREPARED, LineStatus.SHIPPED)


class Note(NamedTuple):
    """What one page shows. ``barcode`` is an SVG; ``messages`` are those of gifts."""

    code: str
    barcode: Markup
    address: dict[str, str]
    lines: Sequence[FulfilmentBatchLine]
    messages: Sequence[str]


def print_notes(batch_id: UUID, consignments: Sequence[int]) -> tuple[bytes, int]:
    """The notes of these consignments as one PDF, in that order, and how many. Raises PrintingUnavailableError."""
    batch, company = _find(batch_id)
    notes = _list_notes(batch, consignments)
    html = _templates().get_template("delivery_notes.html").render(company=company, batch=batch, notes=notes)
    return pdf.printer(TEMPLATES / "fulfilment.css")(html), len(notes)


def print_picking_list(batch_id: UUID) -> bytes:
    """What is to be picked for a locked batch, as a PDF. Raises PrintingUnavailableError."""
    batch, company = _find(batch_id)
    totals = list_picked(batch_id)
    html = _templates().get_template("picking_list.html").render(company=company, batch=batch, totals=totals)
    return pdf.printer(TEMPLATES / "fulfilment.css")(html)


def list_picked(batch_id: UUID) -> list[BatchTotal]:
    """What is to be picked, by product and preferences, in the order of their names."""
    statement = select(BatchTotal).where(BatchTotal.batch_id == batch_id, BatchTotal.kind == TotalKind.PICKING)
    totals = db.session.scalars(statement.execution_options(populate_existing=True)).all()
    return sorted(totals, key=lambda total: (total.content[0]["label"], in_words(total.content[0]["preferences"])))


def in_words(preferences: dict[str, dict[str, object]]) -> str:
    """Preferences as a line: « Origine : Brésil · Mouture : Oui »."""
    said = ((each["label"], each["value"]) for each in preferences.values())
    return " · ".join(f"{label}\u202f: {_word(value)}" for label, value in said if value is not None)


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "oui" if value else "non"
    return str(value)


def _find(batch_id: UUID) -> tuple[FulfilmentBatch, Company]:
    batch = db.session.scalars(select(FulfilmentBatch).where(FulfilmentBatch.id == batch_id)).one()
    return batch, db.session.scalars(select(Company).where(Company.id == batch.company_id)).one()


def _list_notes(batch: FulfilmentBatch, consignments: Sequence[int]) -> list[Note]:
    statement = select(FulfilmentBatchLine).where(
        FulfilmentBatchLine.batch_id == batch.id,
        FulfilmentBatchLine.consignment_no.in_(consignments),
        FulfilmentBatchLine.status.in_(PRINTED),
    )
    by_number: dict[int, list[FulfilmentBatchLine]] = {}
    for line in db.session.scalars(statement.order_by(FulfilmentBatchLine.label, FulfilmentBatchLine.id)):
        by_number.setdefault(line.consignment_no or 0, []).append(line)
    return [_note(batch, number, by_number[number]) for number in consignments if number in by_number]


def _note(batch: FulfilmentBatch, number: int, lines: Sequence[FulfilmentBatchLine]) -> Note:
    code = consignment_code(batch.number, number)
    messages = dict.fromkeys(line.gift_message for line in lines if line.gift_message)
    return Note(code, barcode(code), lines[0].address_snapshot or {}, lines, list(messages))


def barcode(code: str) -> Markup:
    """A Code 128 that scanners read, as an SVG of one unit a module."""
    (modules,) = Code128(code).build()
    bars, place = [], 0
    while place < len(modules):
        end = place
        while end < len(modules) and modules[end] == modules[place]:
            end += 1
        if modules[place] == "1":
            bars.append(f"M{place} 0h{end - place}v20h-{end - place}z")
        place = end
    # Only digits of ours and path commands: nothing of a client's is in it.
    return Markup(  # noqa: S704
        f'<svg class="barcode" viewBox="0 0 {len(modules)} 20" preserveAspectRatio="none">'
        f'<path d="{"".join(bars)}"/></svg>'
    )


@cache
def _templates() -> Environment:
    return pdf.templates(
        TEMPLATES, quantity=french.quantity, whole=french.whole, in_words=in_words, country=french.country
    )
