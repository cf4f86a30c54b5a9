"""What changed about mandates that a bank has heard of: noted here, told with the next collection by bank file.

Each change travels in one collection, and in another only where that one came back before it was settled.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, literal, or_, select
from sqlalchemy.dialects.postgresql import insert

from webapp import sepa
from webapp.extensions import db
from webapp.models.bank_files import BankFile
from webapp.models.banking import AmendmentKind, BankAccount, Mandate, MandateAmendment, MandateStatus
from webapp.models.base import linked
from webapp.models.charges import AttemptStatus, ChargeAttempt
from webapp.models.identity import User
from webapp.tenancy import current_organisation_id

NOT_HEARD = (AttemptStatus.REFUSED, AttemptStatus.CANCELED)
"""Of a debit that came back before it was settled, the bank keeps nothing that it said."""


def is_heard_of() -> ColumnElement[bool]:
    """In a statement on mandates: whether the bank has a collection under it, in a file that was generated."""
    return (
        select(ChargeAttempt.id)
        .join(BankFile, linked(BankFile, ChargeAttempt.bank_file_id))
        .where(
            linked(Mandate, ChargeAttempt.mandate_id),
            ChargeAttempt.bank_file_id.is_not(None),  # the condition of the index
            ChargeAttempt.status.not_in(NOT_HEARD),
            BankFile.exported_at.is_not(None),
        )
        .correlate(Mandate)
        .exists()
    )


def is_open() -> ColumnElement[bool]:
    """In a statement on amendments that may have an attempt: whether they are still to be told."""
    return or_(MandateAmendment.told_in_id.is_(None), ChargeAttempt.status.in_(NOT_HEARD))


def note(mandate: Mandate, *, account_id: UUID, umr: str | None, by: User, at: datetime) -> None:
    """Note that the locked mandate is about to get another account or reference, where the bank has heard of it."""
    if not db.session.scalar(select(Mandate.id).where(Mandate.id == mandate.id, is_heard_of())):
        return
    made = {"mandate_id": mandate.id, "user_id": by.id, "created_at": at}
    if account_id != mandate.bank_account_id:
        account = MandateAmendment(**made, kind=AmendmentKind.ACCOUNT, original_account_id=mandate.bank_account_id)
        _merge(account, account_id)
    if umr != mandate.umr:
        _merge(MandateAmendment(**made, kind=AmendmentKind.REFERENCE, original=mandate.umr), umr)


def _merge(amendment: MandateAmendment, new: UUID | str | None) -> None:
    """Changes between two collections are one; where the last takes back the first, none."""
    untold = db.session.scalar(
        select(MandateAmendment).where(
            MandateAmendment.mandate_id == amendment.mandate_id,
            MandateAmendment.kind == amendment.kind,
            MandateAmendment.told_in_id.is_(None),
        )
    )
    if untold is None:
        db.session.add(amendment)
    elif new in (untold.original, untold.original_account_id):
        db.session.delete(untold)
    db.session.flush()


def note_creditor(company_id: UUID, kind: AmendmentKind, *, old: str | None, new: str, at: datetime) -> None:
    """Note for all mandates given to a company that its name or its creditor identifier (ICS) is another now.

    Two statements, however many mandates there are. The caller holds the company's row locked.
    """
    if old is None or as_told(kind, old) == as_told(kind, new):
        return
    organisation_id = current_organisation_id()
    values = [organisation_id, func.gen_random_uuid(), at, kind.value, old]
    heard_of = select(Mandate.id, *(value if value is values[1] else literal(value) for value in values)).where(
        Mandate.organisation_id == organisation_id,
        Mandate.company_id == company_id,
        Mandate.status != MandateStatus.REVOKED,
        is_heard_of(),
    )
    columns = ["mandate_id", "organisation_id", "id", "created_at", "kind", "original"]
    db.session.execute(insert(MandateAmendment).from_select(columns, heard_of).on_conflict_do_nothing())
    of_company = select(Mandate.id).where(Mandate.organisation_id == organisation_id, Mandate.company_id == company_id)
    taken_back = delete(MandateAmendment).where(
        MandateAmendment.organisation_id == organisation_id,
        MandateAmendment.mandate_id.in_(of_company),
        MandateAmendment.kind == kind,
        MandateAmendment.told_in_id.is_(None),
        MandateAmendment.original == new,
    )
    db.session.execute(taken_back.execution_options(synchronize_session=False))


def as_told(kind: AmendmentKind, text: str) -> str:
    """As it stands in a bank file: names that differ only in what no bank reads are the same."""
    return sepa.plain_text(text, sepa.LARGEST_NAME) if kind is AmendmentKind.CREDITOR_NAME else text


class Noted(NamedTuple):
    """A change, what the bank heard before it, and the file that tells it, if one does."""

    kind: AmendmentKind
    original: str
    file: BankFile | None


def list_of_mandate(mandate_id: UUID) -> Sequence[Noted]:
    """The changes of a mandate, the latest first; those that came back are to be told, as if they were in no file."""
    rows = db.session.execute(
        select(MandateAmendment, ChargeAttempt.status, BankFile, BankAccount.iban_masked)
        .outerjoin(ChargeAttempt, linked(ChargeAttempt, MandateAmendment.told_in_id))
        .outerjoin(BankFile, linked(BankFile, ChargeAttempt.bank_file_id))
        .outerjoin(BankAccount, linked(BankAccount, MandateAmendment.original_account_id))
        .where(MandateAmendment.mandate_id == mandate_id)
        .order_by(MandateAmendment.created_at.desc(), MandateAmendment.id.desc())
    )
    return [
        Noted(amendment.kind, iban or amendment.original or "", None if status in NOT_HEARD else file)
        for amendment, status, file, iban in rows
    ]
