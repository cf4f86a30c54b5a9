"""The papers of a batch: labels and delivery notes, in the order of identical boxes, made by a worker in parts of 100.

A part is a row before it is a file; whoever makes it holds a lease and a fence. They hold addresses: they are kept as
long as the company's labels, then pruned.
"""

import io
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID, uuid4

import structlog
from sqlalchemy import and_, delete, func, or_, select, text, update

from webapp import clock, queue, tenancy
from webapp.errors import DomainError, NotFoundError
from webapp.extensions import db
from webapp.models.base import linked, new_id
from webapp.models.carriers import LABELS_KEPT_DAYS, ShippingSettings
from webapp.models.fulfilment import BatchStatus, FulfilmentBatch, Parcel, ParcelStatus, Shipment, consignment_code
from webapp.models.identity import User
from webapp.models.shipping import BatchDocument, DocumentKind
from webapp.services import each_organisation
from webapp.services.fulfilment import batches, delivery_notes
from webapp.services.fulfilment.dispatching import NotReadyError
from webapp.tenancy import current_organisation_id
from webapp.transactions import transaction

log = structlog.get_logger()

JOB = "jobs.fulfilment.make_documents"
PART = 100
"""Consignments of one file."""
TURN = 5
"""Parts that one job makes, at most: what else waits in its queue gets a turn."""
LEASE = timedelta(minutes=5)
NO_LABELS = "Aucune étiquette de cette partie n’est faite."
UNEXPECTED = "Une erreur inattendue s’est produite (référence {reference}). Redemandez ces documents."
_WAITING = and_(BatchDocument.made_at.is_(None), BatchDocument.error.is_(None))
# The most frequent boxes first, those that hold the same one after the other.
_ORDER = text(
    """
    SELECT consignment_no FROM (
      SELECT consignment_no, min(box_key) AS box_key FROM fulfilment_batch_lines
      WHERE organisation_id = :organisation_id AND batch_id = :batch_id
        AND status IN ('to_prepare', 'prepared', 'shipped')
      GROUP BY consignment_no
    ) consignment
    ORDER BY count(*) OVER (PARTITION BY box_key) DESC, box_key, consignment_no
    """
)


def ask(batch_id: UUID, kind: DocumentKind, *, by: User, at: datetime) -> int:
    """Have these papers of a batch made by a worker, anew where there are some; returns in how many parts.

    Raises NotFoundError; BatchStateError for an open batch, and for labels of one that is not dispatched;
    NotReadyError where there is nothing to print.
    """
    with transaction():
        batch = batches.lock_batch(batch_id)
        if batch.status is BatchStatus.OPEN:
            raise batches.BatchStateError("Ce lot est encore ouvert\u202f: verrouillez-le d’abord.")
        if kind is DocumentKind.LABELS and batch.status is BatchStatus.LOCKED:
            raise batches.BatchStateError("Les étiquettes sont faites une fois le lot expédié.")
        numbers = list(db.session.scalars(_ORDER, {"organisation_id": current_organisation_id(), "batch_id": batch_id}))
        if not numbers:
            raise NotReadyError("Rien de ce lot n’est à imprimer.")
        theirs = BatchDocument.batch_id == batch_id, BatchDocument.kind == kind
        db.session.execute(delete(BatchDocument).where(*theirs).execution_options(synchronize_session=False))
        parts = [numbers[start : start + PART] for start in range(0, len(numbers), PART)]
        db.session.add_all(
            BatchDocument(
                id=new_id(),
                batch_id=batch_id,
                kind=kind,
                part=part,
                consignments=consignments,
                asked_at=at,
                asked_by_id=by.id,
                created_at=at,
            )
            for part, consignments in enumerate(parts, 1)
        )
        queue.enqueue_once_after_commit(JOB, batch.organisation_id, on="fulfilment")
    return len(parts)


# ---------------------------------------------------------------------------------------------- made by a worker


def carry_out(organisation_id: UUID) -> int:
    """Make the parts that wait in the organisation, a turn of them; returns how many."""
    queue.heard(JOB, organisation_id)
    with tenancy.organisation(organisation_id):
        for done in range(TURN):
            part = _claim(at=clock.now())
            if part is None:
                return done
            _record(part, *_make(part), at=clock.now())
        queue.enqueue_once_after_commit(JOB, organisation_id, on="fulfilment")
    return TURN


class _Part(NamedTuple):
    """The right to make a part, as long as its fence is still ``fence``."""

    document_id: UUID
    fence: int
    batch_id: UUID
    kind: DocumentKind
    consignments: Sequence[int]


def _claim(*, at: datetime) -> _Part | None:
    with transaction():
        is_free = or_(BatchDocument.lease_until.is_(None), BatchDocument.lease_until < at)
        document = db.session.scalar(
            select(BatchDocument)
            .where(_WAITING, is_free)
            .order_by(BatchDocument.asked_at, BatchDocument.part)
            .limit(1)
            .with_for_update(skip_locked=True)
            .execution_options(populate_existing=True)
        )
        if document is None:
            return None
        document.fence += 1
        document.lease_until = at + LEASE
        return _Part(document.id, document.fence, document.batch_id, document.kind, document.consignments)


def _make(part: _Part) -> tuple[bytes | None, int, str | None]:
    """The file, how many consignments are in it, and why there is none."""
    try:
        content, pages = _MAKERS[part.kind](part.batch_id, part.consignments)
    except DomainError as refusal:
        return None, 0, refusal.message
    except Exception:
        reference = uuid4().hex[:8]
        log.exception("document_not_made", batch_id=str(part.batch_id), reference=reference)
        return None, 0, UNEXPECTED.format(reference=reference)
    return content, pages, None


