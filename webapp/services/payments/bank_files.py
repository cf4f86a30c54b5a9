"""Bank files: debits that wait are announced, put into one file per account and date, handed over, and closed.

A person hands the file to the bank and says so: prepared, sent, confirmed. What the bank sends back later is noted
one by one or read from a list (see ``returns``). MsgId and EndToEndIds are kept before the export, the bytes with the
first one: downloading again gives the same file.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from dateutil.easter import easter
from sqlalchemy import select
from sqlalchemy.orm import undefer

from webapp import clock, crypto, queue, tenancy
from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.gateways.payments.protocol import PaymentOutcome, PaymentState
from webapp.gateways.payments.sepa_file import Creditor, Debit, InvalidFileError, build_file, end_to_end_id
from webapp.models.banking import BankAccount, Mandate
from webapp.models.base import new_id
from webapp.models.charges import AttemptStatus, Charge, ChargeAttempt
from webapp.models.clients import Client
from webapp.models.organisations import Company
from webapp.models.outbox import OutboxEvent, OutboxKind
from webapp.models.payments import BankFile, BankFileStatus, Provider, ProviderAccount
from webapp.services.charges import recording
from webapp.services.payments.notices import announce_attempt
from webapp.transactions import transaction

JOB = "jobs.payments.settle_bank_file"
LARGEST_FILE = 10_000
PATIENCE = timedelta(minutes=2)
"""How long a confirmed file may be unsettled before the sweeper thinks that its bell was not heard."""
SWEPT_FOR = timedelta(days=7)
TOO_LATE = "La date de prélèvement doit être au moins demain, un jour ouvré des banques."


class BankFileStateError(DomainError):
    """The file's state does not allow this."""


class Waiting(NamedTuple):
    """A debit that is in no file yet. ``earliest`` is the first day on which it may be collected."""

    attempt: ChargeAttempt
    charge: Charge
    mandate: Mandate | None
    earliest: date


def list_waiting(account_id: UUID, *, at: datetime) -> list[Waiting]:
    """The debits of an account that wait for a file, the earliest due first. One that was not announced is, now."""
    with transaction():
        waiting = _waiting(account_id, at=at)
    return sorted(waiting, key=lambda each: (each.charge.due_on, each.attempt.id))


def _waiting(account_id: UUID, *, at: datetime) -> list[Waiting]:
    """With their charges locked, in the order in which the charge engine locks them: none is settled meanwhile."""
    found = db.session.execute(
        select(ChargeAttempt, Charge, Mandate)
        .join(
            Charge, (Charge.organisation_id == ChargeAttempt.organisation_id) & (Charge.id == ChargeAttempt.charge_id)
        )
        .outerjoin(
            Mandate,
            (Mandate.organisation_id == ChargeAttempt.organisation_id) & (Mandate.id == ChargeAttempt.mandate_id),
        )
        .where(
            ChargeAttempt.provider_account_id == account_id,
            ChargeAttempt.provider == Provider.SEPA_FILE,
            ChargeAttempt.status == AttemptStatus.PROCESSING,
            ChargeAttempt.bank_file_id.is_(None),
        )
        .order_by(Charge.id)
        .limit(LARGEST_FILE)
        .with_for_update(of=Charge)
        .execution_options(populate_existing=True)
    ).all()
    announced = _announced([charge for _, charge, _ in found])
    waiting = []
    for attempt, charge, mandate in found:
        earliest = announced.get((charge.subscription_id, charge.cycle_no)) or announce_attempt(charge, attempt, at=at)
        waiting.append(Waiting(attempt, charge, mandate, max(earliest, charge.due_on)))
    return waiting


def _announced(charges: Sequence[Charge]) -> dict[tuple[UUID, int], date]:
    """The day from which each cycle may be collected, as it was announced."""
    events = db.session.scalars(
        select(OutboxEvent).where(
            OutboxEvent.kind == OutboxKind.SEPA_PRENOTIFICATION,
            OutboxEvent.subject_id.in_({charge.subscription_id for charge in charges}),
        )
    )
    return {
        (event.subject_id, event.payload["cycle_no"]): date.fromisoformat(event.payload["collect_on"])
        for event in events
    }


