"""Rejects and returns of SEPA debits: noted by hand, or read from the bank's list as CSV."""

import csv
import io
import re
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, date, datetime, time
from itertools import islice
from typing import NamedTuple, Self
from uuid import UUID

from sqlalchemy import select

from webapp import clock
from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.gateways.providers.protocol import PaymentOutcome, PaymentState
from webapp.gateways.providers.refusals import SEPA_CODES, class_of_sepa_code
from webapp.gateways.providers.sepa_file import is_end_to_end_id
from webapp.models.bank_files import BankFile, BankFileStatus
from webapp.models.charges import AttemptStatus, ChargeAttempt
from webapp.services.charges import recording
from webapp.services.contact import clean_text
from webapp.transactions import transaction

LARGEST_LIST = 2_000
"""Lines: they are noted while somebody waits."""
NOTED_AT_ONCE = 200
UNKNOWN_REFERENCE = "Référence inconnue."
REFERENCE_SHOWN = 40
ALREADY_RETURNED = "Ce rejet est déjà noté."
COLUMNS = ("endtoendid", "code", "date")
_UNREADABLE = "Ce fichier n’est pas une liste de rejets\u202f: colonnes attendues EndToEndId, Code, Date."
_DAYS = (("%Y-%m-%d", re.compile(r"\d{4}-\d{2}-\d{2}")), ("%d/%m/%Y", re.compile(r"\d{2}/\d{2}/\d{4}")))


class AlreadyReturnedError(DomainError):
    """This debit is noted as returned."""


class ReturnedLine(NamedTuple):
    """What became of one line of a list. ``fault`` says why it was not noted, in French.

    ``end_to_end_id`` is what the list says, as much as fits, on one line and without what does not show.
    """

    number: int
    end_to_end_id: str
    fault: str | None


class _Return(NamedTuple):
    """What the bank says of a debit: why it came back, and when."""

    end_to_end_id: str
    code: str
    returned_on: date

    @classmethod
    def read(cls, end_to_end_id: str, code: str, returned_on: date, *, at: datetime) -> Self:
        """Raises NotFoundError for no reference of ours, InvalidInputError for an unknown code or a day to come."""
        reference, code = clean_text(end_to_end_id), clean_text(code).upper()
        if not is_end_to_end_id(reference):
            raise NotFoundError(UNKNOWN_REFERENCE, field="end_to_end_id")
        if code not in SEPA_CODES:
            refusal = f"Le code {code[:10] or '(vide)'} n’est pas un code de rejet SEPA connu."
            raise InvalidInputError(refusal, field="code")
        if returned_on > at.astimezone(clock.PARIS).date():
            raise InvalidInputError("La date du rejet est dans le futur.", field="returned_on")
        return cls(reference, code, returned_on)


Debits = dict[str, tuple[ChargeAttempt, BankFile]]


def note_return(end_to_end_id: str, *, code: str, returned_on: date, at: datetime) -> UUID:
    """Note that a debit came back; the charge's id. Before its file was confirmed it is refused, afterwards reversed.

    Raises InvalidInputError for an unknown code or a day to come, NotFoundError, AlreadyReturnedError.
    """
    reported = _Return.read(end_to_end_id, code, returned_on, at=at)
    with transaction():
        attempt, outcome = _outcome(reported, _lock_debits([reported.end_to_end_id]))
        recording.apply_outcome(attempt.id, outcome, at=at)
        return attempt.charge_id


def _lock_debits(references: Collection[str]) -> Debits:
    """Those that are in a file, their files locked: none is confirmed, settled or taken apart meanwhile."""
    is_one = ChargeAttempt.end_to_end_id.in_(references)
    holds_one = select(ChargeAttempt.bank_file_id).where(is_one)
    locked = select(BankFile).where(BankFile.id.in_(holds_one)).order_by(BankFile.id).with_for_update()
    files = {file.id: file for file in db.session.scalars(locked.execution_options(populate_existing=True))}
    attempts = db.session.scalars(select(ChargeAttempt).where(is_one).execution_options(populate_existing=True))
    return {
        attempt.end_to_end_id or "": (attempt, files[attempt.bank_file_id])
        for attempt in attempts
        if attempt.bank_file_id in files
    }


