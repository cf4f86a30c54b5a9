"""Giving, completing and revoking mandates, and putting away the accounts that they are given on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from webapp import clock, french, sepa
from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.bank_files import BankFile, BankFileStatus
from webapp.models.banking import BankAccount, Mandate, MandateStatus
from webapp.models.base import linked, new_id
from webapp.models.charges import ChargeAttempt
from webapp.models.identity import User
from webapp.models.organisations import Company
from webapp.models.outbox import OutboxKind
from webapp.models.subscriptions import Subscription, SubscriptionStatus
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services import amendments, outbox
from webapp.services.clients.locking import lock_client
from webapp.services.contact import clean_text
from webapp.services.mandates import references
from webapp.transactions import transaction

PLACE_LENGTH = 70
LIVING = (
    SubscriptionStatus.PENDING,
    SubscriptionStatus.ACTIVE,
    SubscriptionStatus.PAST_DUE,
    SubscriptionStatus.PAUSED,
)
OUTSIDE_SEPA = "Ce compte est hors de la zone SEPA\u202f: aucun mandat ne peut y être donné."
TAKEN = "Cette référence (RUM) est déjà celle d’un autre mandat donné à cette société."


class MandateStateError(DomainError):
    """The mandate, or the account, is in a state in which this cannot be done."""


@dataclass(frozen=True, kw_only=True)
class MandateFields:
    """A mandate as somebody wrote it down. Without ``umr`` one is made; without ``signed_on`` it waits to be signed."""

    bank_account_id: UUID | None
    company_id: UUID | None
    umr: str = ""
    signed_on: date | None = None
    signed_in: str = ""


def find_mandate(client_id: UUID, mandate_id: UUID) -> Mandate:
    """A mandate of the client. Raises NotFoundError."""
    mandate = db.session.scalar(select(Mandate).where(Mandate.id == mandate_id, Mandate.client_id == client_id))
    if mandate is None:
        raise NotFoundError("Ce mandat n’existe pas ou plus.")
    return mandate


def create_mandate(
    client_id: UUID, fields: MandateFields, *, mandate_id: UUID | None = None, by: User, at: datetime
) -> Mandate:
    """Note a mandate of the client; without a date of signature it is to be printed and signed.

    A form brings the ``mandate_id``: sent twice, it makes one mandate. Raises NotFoundError; InvalidInputError, naming
    the field.
    """
    with transaction():
        lock_client(client_id)
        if mandate_id is not None and db.session.scalar(select(Mandate.id).where(Mandate.id == mandate_id)):
            return find_mandate(client_id, mandate_id)
        mandate = Mandate(id=mandate_id or new_id(), client_id=client_id, created_at=at)
        _write(mandate, fields, at=at)
        db.session.add(mandate)
        _flush()
        _tell(mandate, EventKind.MANDATE_ADDED, by=by, at=at)
    return mandate


def change_mandate(client_id: UUID, mandate_id: UUID, fields: MandateFields, *, by: User, at: datetime) -> Mandate:
    """Complete a mandate that is declared or not signed yet, or correct one under which nothing was collected.

    Raises NotFoundError, MandateStateError; InvalidInputError, naming the field.
    """
    with transaction():
        lock_client(client_id)
        mandate = _lock(client_id, mandate_id)
        if mandate.status is MandateStatus.REVOKED:
            raise MandateStateError("Un mandat révoqué ne se modifie plus\u202f: faites-en signer un autre.")
        if mandate.last_used_on is not None:
            raise MandateStateError(
                "Des prélèvements ont été faits sous ce mandat\u202f: seuls son compte et sa référence se changent."
            )
        before = worded(mandate)
        _write(mandate, fields, at=at)
        _flush()
        tell_change(mandate, before, by=by, at=at)
    return mandate


def amend_mandate(
    client_id: UUID,
    mandate_id: UUID,
    *,
    bank_account_id: UUID | None,
    umr: str,
    is_confirmed: bool,
    by: User,
    at: datetime,
) -> Mandate:
    """Put a signed mandate on another account of the client, or under another reference, as the client confirmed it.

    What the bank has heard of the mandate is told with its next collection (see ``services/amendments``). Without
    ``umr`` the reference stays. Raises NotFoundError, MandateStateError; InvalidInputError, naming the field.
    """
    with transaction():
        lock_client(client_id)
        mandate = _lock(client_id, mandate_id)
        if mandate.status is not MandateStatus.ACTIVE or mandate.signed_on is None or mandate.company_id is None:
            raise MandateStateError("Seul un mandat actif et signé se change par avenant.")
        if not is_confirmed:
            raise InvalidInputError("Le client doit l’avoir confirmé par écrit.", field="is_confirmed")
        reference = _reference(mandate, umr, company_id=mandate.company_id)
        account = _account(client_id, bank_account_id)
        before = {"iban": _masked(mandate.bank_account_id), "umr": mandate.umr}
        amendments.note(mandate, account_id=account.id, umr=reference, by=by, at=at)
        mandate.bank_account_id, mandate.umr, mandate.account_archived_at = account.id, reference, None
        _flush()
        after = {"iban": account.iban_masked, "umr": reference}
        changes = {name: [before[name], value] for name, value in after.items() if before[name] != value}
        if changes:
            _tell(mandate, EventKind.MANDATE_AMENDED, changes, by=by, at=at)
    return mandate


def revoke_mandate(client_id: UUID, mandate_id: UUID, *, by: User, at: datetime) -> Mandate:
    """Nothing is collected under it any more. Revoking it twice changes nothing. Raises NotFoundError."""
    with transaction():
        mandate = _lock(client_id, mandate_id)
        if mandate.status is not MandateStatus.REVOKED:
            mandate.status, mandate.revoked_on = MandateStatus.REVOKED, at.astimezone(clock.PARIS).date()
            _tell(mandate, EventKind.MANDATE_REVOKED, by=by, at=at)
            outbox.emit(OutboxKind.MANDATE_REVOKED, mandate.id, at=at, payload={"client_id": str(client_id)})
    return mandate


class Stops(NamedTuple):
    """What no longer goes on once a mandate is revoked: living subscriptions, and debits that the bank has not got."""

    subscriptions: list[Subscription]
    waiting_debits: int


def find_stops(*mandates: Mandate) -> Stops:
    """What stands on mandates of one client now."""
    wanted = [mandate.id for mandate in mandates]
    subscriptions = select(Subscription).where(Subscription.mandate_id.in_(wanted), Subscription.status.in_(LIVING))
    unsent = (
        select(func.count())
        .select_from(ChargeAttempt)
        .outerjoin(BankFile, linked(BankFile, ChargeAttempt.bank_file_id))
        .where(
            ChargeAttempt.mandate_id.in_(wanted),
            ChargeAttempt.waits_for_file() | (BankFile.status == BankFileStatus.PREPARED),
        )
    )
    return Stops(
        list(db.session.scalars(subscriptions.order_by(Subscription.number))), db.session.execute(unsent).scalar_one()
    )


def list_standing(account_id: UUID) -> Sequence[Mandate]:
    """The mandates that stand on an account."""
    on_it = (Mandate.bank_account_id == account_id, Mandate.status != MandateStatus.REVOKED)
    return db.session.scalars(select(Mandate).where(*on_it).order_by(Mandate.id)).all()


def archive_account(
    client_id: UUID, account_id: UUID, *, is_confirmed: bool = False, by: User, at: datetime
) -> BankAccount:
    """Put an account away: it is offered no more. Doing so twice changes nothing.

    Mandates that stand on it serve no more until they are put on another account. Raises NotFoundError;
    MandateStateError where there are some and what stops was not confirmed.
    """
    with transaction():
        lock_client(client_id)
        wanted = select(BankAccount).where(BankAccount.id == account_id, BankAccount.client_id == client_id)
        account = db.session.scalar(wanted.with_for_update())
        if account is None:
            raise NotFoundError("Ce compte bancaire n’existe pas ou plus.")
        standing = list_standing(account_id)
        if standing and not is_confirmed:
            raise MandateStateError("Un mandat est donné sur ce compte\u202f: confirmez qu’il ne serve plus.")
        if account.archived_at is None:
            for mandate in standing:
                mandate.account_archived_at = at
            account.archived_at = at
            event = TimelineEvent(
                client_id=client_id,
                kind=EventKind.ACCOUNT_ARCHIVED,
                at=at,
                user_id=by.id,
                changes={"iban": [account.iban_masked, None]},
            )
            db.session.add(event)
    return account


def _lock(client_id: UUID, mandate_id: UUID) -> Mandate:
    wanted = select(Mandate).where(Mandate.id == mandate_id, Mandate.client_id == client_id)
    mandate = db.session.scalar(wanted.with_for_update().execution_options(populate_existing=True))
    if mandate is None:
        raise NotFoundError("Ce mandat n’existe pas ou plus.")
    return mandate


def _write(mandate: Mandate, fields: MandateFields, *, at: datetime) -> None:
    """Set the columns. Raises InvalidInputError, naming the field."""
    account = _account(mandate.client_id, fields.bank_account_id)
    company = db.session.scalar(select(Company).where(Company.id == fields.company_id))
    if company is None:
        raise InvalidInputError("Choisissez la société à qui le mandat est donné.", field="company_id")
    signed_in = clean_text(fields.signed_in)
    if len(signed_in) > PLACE_LENGTH:
        raise InvalidInputError(f"C’est trop long\u202f: {PLACE_LENGTH} caractères au plus.", field="signed_in")
    if fields.signed_on and fields.signed_on > at.astimezone(clock.PARIS).date():
        raise InvalidInputError("La signature ne peut pas être dans le futur.", field="signed_on")
    mandate.umr = _reference(mandate, fields.umr, company_id=company.id)
    mandate.bank_account_id, mandate.company_id, mandate.account_archived_at = account.id, company.id, None
    mandate.signed_on, mandate.signed_in = fields.signed_on, signed_in or None
    mandate.status = MandateStatus.ACTIVE


def _account(client_id: UUID, account_id: UUID | None) -> BankAccount:
    """The account, which nobody archives until the caller's transaction ends."""
    wanted = select(BankAccount).where(
        BankAccount.id == account_id, BankAccount.client_id == client_id, BankAccount.archived_at.is_(None)
    )
    account = db.session.scalar(wanted.with_for_update(read=True))
    if account is None:
        raise InvalidInputError("Choisissez un compte bancaire du client.", field="bank_account_id")
    if account.iban_masked[:2] not in sepa.COUNTRIES:  # as imports bring them, too
        raise InvalidInputError(OUTSIDE_SEPA, field="bank_account_id")
    return account