def _record(part: _Part, content: bytes | None, pages: int, error: str | None, *, at: datetime) -> None:
    """Under the fence: whoever was given up for dead writes nothing more, and what was asked for anew is gone."""
    with transaction():
        db.session.execute(
            update(BatchDocument)
            .where(BatchDocument.id == part.document_id, BatchDocument.fence == part.fence)
            .values(file=content, pages=pages, error=error, made_at=None if error else at, lease_until=None)
            .execution_options(synchronize_session=False)
        )


def _merge_labels(batch_id: UUID, consignments: Sequence[int]) -> tuple[bytes, int]:
    # For workers that print labels alone: it takes a twentieth of a second.
    from pypdf import PdfReader, PdfWriter  # noqa: PLC0415
    from pypdf.errors import PyPdfError  # noqa: PLC0415

    writer, pages = PdfWriter(), 0
    for code, label in _list_labels(batch_id, consignments):
        try:
            writer.append(PdfReader(io.BytesIO(label)), import_outline=False)
        except (PyPdfError, ValueError, KeyError) as error:
            raise NotReadyError(f"L’étiquette de {code} ne peut pas être lue\u202f: refaites-la.") from error
        pages += 1
    if not pages:
        raise NotReadyError(NO_LABELS)
    writer.compress_identical_objects()
    content = io.BytesIO()
    writer.write(content)
    return content.getvalue(), pages


def _list_labels(batch_id: UUID, consignments: Sequence[int]) -> Iterator[tuple[str, bytes]]:
    """The labels of the consignments in their order, each with what its parcel is called."""
    rows = db.session.execute(
        select(Shipment.consignment_no, FulfilmentBatch.number, Parcel.label_file)
        .join(Shipment, linked(Shipment, Parcel.shipment_id))
        .join(FulfilmentBatch, linked(FulfilmentBatch, Shipment.batch_id))
        .where(
            Shipment.batch_id == batch_id,
            Shipment.consignment_no.in_(consignments),
            Parcel.status != ParcelStatus.CANCELED,
            Parcel.label_file.is_not(None),
        )
        .order_by(func.array_position(list(consignments), Shipment.consignment_no), Parcel.number)
    )
    for number, batch_number, label in rows:
        yield consignment_code(batch_number, number), label or b""


_MAKERS = {DocumentKind.LABELS: _merge_labels, DocumentKind.DELIVERY_NOTES: delivery_notes.print_notes}


def sweep(*, at: datetime) -> int:
    """Ring for every organisation with parts that nobody has in hand; returns how many."""
    is_free = or_(BatchDocument.lease_until.is_(None), BatchDocument.lease_until < at)
    waiting = select(BatchDocument.organisation_id).where(_WAITING, is_free)
    return each_organisation.ring(JOB, waiting, on="fulfilment")


# ---------------------------------------------------------------------------------------------- read and pruned


def list_documents(batch_id: UUID) -> list[BatchDocument]:
    """All parts of a batch's papers, in order."""
    statement = select(BatchDocument).where(BatchDocument.batch_id == batch_id)
    ordered = statement.order_by(BatchDocument.kind, BatchDocument.part)
    return list(db.session.scalars(ordered.execution_options(populate_existing=True)))


def find_file(batch_id: UUID, document_id: UUID) -> tuple[str, bytes]:
    """The name and the content of a part. Raises NotFoundError where it is not made, or not kept any more."""
    row = db.session.execute(
        select(BatchDocument.kind, BatchDocument.part, BatchDocument.file, FulfilmentBatch.number)
        .join(FulfilmentBatch, linked(FulfilmentBatch, BatchDocument.batch_id))
        .where(BatchDocument.id == document_id, BatchDocument.batch_id == batch_id, BatchDocument.file.is_not(None))
    ).one_or_none()
    if row is None or row.file is None:
        raise NotFoundError("Ce document n’est pas fait, ou n’est plus conservé.")
    return f"Lot {row.number} - {row.kind.label} {row.part}.pdf", row.file


def prune(*, at: datetime) -> int:
    """Forget papers and labels that were kept long enough, of all organisations; returns how many files."""
    kept = func.make_interval(0, 0, 0, func.coalesce(ShippingSettings.labels_kept_days, LABELS_KEPT_DAYS))
    of_company = and_(
        ShippingSettings.organisation_id == FulfilmentBatch.organisation_id,
        ShippingSettings.company_id == FulfilmentBatch.company_id,
    )
    documents = (
        select(BatchDocument.id)
        .join(FulfilmentBatch, linked(FulfilmentBatch, BatchDocument.batch_id))
        .outerjoin(ShippingSettings, of_company)
        .where(BatchDocument.asked_at < at - kept)
    )
    labels = (
        select(Parcel.id)
        .join(Shipment, linked(Shipment, Parcel.shipment_id))
        .join(FulfilmentBatch, linked(FulfilmentBatch, Shipment.batch_id))
        .outerjoin(ShippingSettings, of_company)
        .where(Parcel.label_file.is_not(None), Parcel.last_sent_at < at - kept)
    )
    with tenancy.across_organisations(), transaction():
        unbound = {"synchronize_session": False}
        gone = db.session.execute(
            delete(BatchDocument).where(BatchDocument.id.in_(documents)).execution_options(**unbound)
        ).rowcount  # type: ignore[attr-defined]
        emptied = db.session.execute(
            update(Parcel).where(Parcel.id.in_(labels)).values(label_file=None).execution_options(**unbound)
        ).rowcount  # type: ignore[attr-defined]
    return int(gone + emptied)
