"""Bank files: debits that wait are announced, put into one file per account and date, handed over, and closed.

A person hands the file to the bank and says so: prepared, sent, confirmed. What the bank sends back later is noted
one by one or read from a list (see ``returns``). MsgId and EndToEndIds are kept before the export, the bytes with the
first one, and what they tell of mandates (see ``telling``): downloading again gives the same file. A file that was not
exported yet can be taken apart again.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import ColumnElement, String, Uuid, any_, cast, func, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import undefer
from sqlalchemy.orm.interfaces import ORMOption

from webapp import clock, crypto, queue, tenancy
from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.gateways.providers.pain008 import Creditor, Debit, InvalidFileError, build_file
from webapp.gateways.providers.protocol import PaymentOutcome, PaymentState
from webapp.models.bank_files import BankFile, BankFileStatus
from webapp.models.banking import BankAccount, Mandate
from webapp.models.base import linked, new_id
from webapp.models.charges import AttemptStatus, Charge, ChargeAttempt
from webapp.models.clients import Client, full_name
from webapp.models.organisations import Company
from webapp.models.providers import CreditorFault, Provider, ProviderAccount
from webapp.services.bank_files import notices, telling
from webapp.services.bank_files.banking_days import is_banking_day
from webapp.services.charges import recording
from webapp.transactions import transaction

JOB = "jobs.payments.settle_bank_file"
LARGEST_FILE = 10_000
READ_AT_ONCE = 500
SETTLED_AT_ONCE = 200
PATIENCE = timedelta(minutes=2)
"""How long a confirmed file may be unsettled before the sweeper thinks that its bell was not heard."""
GONE = "Ce fichier n’existe pas ou plus."
TOO_LATE = "La date de prélèvement doit être au moins demain, un jour ouvré des banques."


class BankFileStateError(DomainError):
    """The file's state does not allow this."""


def prepare_file(account_id: UUID, *, collected_on: date, at: datetime) -> BankFile:
    """Put what may be collected on that day into a new file of the account.

    Left out, and still waiting: what was announced for later, and what has no usable mandate. Raises InvalidInputError
    for a day on which banks do not collect, BankFileStateError where nothing is left, or where the bank would refuse
    the file for what it says of the company, NotFoundError.
    """
    if collected_on <= at.astimezone(clock.PARIS).date() or not is_banking_day(collected_on):
        raise InvalidInputError(TOO_LATE, field="collected_on")
    notices.announce_waiting(at=at)  # by itself: what is announced stands, even where no file comes of it
    with transaction():
        _lock_account(account_id)
        _check_creditor(account_id)
        charge_ids = _lock_collectable(account_id, on=collected_on)
        file_id = new_id()
        file = BankFile(
            id=file_id,
            provider_account_id=account_id,
            message_id=f"CRM{file_id.hex.upper()}",
            collected_on=collected_on,
            created_at=at,
        )
        db.session.add(file)
        db.session.flush()
        amounts = _put_into(file_id, charge_ids)
        if not amounts:
            raise BankFileStateError("Aucun prélèvement ne peut être présenté à cette date.", field="collected_on")
        file.number_of_debits, file.total = len(amounts), sum(amounts, Decimal("0.00"))
    return file


def _lock_collectable(account_id: UUID, *, on: date) -> Sequence[UUID]:
    """The charges, in the order in which the charge engine locks them: none is settled meanwhile."""
    return db.session.scalars(
        select(Charge.id)
        .join(
            ChargeAttempt,
            linked(Charge, ChargeAttempt.charge_id),
        )
        .join(
            Mandate,
            linked(Mandate, ChargeAttempt.mandate_id),
        )
        .where(
            ChargeAttempt.waits_for_file(),
            ChargeAttempt.provider_account_id == account_id,
            notices.collection_day() <= on,
            Charge.due_on <= on,
            Mandate.usable_on(on),
        )
        .order_by(Charge.id)
        .limit(LARGEST_FILE)
        .with_for_update(of=Charge)
    ).all()


def _put_into(file_id: UUID, charge_ids: Sequence[UUID]) -> Sequence[Decimal]:
    """The amounts of what still waits, now that it is locked, and is in the file from now on."""
    return db.session.scalars(
        update(ChargeAttempt)
        .where(
            ChargeAttempt.charge_id == any_(literal(list(charge_ids), ARRAY(Uuid()))), ChargeAttempt.waits_for_file()
        )
        .values(bank_file_id=file_id, end_to_end_id=_end_to_end_id())
        .returning(ChargeAttempt.amount)
        .execution_options(synchronize_session=False)
    ).all()


def _end_to_end_id() -> ColumnElement[str]:
    """In a statement: what ``sepa_file.end_to_end_id`` makes of each."""
    return func.concat("CRM", func.upper(func.replace(cast(ChargeAttempt.id, String), "-", "")))