def _masked(account_id: UUID) -> str:
    return db.session.execute(select(BankAccount.iban_masked).where(BankAccount.id == account_id)).scalar_one()


def _reference(mandate: Mandate, written: str, *, company_id: UUID) -> str:
    """What was typed, checked; what the mandate has already; else a new one."""
    typed = clean_text(written)
    if not typed:
        return (
            mandate.umr if mandate.umr and mandate.company_id == company_id else references.next_reference(company_id)
        )
    if not sepa.is_identifier(typed):
        raise InvalidInputError(sepa.WRONG_IDENTIFIER, field="umr")
    if references.is_taken(typed, company_id=company_id, besides=mandate.id):
        raise InvalidInputError(TAKEN, field="umr")
    return typed


def _flush() -> None:
    """Two people may type one reference at once. Raises InvalidInputError for the later one."""
    try:
        db.session.flush()
    except IntegrityError as error:
        if "umr" not in str(error.orig):
            raise
        raise InvalidInputError(TAKEN, field="umr") from error


def tell_change(mandate: Mandate, before: Mapping[str, str | None], *, by: User, at: datetime) -> None:
    """Tell the timeline what is not as it was ``worded`` before."""
    changes = {name: [before[name], value] for name, value in worded(mandate).items() if before[name] != value}
    if changes:
        _tell(mandate, EventKind.MANDATE_CHANGED, changes, by=by, at=at)


def worded(mandate: Mandate) -> dict[str, str | None]:
    """The timeline keeps words; the names are those of ``views/formats``."""
    return {
        "mandate_status": mandate.status.label,
        "umr": mandate.umr,
        "signed_on": french.day(mandate.signed_on) if mandate.signed_on else None,
        "signed_in": mandate.signed_in,
    }


def _tell(
    mandate: Mandate, kind: EventKind, changes: Mapping[str, list[Any]] | None = None, *, by: User, at: datetime
) -> None:
    words = dict(changes) if changes is not None else {"umr": [None, mandate.umr]}
    event = TimelineEvent(client_id=mandate.client_id, kind=kind, at=at, user_id=by.id, changes=words)
    db.session.add(event)
