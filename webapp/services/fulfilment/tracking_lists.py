"""A list of tracking numbers (CSV: référence;transporteur;numéro), looked at line by line before it is written."""

import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select, tuple_
from sqlalchemy.orm import joinedload, selectinload

from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.fulfilment import FulfilmentBatch, Parcel, ParcelStatus, Shipment
from webapp.models.identity import User
from webapp.services import uploaded_lists
from webapp.services.contact import clean_text
from webapp.services.fulfilment import shipments, tracking
from webapp.services.fulfilment.shipments import ShipmentAction
from webapp.transactions import transaction

MOST_LINES = 1_000
MOST_BYTES = 500_000
CELL_LENGTH = 100
UNREADABLE = "Ce fichier n’est pas une liste de numéros\u202f: trois colonnes attendues, référence;transporteur;numéro."
_CODE = re.compile(r"[Ll]0*([1-9][0-9]{0,8})-0*([1-9][0-9]{0,8})(?:-([1-9][0-9]?))?")
_FORMULA = ("=", "+", "-", "@")


class Entry(NamedTuple):
    """A line as it was written, ``line`` being its number in the file; ``fault`` says why nothing comes of it."""

    line: int
    reference: str
    carrier: str
    number: str
    shipment_id: UUID | None = None
    parcel_number: int = 1
    fault: str | None = None


class _Written(NamedTuple):
    line: int
    reference: str
    carrier: str
    number: str


def decode(content: bytes) -> str:
    """The text of a file. Raises InvalidInputError, field ``file``."""
    if len(content) > MOST_BYTES:
        raise InvalidInputError("Ce fichier dépasse 500\u00a0Ko\u202f: découpez-le.", field="file")
    return uploaded_lists.decode(content)


def preview(text: str) -> list[Entry]:
    """What would be written, line by line, and why not. Raises InvalidInputError, field ``file``, for no such list."""
    written = _read(text)
    codes = {line.line: code for line in written if (code := _code(line.reference))}
    numbers = {line.line: _number(line.number) for line in written}
    counted = Counter(number for number in numbers.values() if number)
    known = _Known(_find({code[:2] for code in codes.values()}), counted, _find_taken(counted))
    return [_look_at(line, codes.get(line.line), numbers[line.line], known) for line in written]


class _Known(NamedTuple):
    """What lines are held against: shipments by their codes, how often each number is in the list, and who has it."""

    shipments: dict[tuple[int, int], list[Shipment]]
    counted: Counter[str]
    taken: dict[str, set[UUID]]


def _look_at(line: _Written, code: tuple[int, int, int] | None, number: str | None, known: _Known) -> Entry:
    there = known.shipments.get(code[:2], []) if code else []
    if len(there) != 1 or code is None:
        sentence = "Cette référence existe dans deux sociétés." if there else "Aucune expédition n’a cette référence."
        return Entry(*line, fault=sentence)
    shipment, parcel_number = there[0], code[2]
    if parcel_number not in {parcel.number for parcel in shipment.parcels}:
        return Entry(*line, fault="Cette expédition n’a pas ce colis.")
    if fault := _number_fault(line, shipment, number, known) or _carrier_fault(line, shipment):
        return Entry(*line, fault=fault)
    return Entry(*line, shipment_id=shipment.id, parcel_number=parcel_number)


def _code(reference: str) -> tuple[int, int, int] | None:
    """Batch, consignment and parcel of « L000012-0347 » or « L000012-0347-2 »."""
    match = _CODE.fullmatch(reference)
    return (int(match[1]), int(match[2]), int(match[3] or 1)) if match else None


def _read(text: str) -> list[_Written]:
    rows = uploaded_lists.read_rows(text, unreadable=UNREADABLE)
    if rows and not any(character.isdigit() for character in rows[0].cells[0]):
        rows = rows[1:]  # the headings
    if not rows or len(rows[0].cells) < 3:
        raise InvalidInputError(UNREADABLE, field="file")
    uploaded_lists.refuse_more(rows, MOST_LINES)
    return [_Written(row.line, *_cells(row.cells)) for row in rows]


def _cells(row: Sequence[str]) -> tuple[str, str, str]:
    cells = [clean_text(cell)[:CELL_LENGTH] for cell in (*row, "", "", "")]
    return cells[0], cells[1], cells[2]


def _number(written: str) -> str | None:
    try:
        return None if written.startswith(_FORMULA) else tracking.checked_number(written)
    except InvalidInputError:
        return None


def _find(codes: set[tuple[int, int]]) -> dict[tuple[int, int], list[Shipment]]:
    """The shipments that stand, by batch number and consignment; companies may have equal ones."""
    statement = (
        select(Shipment)
        .join(FulfilmentBatch, linked(FulfilmentBatch, Shipment.batch_id))
        .where(
            tuple_(FulfilmentBatch.number, Shipment.consignment_no).in_(sorted(codes)),
            Shipment.status != ParcelStatus.CANCELED,
        )
        .options(joinedload(Shipment.batch), joinedload(Shipment.account), selectinload(Shipment.parcels))
    )
    found: dict[tuple[int, int], list[Shipment]] = {}
    for shipment in db.session.scalars(statement) if codes else ():
        found.setdefault((shipment.batch.number, shipment.consignment_no), []).append(shipment)
    return found


def _find_taken(numbers: Counter[str]) -> dict[str, set[UUID]]:
    statement = select(Parcel.tracking_number, Parcel.shipment_id).where(Parcel.tracking_number.in_(list(numbers)))
    taken: dict[str, set[UUID]] = {}
    for number, shipment_id in db.session.execute(statement):
        taken.setdefault(number or "", set()).add(shipment_id)
    return taken


def _number_fault(line: _Written, shipment: Shipment, number: str | None, known: _Known) -> str | None:
    if number is None:
        is_formula = line.number.startswith(_FORMULA)
        return "Une formule n’est pas un numéro." if is_formula else "Ce n’est pas un numéro de suivi."
    if known.counted[number] > 1:
        return "Ce numéro est plusieurs fois dans la liste."
    if known.taken.get(number, set()) - {shipment.id}:
        return "Un autre colis porte déjà ce numéro."
    return None


def _carrier_fault(line: _Written, shipment: Shipment) -> str | None:
    if ShipmentAction.WRITE_NUMBER not in shipments.actions_of(shipment):
        return shipments.REFUSED[ShipmentAction.WRITE_NUMBER]
    carrier = shipment.account.carrier if shipment.account else None
    if carrier and carrier.is_called and line.carrier and line.carrier.casefold() != carrier.label.casefold():
        return f"Cette expédition part avec {carrier.label}."
    return None


def write(text: str, *, by: User, at: datetime) -> int:
    """Write the numbers of the lines without a fault, all together; returns how many. Raises InvalidInputError."""
    with transaction():
        entries = [entry for entry in preview(text) if entry.shipment_id is not None]
        for entry in sorted(entries, key=lambda entry: str(entry.shipment_id)):
            if entry.shipment_id is not None:
                shipments.write_number(
                    entry.shipment_id,
                    entry.number,
                    parcel_number=entry.parcel_number,
                    carrier=entry.carrier,
                    by=by,
                    at=at,
                )
    return len(entries)
