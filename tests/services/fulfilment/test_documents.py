"""The papers of a batch: in the order of identical boxes, in parts of a hundred, kept as long as labels are."""

import io
from datetime import timedelta

import pytest
from pypdf import PdfReader

from demo.carrier import Carrier as Pretend
from tests import factories
from tests.conftest import Cast
from tests.services.fulfilment.carrying import pretend as pretend  # noqa: PLC0414  the fixture
from tests.services.fulfilment.packing import add_line, dispatch, make_batch, open_account, pack, parcels
from webapp import clock
from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.models.carriers import ShippingSettings
from webapp.models.fulfilment import BatchStatus, FulfilmentBatch
from webapp.models.shipping import BatchDocument, DocumentKind
from webapp.services.fulfilment import batches, delivery_notes, documents, labelling, totals
from webapp.services.fulfilment.dispatching import NotReadyError


def make(batch: FulfilmentBatch, kind: DocumentKind, cast: Cast) -> list[BatchDocument]:
    documents.ask(batch.id, kind, by=cast.manager, at=clock.now())
    while documents.carry_out(batch.organisation_id):
        pass
    return documents.list_documents(batch.id)


def pages(batch: FulfilmentBatch, part: BatchDocument) -> list[str]:
    _, content = documents.find_file(batch.id, part.id)
    return [page.extract_text() for page in PdfReader(io.BytesIO(content)).pages]


def labelled(cast: Cast, boxes: int) -> FulfilmentBatch:
    account, batch = open_account(), pack(boxes)
    dispatch(batch, cast.manager)
    while labelling.carry_out(batch.organisation_id, account.id):
        pass
    return batches.find_batch(batch.id)


def test_delivery_notes_hold_no_price_and_the_message_of_a_gift(cast: Cast) -> None:
    batch = make_batch(12)
    line = add_line(batch, 1, label="Café <moulu>", gift_message="Bon anniversaire\u202f!")
    add_line(batch, 1, client_id=line.client_id, label="Thé")
    db.session.commit()
    (part,) = make(batch, DocumentKind.DELIVERY_NOTES, cast)
    (page,) = pages(batch, part)
    for words in ("L000012-0001", "Élodie DUPONT", "12 bis rue des Lilas", "Café <moulu>", "Thé", "Bon anniversaire"):
        assert words in page, words
    assert "€" not in page
    assert (part.pages, part.error) == (1, None)


def test_identical_boxes_follow_each_other_the_most_frequent_first(cast: Cast) -> None:
    batch = make_batch(3)
    for number, box in enumerate("abbacb", 1):
        add_line(batch, number, box_key=box * 32)
    db.session.commit()
    (part,) = make(batch, DocumentKind.DELIVERY_NOTES, cast)
    assert part.consignments == [2, 3, 6, 1, 4, 5]
    assert [page.split("Bon de livraison ")[1][:12] for page in pages(batch, part)] == [
        f"L000003-{number:04}" for number in part.consignments
    ]


def test_labels_are_merged_in_parts(cast: Cast, pretend: Pretend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "PART", 3)
    batch = labelled(cast, 7)
    parts = make(batch, DocumentKind.LABELS, cast)
    assert [(part.part, part.pages) for part in parts] == [(1, 3), (2, 3), (3, 1)]
    printed = [page for part in parts for page in pages(batch, part)]
    assert len(printed) == 7
    for number, page in enumerate(printed, 1):
        assert f"L000001-{number:04}" in page


def test_what_has_no_label_is_told(cast: Cast) -> None:
    batch = pack(2)
    dispatch(batch, cast.manager)
    (part,) = make(batch, DocumentKind.LABELS, cast)
    assert (part.error, part.made_at) == (documents.NO_LABELS, None)
    with pytest.raises(NotFoundError):
        documents.find_file(batch.id, part.id)


def test_a_label_that_no_reader_opens_is_named(cast: Cast, pretend: Pretend) -> None:
    batch = labelled(cast, 1)
    parcels()[0].label_file = b"%PDF-1.4 cut off %%EOF"
    db.session.commit()
    (part,) = make(batch, DocumentKind.LABELS, cast)
    assert part.error == "L’étiquette de L000001-0001 ne peut pas être lue\u202f: refaites-la."


def test_only_what_can_be_printed_is_asked_for(cast: Cast) -> None:
    opened = make_batch(status=BatchStatus.OPEN)
    with pytest.raises(batches.BatchStateError, match="encore ouvert"):
        documents.ask(opened.id, DocumentKind.DELIVERY_NOTES, by=cast.manager, at=clock.now())
    locked = pack(1, number=2)
    with pytest.raises(batches.BatchStateError, match="une fois le lot expédié"):
        documents.ask(locked.id, DocumentKind.LABELS, by=cast.manager, at=clock.now())
    empty = make_batch(3)
    db.session.commit()
    with pytest.raises(NotReadyError):
        documents.ask(empty.id, DocumentKind.DELIVERY_NOTES, by=cast.manager, at=clock.now())


def test_asked_for_anew_they_are_made_anew_and_a_dead_worker_writes_nothing(cast: Cast) -> None:
    batch = pack(1)
    documents.ask(batch.id, DocumentKind.DELIVERY_NOTES, by=cast.manager, at=clock.now())
    dead = documents._claim(at=clock.now())
    assert dead is not None
    assert documents._claim(at=clock.now()) is None
    assert documents.sweep(at=clock.now()) == 0
    clock.start_at(clock.now() + documents.LEASE + timedelta(minutes=1))
    assert documents.sweep(at=clock.now()) == 1
    assert documents.carry_out(batch.organisation_id) == 1
    documents._record(dead, b"late", 9, None, at=clock.now())
    (part,) = documents.list_documents(batch.id)
    before = part.id
    assert part.pages == 1
    documents.ask(batch.id, DocumentKind.DELIVERY_NOTES, by=cast.manager, at=clock.now())
    (again,) = documents.list_documents(batch.id)
    assert (again.id == before, again.made_at) == (False, None)


def test_papers_and_labels_are_kept_as_long_as_the_company_wishes(cast: Cast, pretend: Pretend) -> None:
    db.session.add(ShippingSettings(company_id=factories.default_company().id, labels_kept_days=10))
    batch = labelled(cast, 2)
    make(batch, DocumentKind.LABELS, cast)
    assert documents.prune(at=clock.now() + timedelta(days=9)) == 0
    assert documents.prune(at=clock.now() + timedelta(days=11)) == 3
    assert documents.list_documents(batch.id) == []
    assert [(each.label_file, each.tracking_number is not None) for each in parcels()] == [(None, True)] * 2


def test_a_picking_list_says_what_and_how_many(cast: Cast) -> None:
    batch = pack(3)
    db.session.execute(db.text("DELETE FROM batch_totals"))
    totals.write(batch.id)
    (total,) = delivery_notes.list_picked(batch.id)
    assert (total.content[0]["label"], total.count, total.quantity) == ("Café", 3, 3)
    text = PdfReader(io.BytesIO(delivery_notes.print_picking_list(batch.id))).pages[0].extract_text()
    assert "Café" in text
    assert "liste de préparation du lot n° 1" in text


def test_a_barcode_is_made_of_bars(cast: Cast) -> None:
    drawn = delivery_notes.barcode("L000012-0347")
    assert drawn.startswith('<svg class="barcode" viewBox="0 0 ')
    assert drawn != delivery_notes.barcode("L000012-0348")