def prepare_file(account_id: UUID, *, collected_on: date, at: datetime) -> BankFile:
    """Put what may be collected on that day into a new file of the account.

    Left out, and still waiting: what was announced for later, and what has no usable mandate. Raises InvalidInputError
    for a day on which banks do not collect, BankFileStateError where nothing is left, NotFoundError.
    """
    if collected_on <= at.astimezone(clock.PARIS).date() or not is_banking_day(collected_on):
        raise InvalidInputError(TOO_LATE, field="collected_on")
    with transaction():
        _lock_account(account_id)
        debits = [
            each
            for each in _waiting(account_id, at=at)
            if each.earliest <= collected_on and each.mandate and each.mandate.is_usable(collected_on)
        ]
        if not debits:
            raise BankFileStateError("Aucun prélèvement ne peut être présenté à cette date.")
        file_id = new_id()
        file = BankFile(
            id=file_id,
            provider_account_id=account_id,
            message_id=f"CRM{file_id.hex.upper()}",
            collected_on=collected_on,
            number_of_debits=len(debits),
            total=sum((each.attempt.amount for each in debits), Decimal("0.00")),
            created_at=at,
        )
        db.session.add(file)
        db.session.flush()
        for each in debits:
            each.attempt.bank_file_id = file.id
            each.attempt.end_to_end_id = end_to_end_id(each.attempt.id)
    return file


def is_banking_day(day: date) -> bool:
    """Whether the banks of TARGET settle on that day."""
    sunday = easter(day.year)
    closed = {(1, 1), (5, 1), (12, 25), (12, 26)}
    movable = {sunday - timedelta(days=2), sunday + timedelta(days=1)}
    return day.weekday() < 5 and (day.month, day.day) not in closed and day not in movable


def _lock_account(account_id: UUID) -> ProviderAccount:
    account = db.session.scalar(
        select(ProviderAccount)
        .where(ProviderAccount.id == account_id, ProviderAccount.provider == Provider.SEPA_FILE)
        .with_for_update()
    )
    if account is None:
        raise NotFoundError
    return account


def export_file(file_id: UUID, *, at: datetime) -> bytes:
    """The file's bytes: made at the first export, the same ever after. Raises NotFoundError, BankFileStateError."""
    with transaction():
        file = _lock(file_id)
        place = BankFile.place(file.organisation_id, file.id)
        if file.content is not None:
            return crypto.keyring().decrypt(file.content, place=place)
        try:
            content = build_file(
                _creditor(file.provider_account_id),
                _debits(file.id),
                message_id=file.message_id,
                collected_on=file.collected_on,
                at=at.astimezone(clock.PARIS),
            )
        except InvalidFileError as error:
            raise BankFileStateError(
                f"Ce fichier ne respecte pas le format des banques\u202f: {error}"[:500]
            ) from error
        file.content = crypto.keyring().encrypt(content, place=place)
        file.exported_at = at
    return content


def _creditor(account_id: UUID) -> Creditor:
    account, company = db.session.execute(
        select(ProviderAccount, Company)
        .join(
            Company,
            (Company.organisation_id == ProviderAccount.organisation_id) & (Company.id == ProviderAccount.company_id),
        )
        .where(ProviderAccount.id == account_id)
        .options(undefer(ProviderAccount.credentials))
    ).one()
    keys = account.credentials_in_clear()
    return Creditor(name=company.name, iban=keys["iban"], bic=keys["bic"], ics=account.ics or "")


