"""What a bank file says of its mandates: which debit is the first (FRST), and which tells of an amendment.

It is decided, and stored, in the transaction that makes the file's bytes, with the mandates locked.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import CollectionAggregate, Select, Uuid, any_, case, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import aliased

from webapp.extensions import db
from webapp.gateways.providers.pain008 import Amendment, Creditor
from webapp.models.banking import AmendmentKind, BankAccount, Mandate, MandateAmendment
from webapp.models.base import linked
from webapp.models.charges import ChargeAttempt, SequenceType
from webapp.services import amendments
from webapp.services.contact import is_same_bank

Told = dict[UUID, Amendment]
"""The amendments that a file tells of, by the attempt that carries each."""


def tell(file_id: UUID, creditor: Creditor, *, first_as_frst: bool) -> Told:
    """Decide it for the file, and store it. The caller holds the file and the company locked.

    Of several debits under one mandate, the first tells. It is FRST where the account is at another bank (see
    ``pain008``), and with ``first_as_frst`` where the bank has not heard of the mandate.
    """
    carriers = _lock_mandates(file_id)
    told = {
        carriers[mandate_id]: _merged(changes, creditor)
        for mandate_id, changes in groupby(_take_open(file_id), key=lambda change: change.mandate.id)
    }
    new_banks = [attempt_id for attempt_id, amendment in told.items() if amendment.is_new_bank]
    firsts = [carriers[mandate_id] for mandate_id in _list_new(file_id)] if first_as_frst else []
    _store_sequences(file_id, [*new_banks, *firsts])
    return {attempt_id: amendment for attempt_id, amendment in told.items() if amendment != Amendment()}


def _lock_mandates(file_id: UUID) -> dict[UUID, UUID]:
    """The first debit of each mandate of the file. Nobody amends one of them before the file is there."""
    locked = select(Mandate.id).where(Mandate.id.in_(_mandates_of(file_id))).order_by(Mandate.id).with_for_update()
    db.session.execute(locked).all()
    debits = (
        select(ChargeAttempt.mandate_id, ChargeAttempt.id)
        .where(ChargeAttempt.bank_file_id == file_id, ChargeAttempt.mandate_id.is_not(None))
        .order_by(ChargeAttempt.id.desc())
    )
    return {row.mandate_id: row.id for row in db.session.execute(debits)}  # of several, the first comes last


def _mandates_of(file_id: UUID) -> Select[UUID | None]:
    return select(ChargeAttempt.mandate_id).where(ChargeAttempt.bank_file_id == file_id)


class _Change(NamedTuple):
    amendment: MandateAmendment
    mandate: Mandate
    account_before: BankAccount | None
    account_now: BankAccount


def _take_open(file_id: UUID) -> list[_Change]:
    """What is to be told about the mandates of the file, by mandate, the earliest first; told by it from now on."""
    before, now = aliased(BankAccount), aliased(BankAccount)
    found = db.session.execute(
        select(MandateAmendment, Mandate, before, now)
        .join(Mandate, linked(Mandate, MandateAmendment.mandate_id))
        .join(now, linked(now, Mandate.bank_account_id))
        .outerjoin(before, linked(before, MandateAmendment.original_account_id))
        .outerjoin(ChargeAttempt, linked(ChargeAttempt, MandateAmendment.told_in_id))
        .where(MandateAmendment.mandate_id.in_(_mandates_of(file_id)), amendments.is_open())
        .order_by(MandateAmendment.mandate_id, MandateAmendment.created_at, MandateAmendment.id)
        .execution_options(populate_existing=True)
    )
    changes = [_Change(*row) for row in found]
    carrier = (
        select(ChargeAttempt.id)
        .where(ChargeAttempt.bank_file_id == file_id, ChargeAttempt.mandate_id == MandateAmendment.mandate_id)
        .order_by(ChargeAttempt.id)
        .limit(1)
        .scalar_subquery()
    )
    taken = update(MandateAmendment).where(MandateAmendment.id == _any([change.amendment.id for change in changes]))
    db.session.execute(taken.values(told_in_id=carrier).execution_options(synchronize_session=False))
    return changes


def _merged(changes: Iterable[_Change], creditor: Creditor) -> Amendment:
    """What the bank heard last of all that is another now; empty where everything was changed back."""
    told = Amendment()
    earliest = {change.amendment.kind: change for change in reversed(list(changes))}
    for kind, change in earliest.items():
        before = change.account_before
        heard = before.reveal_iban() if before else change.amendment.original or ""
        present = {
            AmendmentKind.ACCOUNT: change.account_now.reveal_iban() if before else "",
            AmendmentKind.REFERENCE: change.mandate.umr or "",
            AmendmentKind.CREDITOR_ID: creditor.ics,
            AmendmentKind.CREDITOR_NAME: creditor.name,
        }[kind]
        if amendments.as_told(kind, heard) != amendments.as_told(kind, present):
            told = replace(told, **_told_of(kind, heard, present))
    return told


def _told_of(kind: AmendmentKind, heard: str, present: str) -> dict[str, Any]:
    if kind is AmendmentKind.ACCOUNT:
        return {"iban": heard} if is_same_bank(heard, present) else {"is_new_bank": True}
    names = {AmendmentKind.REFERENCE: "umr", AmendmentKind.CREDITOR_ID: "ics", AmendmentKind.CREDITOR_NAME: "name"}
    return {names[kind]: heard}


def _list_new(file_id: UUID) -> Sequence[UUID]:
    """The mandates of the file that the bank has not heard of; this file is not generated yet."""
    new = select(Mandate.id).where(Mandate.id.in_(_mandates_of(file_id)), ~amendments.is_heard_of())
    return db.session.scalars(new).all()


def _store_sequences(file_id: UUID, firsts: Sequence[UUID]) -> None:
    sequence = case(
        (ChargeAttempt.id == _any(firsts), literal(SequenceType.FIRST.value)),
        else_=literal(SequenceType.RECURRENT.value),
    )
    in_file = update(ChargeAttempt).where(ChargeAttempt.bank_file_id == file_id)
    db.session.execute(in_file.values(sequence=sequence).execution_options(synchronize_session=False))


def _any(ids: Sequence[UUID]) -> CollectionAggregate[bool]:
    return any_(literal(list(ids), ARRAY(Uuid())))
