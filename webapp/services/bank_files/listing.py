"""Lists of what goes through banks: debits that wait for a file, files, and their debits."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple, Self
from uuid import UUID

from sqlalchemy import Row, Select, func, select
from sqlalchemy.orm import joinedload, undefer

from webapp import clock
from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.models.bank_files import BankFile
from webapp.models.banking import BankAccount, Mandate
from webapp.models.base import linked
from webapp.models.charges import AttemptStatus, Charge, ChargeAttempt
from webapp.models.clients import Client
from webapp.models.messages import Channel, Message, MessageStatus
from webapp.models.organisations import Company
from webapp.models.providers import CreditorFault, Provider, ProviderAccount
from webapp.services import keyset
from webapp.services.bank_files import notices
from webapp.services.bank_files.banking_days import first_banking_day
from webapp.services.bank_files.notices import collection_day
from webapp.services.keyset import Position

PAGE_SIZE = 50
BY_DUE_DATE = "due_on"


class Waiting(NamedTuple):
    """A debit that is in no file yet. ``earliest`` is the first day on which it may be collected, None while the client
    was not told; ``notice`` is the latest notice of it, if it is a message.
    """

    attempt: ChargeAttempt
    charge: Charge
    mandate: Mandate | None
    earliest: date | None
    notice: Message | None

    @classmethod
    def read(
        cls,
        attempt: ChargeAttempt,
        charge: Charge,
        mandate: Mandate | None,
        told_for: date | None,
        notice: Message | None,
    ) -> Self:
        """A row of ``select_waiting``, with its notice."""
        return cls(attempt, charge, mandate, max(told_for, charge.due_on) if told_for else None, notice)

    def problem(self, today: date) -> str | None:
        """What keeps it out of every file, in a sentence: somebody must see to it."""
        if self.mandate is None:
            return "Aucun mandat SEPA\u202f: retirez-le, puis choisissez un autre moyen de paiement."
        fault = self.mandate.fault(self.earliest or today)
        return fault.sentence if fault else None

    @property
    def untold(self) -> str | None:
        """Why the client has not been told yet, in a sentence; None once they have."""
        if self.earliest is not None:
            return None
        return f"Le client n’a pas encore été averti\u202f: {_why_untold(self.notice)}."

    @property
    def is_printable(self) -> bool:
        """Whether its notice did not reach the client, and may go by post instead."""
        return self.earliest is None and self.notice is not None and self.notice.status in notices.PRINTABLE


_WHY = {
    MessageStatus.BOUNCED: "non remis",
    MessageStatus.FAILED: "refusé",
    MessageStatus.UNKNOWN: "de sort inconnu",
    MessageStatus.CANCELED: "annulé",
}


def _why_untold(notice: Message | None) -> str:
    if notice is None:
        return "son avis est écrit dans l’heure"
    if notice.status is MessageStatus.HELD and notice.held_reason is not None:
        reason = notice.held_reason.label.rstrip(".")
        return f"avis {notice.code} retenu, {reason[0].lower()}{reason[1:]}"
    if notice.status in _WHY:
        return f"avis {notice.code} {_WHY[notice.status]}"
    if notice.channel is Channel.LETTER:
        return f"avis {notice.code} à imprimer et à poster"
    return f"avis {notice.code} pas encore parti"


def _today(at: datetime) -> date:
    return at.astimezone(clock.PARIS).date()


def select_waiting() -> Select[ChargeAttempt, Charge, Mandate | None, date | None]:
    """The debits that wait for a file, with what ``Waiting.read`` wants."""
    return (
        select(ChargeAttempt, Charge, Mandate, collection_day())
        .join(Charge, linked(Charge, ChargeAttempt.charge_id))
        .outerjoin(
            Mandate,
            linked(Mandate, ChargeAttempt.mandate_id),
        )
        .where(ChargeAttempt.waits_for_file())
    )


def _with_notices(rows: Sequence[Row[ChargeAttempt, Charge, Mandate | None, date | None]]) -> list[Waiting]:
    found = notices.find_notices([charge.id for _, charge, _, _ in rows])
    return [Waiting.read(*row, found.get(row[1].id)) for row in rows]


def find_waiting(charge_id: UUID) -> Waiting | None:
    """The debit of a charge that waits for a file; None where none does."""
    rows = db.session.execute(select_waiting().where(Charge.id == charge_id)).all()
    return next(iter(_with_notices(rows)), None) if rows else None


def list_waiting(account_id: UUID, *, cursor: str | None = None, size: int = PAGE_SIZE) -> keyset.Page[Waiting]:
    """The debits of an account that wait for a file, the earliest due first, each with its client."""
    statement = (
        select_waiting().where(ChargeAttempt.provider_account_id == account_id).options(joinedload(Charge.client))
    )

    def read(start: Position | None) -> list[Waiting]:
        page = keyset.cut(statement, [Charge.due_on, ChargeAttempt.id], start, is_descending=False, size=size)
        return _with_notices(db.session.execute(page).all())

    start = keyset.decode(cursor, sort=BY_DUE_DATE, kind=date)
    return keyset.page(
        read, start, place=lambda each: (each.charge.due_on, each.attempt.id), sort=BY_DUE_DATE, size=size
    )


class AccountWaiting(NamedTuple):
    """An account for bank files, and in short what waits. ``collect_on`` is the first day that includes all of it whose
    client was told; of ``untold`` debits nobody knows the day yet.

    ``fault`` is why the bank would refuse any file of it.
    """

    account: ProviderAccount
    company: Company
    number: int
    total: Decimal
    untold: int
    collect_on: date
    fault: CreditorFault | None


def list_bank_accounts(*, at: datetime) -> list[AccountWaiting]:
    """The accounts for bank files that are active, or for whose files something still waits."""
    waiting = _count_waiting()
    tomorrow = _today(at) + timedelta(days=1)
    rows = db.session.execute(
        _with_company(select(ProviderAccount, Company))
        .where(ProviderAccount.provider == Provider.SEPA_FILE)
        .options(undefer(ProviderAccount.credentials))
        .order_by(Company.name, ProviderAccount.id)
    ).all()
    accounts = []
    for account, company in rows:
        number, total, untold, earliest = waiting.get(account.id, (0, Decimal("0.00"), 0, None))
        if account.is_active or number:
            collect_on = first_banking_day(max(earliest or tomorrow, tomorrow))
            fault = account.creditor_fault(company.name)
            accounts.append(AccountWaiting(account, company, number, total, untold, collect_on, fault))
    return accounts


def _count_waiting() -> dict[UUID, tuple[int, Decimal, int, date | None]]:
    """By account: how many wait, for how much, how many of them untold, and from which day the others are collected."""
    waiting = (
        select(
            ChargeAttempt.provider_account_id,
            ChargeAttempt.amount,
            Charge.due_on,
            collection_day().label("told_for"),
        )
        .join(Charge, linked(Charge, ChargeAttempt.charge_id))
        .where(ChargeAttempt.waits_for_file())
        .subquery()
    )
    columns = waiting.c
    is_told = columns.told_for.is_not(None)
    rows = db.session.execute(
        select(
            columns.provider_account_id,
            func.count(),
            func.sum(columns.amount),
            func.count().filter(~is_told),
            func.max(func.greatest(columns.told_for, columns.due_on)).filter(is_told),
        ).group_by(columns.provider_account_id)
    )
    return {account_id: (number, total, untold, day) for account_id, number, total, untold, day in rows}


def _with_company(statement: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    return statement.join(
        Company,
        linked(Company, ProviderAccount.company_id),
    )


class ListedFile(NamedTuple):
    """A bank file and whose it is."""

    file: BankFile
    company: Company


def list_files(*, before: UUID | None = None, limit: int = PAGE_SIZE) -> list[ListedFile]:
    """The files of the organisation, the latest first; ``before`` a file."""
    statement = _select_files().order_by(BankFile.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(BankFile.id < before)
    return [ListedFile(*row) for row in db.session.execute(statement)]


def find_file(file_id: UUID) -> ListedFile:
    """One of them. Raises NotFoundError."""
    row = db.session.execute(
        _select_files().where(BankFile.id == file_id).execution_options(populate_existing=True)
    ).first()
    if row is None:
        raise NotFoundError("Ce fichier n’existe pas ou plus.")
    return ListedFile(*row)


def _select_files() -> Select[*tuple[Any, ...]]:
    return _with_company(
        select(BankFile, Company).join(
            ProviderAccount,
            linked(ProviderAccount, BankFile.provider_account_id),
        )
    )


def list_debits(
    file_id: UUID, *, after: UUID | None = None, size: int = PAGE_SIZE
) -> list[tuple[ChargeAttempt, Charge]]:
    """The debits of a file in its own order, each with its client; ``after`` a debit."""
    statement = (
        select(ChargeAttempt, Charge)
        .join(Charge, linked(Charge, ChargeAttempt.charge_id))
        .where(ChargeAttempt.bank_file_id == file_id)
        .options(joinedload(Charge.client))
        .order_by(ChargeAttempt.id)
        .limit(size)
    )
    if after is not None:
        statement = statement.where(ChargeAttempt.id > after)
    return [(attempt, charge) for attempt, charge in db.session.execute(statement)]


def select_all_files() -> Select[*tuple[Any, ...]]:
    """Every file, the latest first, joined with their companies: an export adds the columns."""
    return _select_files().order_by(BankFile.id.desc())


def select_all_debits(file_id: UUID) -> Select[*tuple[Any, ...]]:
    """Every debit of a file in its own order, joined with charges, clients, mandates and accounts."""
    return (
        select(ChargeAttempt.id)
        .join(Charge, linked(Charge, ChargeAttempt.charge_id))
        .join(Client, linked(Client, Charge.client_id))
        .outerjoin(Mandate, linked(Mandate, ChargeAttempt.mandate_id))
        .outerjoin(BankAccount, linked(BankAccount, Mandate.bank_account_id))
        .where(ChargeAttempt.bank_file_id == file_id)
        .order_by(ChargeAttempt.id)
    )


def count_unsettled(file_id: UUID) -> int:
    """How many debits of a file are neither paid nor returned yet."""
    statement = (
        select(func.count())
        .select_from(ChargeAttempt)
        .where(ChargeAttempt.bank_file_id == file_id, ChargeAttempt.status == AttemptStatus.PROCESSING)
    )
    return db.session.execute(statement).scalar_one()