def _debits(file_id: UUID) -> list[Debit]:
    found = db.session.execute(
        select(ChargeAttempt, Charge, Mandate, BankAccount, Client)
        .join(
            Charge, (Charge.organisation_id == ChargeAttempt.organisation_id) & (Charge.id == ChargeAttempt.charge_id)
        )
        .join(
            Mandate,
            (Mandate.organisation_id == ChargeAttempt.organisation_id) & (Mandate.id == ChargeAttempt.mandate_id),
        )
        .join(
            BankAccount,
            (BankAccount.organisation_id == Mandate.organisation_id) & (BankAccount.id == Mandate.bank_account_id),
        )
        .join(Client, (Client.organisation_id == Charge.organisation_id) & (Client.id == Charge.client_id))
        .where(ChargeAttempt.bank_file_id == file_id)
        .order_by(ChargeAttempt.id)
    )
    return [
        Debit(
            end_to_end_id=attempt.end_to_end_id or "",
            amount=attempt.amount,
            name=account.holder or client.full_name,
            iban=account.reveal_iban(),
            bic=account.reveal_bic(),
            umr=mandate.umr or "",
            signed_on=mandate.signed_on or charge.due_on,
            text=charge.reference,
            street=client.address_line1,
            postcode=client.postcode,
            city=client.city,
            country=client.country,
        )
        for attempt, charge, mandate, account, client in found
    ]


def mark_sent(file_id: UUID, *, at: datetime) -> BankFile:
    """The bank has it. Raises BankFileStateError for a file that was not exported or is beyond."""
    with transaction():
        file = _lock(file_id)
        if file.status is not BankFileStatus.PREPARED or file.exported_at is None:
            raise BankFileStateError("Téléchargez d’abord le fichier\u202f: il n’est transmis qu’une fois.")
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
    """Record what a confirmed file collected, debit by debit; how many. Safe to repeat, and to break off."""
    settled = 0
    with tenancy.organisation(organisation_id):
        with transaction():
            waiting = db.session.scalars(
                select(ChargeAttempt.id)
                .where(ChargeAttempt.bank_file_id == file_id, ChargeAttempt.status == AttemptStatus.PROCESSING)
                .order_by(ChargeAttempt.id)
            ).all()
        for attempt_id in waiting:
            settled += _settle_one(file_id, attempt_id, at=at)
    return settled


def _settle_one(file_id: UUID, attempt_id: UUID, *, at: datetime) -> bool:
    with transaction():
        file = _lock(file_id)  # a return that is noted at the same time waits, or has been noted
        status = db.session.scalar(select(ChargeAttempt.status).where(ChargeAttempt.id == attempt_id))
        if file.status is not BankFileStatus.CONFIRMED or status is not AttemptStatus.PROCESSING:
            return False
        settled_at = datetime.combine(file.collected_on, datetime.min.time(), UTC)
        recording.apply_outcome(attempt_id, PaymentOutcome(PaymentState.SUCCEEDED, occurred_at=settled_at), at=at)
    return True


def sweep(*, at: datetime) -> int:
    """Ring again for confirmed files whose debits are not all recorded; returns how many files."""
    unsettled = (
        select(ChargeAttempt.id)
        .where(
            ChargeAttempt.organisation_id == BankFile.organisation_id,
            ChargeAttempt.bank_file_id == BankFile.id,
            ChargeAttempt.status == AttemptStatus.PROCESSING,
        )
        .exists()
    )
    with tenancy.across_organisations():
        found = db.session.execute(
            select(BankFile.organisation_id, BankFile.id).where(
                BankFile.status == BankFileStatus.CONFIRMED,
                BankFile.confirmed_at.between(at - SWEPT_FOR, at - PATIENCE),
                unsettled,
            )
        ).all()
    for organisation_id, file_id in found:
        queue.enqueue_once_after_commit(JOB, organisation_id, file_id, on="payments")
    return len(found)


def withdraw(attempt_id: UUID, *, at: datetime) -> None:
    """Take a debit back that waits for a file. Raises NotFoundError, BankFileStateError where it is in one."""
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


def _lock(file_id: UUID) -> BankFile:
    file = db.session.scalar(
        select(BankFile)
        .where(BankFile.id == file_id)
        .options(undefer(BankFile.content))
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if file is None:
        raise NotFoundError("Ce fichier n’existe pas ou plus.")
    return file


def list_files(*, limit: int = 50) -> list[BankFile]:
    """The files of the organisation, the latest first."""
    return list(db.session.scalars(select(BankFile).order_by(BankFile.id.desc()).limit(limit)))
