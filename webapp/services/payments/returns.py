"""Rejects and returns of SEPA debits: noted by hand, or read from the bank's list as CSV."""

import csv
import io
import re
from datetime import UTC, date, datetime, time
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select

from webapp import clock
from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.gateways.payments.protocol import PaymentOutcome, PaymentState
from webapp.gateways.payments.refusals import SEPA_CODES, class_of_sepa_code
from webapp.models.charges import AttemptStatus, ChargeAttempt
from webapp.models.payments import BankFile, BankFileStatus
from webapp.services.charges import recording
from webapp.services.contact import clean_text
from webapp.transactions import transaction

LARGEST_LIST = 2_000
"""Lines: they are noted one after the other while somebody waits."""
COLUMNS = ("endtoendid", "code", "date")
_UNREADABLE = "Ce fichier n’est pas une liste de rejets\u202f: colonnes attendues EndToEndId, Code, Date."
_DAYS = (("%Y-%m-%d", re.compile(r"\d{4}-\d{2}-\d{2}")), ("%d/%m/%Y", re.compile(r"\d{2}/\d{2}/\d{4}")))


class AlreadyReturnedError(DomainError):
    """This debit is noted as returned."""


class ReturnedLine(NamedTuple):
    """What became of one line of a list. ``fault`` says why it was not noted, in French."""

    number: int
    end_to_end_id: str
    fault: str | None


def note_return(end_to_end_id: str, *, code: str, returned_on: date, at: datetime) -> UUID:
    """Note that a debit came back; the charge's id. Before its file was confirmed it is refused, afterwards reversed.

    Raises InvalidInputError for an unknown code or a day to come, NotFoundError, AlreadyReturnedError.
    """
    code = code.strip().upper()
    if code not in SEPA_CODES:
        raise InvalidInputError(f"Le code {code[:10] or '(vide)'} n’est pas un code de rejet SEPA connu.", field="code")
    if returned_on > at.astimezone(clock.PARIS).date():
        raise InvalidInputError("La date du rejet est dans le futur.", field="returned_on")
    with transaction():
        attempt, file = _find(clean_text(end_to_end_id))
        if attempt.status in (AttemptStatus.REFUSED, AttemptStatus.REVERSED):
            raise AlreadyReturnedError("Ce rejet est déjà noté.", field="end_to_end_id")
        recording.apply_outcome(attempt.id, _outcome(attempt, file, code, returned_on), at=at)
        return attempt.charge_id


def _find(end_to_end_id: str) -> tuple[ChargeAttempt, BankFile]:
    """The debit and its file, the file locked: it is neither confirmed nor taken apart meanwhile."""
    is_it = ChargeAttempt.end_to_end_id == end_to_end_id
    file = db.session.scalar(
        select(BankFile)
        .join(
            ChargeAttempt,
            (ChargeAttempt.organisation_id == BankFile.organisation_id) & (ChargeAttempt.bank_file_id == BankFile.id),
        )
        .where(is_it)
        .with_for_update(of=BankFile)
        .execution_options(populate_existing=True)
    )
    if file is None:
        raise NotFoundError("Aucun prélèvement ne porte cette référence.", field="end_to_end_id")
    return db.session.scalars(select(ChargeAttempt).where(is_it).execution_options(populate_existing=True)).one(), file


def _outcome(attempt: ChargeAttempt, file: BankFile, code: str, returned_on: date) -> PaymentOutcome:
    words = f"{code} – {SEPA_CODES[code]}"
    instant = datetime.combine(returned_on, time.min, UTC)
    if file.status is BankFileStatus.CONFIRMED:
        return PaymentOutcome(
            PaymentState.REVERSED,
            code=code,
            occurred_at=datetime.combine(file.collected_on, time.min, UTC),
            reversed_at=instant,
            reversal_reason=words,
        )
    return PaymentOutcome(
        PaymentState.REFUSED,
        provider_payment_id=attempt.end_to_end_id,
        refusal_class=class_of_sepa_code(code),
        code=code,
        message=words,
        occurred_at=instant,
    )


def import_returns(content: bytes, *, at: datetime) -> list[ReturnedLine]:
    """Note every line of a list (CSV with a heading; comma or semicolon). One bad line costs that line alone.

    Reading the same list twice changes nothing the second time. Raises InvalidInputError for what is no such list.
    """
    lines = []
    for number, row in enumerate(_rows(content), start=2):
        reference = clean_text(row.get("endtoendid") or "")[:40]
        try:
            day = _day(row.get("date") or "")
            note_return(reference, code=row.get("code") or "", returned_on=day, at=at)
        except DomainError as error:
            lines.append(ReturnedLine(number, reference, error.message))
        else:
            lines.append(ReturnedLine(number, reference, None))
    return lines


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