def _lock_account(account_id: UUID) -> ProviderAccount:
    account = db.session.scalar(
        select(ProviderAccount)
        .where(ProviderAccount.id == account_id, ProviderAccount.provider == Provider.SEPA_FILE)
        .with_for_update()
    )
    if account is None:
        raise NotFoundError
    return account


def take_apart(file_id: UUID) -> None:
    """Undo a file whose bytes nobody has: its debits wait again. Raises NotFoundError, BankFileStateError."""
    with transaction():
        file = _lock(file_id)
        if file.exported_at is not None:
            raise BankFileStateError("Ce fichier a été généré\u202f: il a pu être transmis, et ne se défait plus.")
        db.session.execute(
            update(ChargeAttempt)
            .where(ChargeAttempt.bank_file_id == file.id)
            .values(bank_file_id=None)
            .execution_options(synchronize_session=False)
        )
        db.session.delete(file)


def export_file(file_id: UUID, *, at: datetime) -> bytes:
    """The file's bytes: made at the first export, the same ever after. Raises NotFoundError, BankFileStateError."""
    with transaction():
        file = _lock(file_id, undefer(BankFile.content))
        if file.content is not None:
            return _opened(file)
        account, creditor = _lock_creditor(file.provider_account_id)
        told = telling.tell(file.id, creditor, first_as_frst=account.first_as_frst)
        try:
            content = build_file(
                creditor,
                _debits(file.id, told),
                message_id=file.message_id,
                collected_on=file.collected_on,
                at=at.astimezone(clock.PARIS),
            )
        except InvalidFileError as error:
            raise BankFileStateError(
                f"Ce fichier ne respecte pas le format des banques\u202f: {error}"[:500]
            ) from error
        file.content = crypto.keyring().encrypt(content, place=BankFile.place(file.organisation_id, file.id))
        file.exported_at = at
    return content


def read_content(file_id: UUID) -> tuple[BankFile, bytes]:
    """An exported file with its bytes. Raises NotFoundError, BankFileStateError for one that was not exported yet."""
    file = db.session.scalar(select(BankFile).where(BankFile.id == file_id).options(undefer(BankFile.content)))
    if file is None:
        raise NotFoundError(GONE)
    if file.content is None:
        raise BankFileStateError("Ce fichier n’est pas encore généré.")
    return file, _opened(file)


def _opened(file: BankFile) -> bytes:
    return crypto.keyring().decrypt(file.content or b"", place=BankFile.place(file.organisation_id, file.id))


def find_creditor_fault(account_id: UUID) -> CreditorFault | None:
    """Why the bank would refuse a file of the account."""
    account, company = _account_and_company(account_id)
    return account.creditor_fault(company.name)


def _check_creditor(account_id: UUID) -> None:
    if fault := find_creditor_fault(account_id):
        raise BankFileStateError(fault.sentence)


def _lock_creditor(account_id: UUID) -> tuple[ProviderAccount, Creditor]:
    """Who collects, under its name and identifier, which nobody changes meanwhile. Raises BankFileStateError."""
    holder = select(ProviderAccount.company_id).where(ProviderAccount.id == account_id)
    db.session.execute(select(Company.id).where(Company.id.in_(holder)).with_for_update(read=True)).all()
    _check_creditor(account_id)
    account, company = _account_and_company(account_id)
    keys = account.credentials_in_clear()
    return account, Creditor(name=company.name, iban=keys["iban"], bic=keys["bic"], ics=account.ics or "")


def _account_and_company(account_id: UUID) -> tuple[ProviderAccount, Company]:
    found = db.session.execute(
        select(ProviderAccount, Company)
        .join(
            Company,
            linked(Company, ProviderAccount.company_id),
        )
        .where(ProviderAccount.id == account_id)
        .options(undefer(ProviderAccount.credentials))
        .execution_options(populate_existing=True)
    ).one()
    return found[0], found[1]


def _debits(file_id: UUID, told: telling.Told) -> Iterator[Debit]:
    """Some at a time, and little more than is written: thousands of clients never stand in memory."""
    rows = db.session.execute(
        select(
            ChargeAttempt.id,
            ChargeAttempt.sequence,
            ChargeAttempt.end_to_end_id,
            ChargeAttempt.amount,
            Mandate.umr,
            Mandate.signed_on,
            Charge.due_on,
            Charge.number,
            BankAccount,
            Client.last_name,
            Client.first_name,
            Client.address_line1,
            Client.postcode,
            Client.city,
            Client.country,
        )
        .join(Charge, linked(Charge, ChargeAttempt.charge_id))
        .join(
            Mandate,
            linked(Mandate, ChargeAttempt.mandate_id),
        )
        .join(
            BankAccount,
            linked(BankAccount, Mandate.bank_account_id),
        )
        .join(Client, linked(Client, Charge.client_id))
        .where(ChargeAttempt.bank_file_id == file_id)
        .order_by(ChargeAttempt.id)
        .execution_options(yield_per=READ_AT_ONCE)
    )
    for row in rows:
        yield Debit(
            end_to_end_id=row.end_to_end_id or "",
            amount=row.amount,
            name=row.BankAccount.holder or full_name(row.last_name, row.first_name),
            iban=row.BankAccount.reveal_iban(),
            bic=row.BankAccount.reveal_bic(),
            umr=row.umr or "",
            signed_on=row.signed_on or row.due_on,
            text=f"{Charge.LETTER}-{row.number}",
            street=row.address_line1,
            postcode=row.postcode,
            city=row.city,
            country=row.country,
            sequence=row.sequence,
            amendment=told.get(row.id),
        )