def _outcome(reported: _Return, debits: Debits) -> tuple[ChargeAttempt, PaymentOutcome]:
    if reported.end_to_end_id not in debits:
        raise NotFoundError(UNKNOWN_REFERENCE, field="end_to_end_id")
    attempt, file = debits[reported.end_to_end_id]
    if attempt.status in (AttemptStatus.REFUSED, AttemptStatus.REVERSED):
        raise AlreadyReturnedError(ALREADY_RETURNED, field="end_to_end_id")
    words = f"{reported.code} – {SEPA_CODES[reported.code]}"
    instant = datetime.combine(reported.returned_on, time.min, UTC)
    if file.status is BankFileStatus.CONFIRMED:
        return attempt, PaymentOutcome(
            PaymentState.REVERSED,
            code=reported.code,
            occurred_at=datetime.combine(file.collected_on, time.min, UTC),
            reversed_at=instant,
            reversal_reason=words,
        )
    return attempt, PaymentOutcome(
        PaymentState.REFUSED,
        provider_payment_id=attempt.end_to_end_id,
        refusal_class=class_of_sepa_code(reported.code),
        code=reported.code,
        message=words,
        occurred_at=instant,
    )


def import_returns(content: bytes, *, at: datetime) -> list[ReturnedLine]:
    """Note every line of a list (CSV with a heading; comma or semicolon). One bad line costs that line alone.

    Reading the same list twice changes nothing the second time. Raises InvalidInputError for what is no such list.
    """
    lines: list[ReturnedLine] = []
    rows = enumerate(_rows(content), start=2)
    while some := list(islice(rows, NOTED_AT_ONCE)):
        lines += _note_some(some, at=at)
    return lines


def _note_some(rows: Sequence[tuple[int, dict[str, str]]], *, at: datetime) -> Iterator[ReturnedLine]:
    """Lines that make sense are noted in one transaction."""
    reported: dict[int, _Return] = {}
    faults: dict[int, str] = {}
    for number, row in rows:
        try:
            day = _day(row.get("date") or "")
            reported[number] = _Return.read(row.get("endtoendid") or "", row.get("code") or "", day, at=at)
        except DomainError as error:
            faults[number] = error.message
    with transaction():
        debits = _lock_debits({line.end_to_end_id for line in reported.values()}) if reported else {}
        outcomes: dict[UUID, PaymentOutcome] = {}
        for number, line in reported.items():
            try:
                attempt, outcome = _outcome(line, debits)
            except DomainError as error:
                faults[number] = error.message
                continue
            if outcomes.setdefault(attempt.id, outcome) is not outcome:
                faults[number] = ALREADY_RETURNED
        recording.apply_outcomes(outcomes, at=at)
    for number, row in rows:
        yield ReturnedLine(number, _shown(row.get("endtoendid") or ""), faults.get(number))


def _shown(reference: str) -> str:
    text = clean_text(reference)
    return text if len(text) <= REFERENCE_SHOWN else f"{text[: REFERENCE_SHOWN - 1]}…"


def _rows(content: bytes) -> list[dict[str, str]]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", "replace")
    heading = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text), delimiter=";" if heading.count(";") > heading.count(",") else ",")
    try:
        names = {name: re.sub(r"[^a-z]", "", name.lower()) for name in reader.fieldnames or ()}
        if set(COLUMNS) - set(names.values()):
            raise InvalidInputError(_UNREADABLE, field="file")
        rows = [{names[name]: value or "" for name, value in row.items() if name in names} for row in reader]
    except csv.Error as error:
        raise InvalidInputError(_UNREADABLE, field="file") from error
    if len(rows) > LARGEST_LIST:
        raise InvalidInputError(f"Cette liste dépasse {LARGEST_LIST} lignes\u202f: découpez-la.", field="file")
    return rows


def _day(text: str) -> date:
    for shape, pattern in _DAYS:
        if pattern.fullmatch(text.strip()):
            try:
                return datetime.strptime(text.strip(), shape).replace(tzinfo=UTC).date()
            except ValueError:
                break
    raise InvalidInputError("Cette date n’est pas lisible.", field="returned_on")