def mark_sent(file_id: UUID, *, at: datetime) -> BankFile:
    """The bank has it. Raises BankFileStateError for a file that was not exported or is beyond."""
    with transaction():
        file = _lock(file_id)
        if file.status is not BankFileStatus.PREPARED or file.exported_at is None:
            raise BankFileStateError("Générez d’abord le fichier\u202f: il n’est transmis qu’une fois.")
        file.status, file.sent_at = BankFileStatus.SENT, at
    return file


def mark_confirmed(file_id: UUID, *, at: datetime) -> BankFile:
    """The bank has credited it: every debit that was not returned is paid, by a job. Raises BankFileStateError."""
    with transaction():
        file = _lock(file_id)
        if file.status is not BankFileStatus.SENT:
            raise BankFileStateError("Seul un fichier transmis à la banque peut être confirmé.")
        if at.astimezone(clock.PARIS).date() < file.collected_on:
            raise BankFileStateError("La date de prélèvement n’est pas encore passée.")
        file.status, file.confirmed_at = BankFileStatus.CONFIRMED, at
        queue.enqueue_after_commit(JOB, file.organisation_id, file.id, on="payments")
    return file


def settle(organisation_id: UUID, file_id: UUID, *, at: datetime) -> int:
    """Record what a confirmed file collected, some debits at a time; how many. Safe to repeat, and to break off."""
    settled = 0
    with tenancy.organisation(organisation_id):
        while number := _settle_some(file_id, at=at):
            settled += number
    return settled


def _settle_some(file_id: UUID, *, at: datetime) -> int:
    with transaction():
        file = _lock(file_id)  # a return that is noted at the same time waits, or has been noted
        if file.status is not BankFileStatus.CONFIRMED:
            return 0
        unsettled = db.session.scalars(
            select(ChargeAttempt.id)
            .where(ChargeAttempt.bank_file_id == file.id, ChargeAttempt.status == AttemptStatus.PROCESSING)
            .order_by(ChargeAttempt.id)
            .limit(SETTLED_AT_ONCE)
        ).all()
        settled_at = datetime.combine(file.collected_on, datetime.min.time(), UTC)
        paid = PaymentOutcome(PaymentState.SUCCEEDED, occurred_at=settled_at)
        recording.apply_outcomes(dict.fromkeys(unsettled, paid), at=at)
    return len(unsettled)


def sweep(*, at: datetime) -> int:
    """Ring again for confirmed files whose debits are not all recorded, however long ago; returns how many files.

    It begins with the debits under way, which are few and have an index: files and what they settled are many.
    """
    with tenancy.across_organisations():
        rows = db.session.execute(
            select(BankFile.organisation_id, BankFile.id)
            .join(
                ChargeAttempt,
                linked(BankFile, ChargeAttempt.bank_file_id),
            )
            .where(
                BankFile.status == BankFileStatus.CONFIRMED,
                BankFile.confirmed_at <= at - PATIENCE,
                ChargeAttempt.status == AttemptStatus.PROCESSING,
            )
            .distinct()
        ).all()
    for organisation_id, file_id in rows:
        queue.enqueue_once_after_commit(JOB, organisation_id, file_id, on="payments")
    return len(rows)


def withdraw(attempt_id: UUID, *, at: datetime) -> UUID:
    """Take a debit back that waits for a file; the charge's id.

    Raises NotFoundError, BankFileStateError where it is in a file.
    """
    with transaction():
        attempt = db.session.scalar(
            select(ChargeAttempt).where(ChargeAttempt.id == attempt_id, ChargeAttempt.provider == Provider.SEPA_FILE)
        )
        if attempt is None:
            raise NotFoundError("Ce prélèvement n’existe pas ou plus.")
        _lock_account(attempt.provider_account_id)  # no file is being prepared meanwhile
        db.session.refresh(attempt)
        if attempt.bank_file_id is not None or attempt.status is not AttemptStatus.PROCESSING:
            raise BankFileStateError("Ce prélèvement n’attend plus\u202f: il est dans un fichier, ou il est clos.")
        recording.apply_outcome(attempt.id, PaymentOutcome(PaymentState.CANCELED), at=at)
        return attempt.charge_id


def _lock(file_id: UUID, *options: ORMOption) -> BankFile:
    """Without its content, which is large and which settling, debit by debit, has no use for."""
    file = db.session.scalar(
        select(BankFile)
        .where(BankFile.id == file_id)
        .options(*options)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if file is None:
        raise NotFoundError(GONE)
    return file
