"""A client's bank accounts: adding one, and showing an IBAN in clear to those who may see it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select

from webapp import crypto, sepa
from webapp.errors import ForbiddenError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.iban import iban_purpose, mask_iban
from webapp.models.banking import BankAccount
from webapp.models.base import new_id
from webapp.models.clients import Client
from webapp.models.commercials import Commercial
from webapp.models.identity import Role, User
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.contact import check_bic, check_iban, clean_text
from webapp.transactions import transaction

HOLDER_LENGTH = 200
OUTSIDE_SEPA = "Cet IBAN est celui d’un pays hors de la zone SEPA\u202f: rien ne peut y être prélevé."
OTHER_COUNTRY = "Ce BIC n’est pas celui d’une banque du pays de l’IBAN\u202f: vérifiez l’un et l’autre."
TAKING_IS_SEEN_AFTER = timedelta(hours=24)


@dataclass(frozen=True, kw_only=True)
class BankDetails:
    """An account as somebody wrote it down; only the IBAN is needed."""

    iban: str
    bic: str | None = None
    holder: str | None = None

    def normalised(self) -> "BankDetails":
        """The same, checked and compact. Raises InvalidInputError, naming the field."""
        holder = clean_text(self.holder or "")
        if len(holder) > HOLDER_LENGTH:
            raise InvalidInputError(f"C’est trop long\u202f: {HOLDER_LENGTH} caractères au plus.", field="holder")
        iban, bic = check_iban(self.iban), check_bic(self.bic) if self.bic else None
        if not sepa.is_iban(iban):
            raise InvalidInputError(OUTSIDE_SEPA, field="iban")
        if bic and not sepa.is_of_country(bic, iban):
            raise InvalidInputError(OTHER_COUNTRY, field="bic")
        return BankDetails(iban=iban, bic=bic, holder=holder or None)


@dataclass(frozen=True)
class Revealed:
    """Bank details in clear; never to be kept or logged."""

    iban: str
    bic: str | None


def may_reveal(user: User, commercial: Commercial | None) -> bool:
    """Whether ``user`` may see the bank details and identity card of a client of ``commercial``."""
    own = commercial is not None and commercial.user_id == user.id
    return own or user.has_role(Role.MANAGER, Role.ADMIN)


def refuse_fresh_taking(client_id: UUID, *, by: User, at: datetime) -> None:
    """Refuse a commercial who made the client their own lately, before a manager could have seen it in the timeline.

    Raises ForbiddenError.
    """
    if by.has_role(Role.MANAGER, Role.ADMIN):
        return
    taken = select(TimelineEvent.id).where(
        TimelineEvent.client_id == client_id,
        TimelineEvent.kind == EventKind.CLIENT_UPDATED,
        TimelineEvent.user_id == by.id,
        TimelineEvent.at > at - TAKING_IS_SEEN_AFTER,
        TimelineEvent.changes.has_key("commercial"),
    )
    if db.session.scalar(taken.limit(1)):
        raise ForbiddenError(
            "Vous avez pris ce client il y a moins de 24 heures\u202f: ses données protégées s’ouvrent ensuite, "
            "ou demandez à votre manager."
        )


def add_account(client: Client, details: BankDetails, *, by: User, at: datetime) -> bool:
    """Add a (normalised) account within the caller's transaction; False if the client has that IBAN already.

    The caller holds the client's row locked, so two people cannot add one account at once.
    """
    indexes = crypto.blind_indexes(details.iban, purpose=iban_purpose(client.organisation_id))
    known = select(BankAccount.id).where(BankAccount.client_id == client.id, BankAccount.iban_index.in_(indexes))
    if db.session.scalar(known):
        return False
    account = BankAccount(
        id=new_id(),
        organisation_id=client.organisation_id,
        client_id=client.id,
        iban_index=indexes[0],
        iban_masked=mask_iban(details.iban),
        holder=details.holder,
        created_at=at,
    )
    account.iban = crypto.seal(details.iban, place=account.place(client.organisation_id, account.id, "iban"))
    if details.bic:
        account.bic = crypto.seal(details.bic, place=account.place(client.organisation_id, account.id, "bic"))
    event = TimelineEvent(
        client_id=client.id,
        kind=EventKind.IBAN_ADDED,
        at=at,
        user_id=by.id,
        changes={"iban": [None, account.iban_masked]},
    )
    db.session.add_all([account, event])
    return True


def find_by_iban(client: Client, iban: str) -> BankAccount:
    """The client's account of that (compact) IBAN. Raises NotFoundError."""
    indexes = crypto.blind_indexes(iban, purpose=iban_purpose(client.organisation_id))
    wanted = select(BankAccount).where(BankAccount.client_id == client.id, BankAccount.iban_index.in_(indexes))
    account = db.session.scalar(wanted)
    if account is None:
        raise NotFoundError("Ce compte bancaire n’existe pas ou plus.")
    return account


def find_account(client_id: UUID, account_id: UUID) -> BankAccount:
    """One account of the client. Raises NotFoundError."""
    wanted = select(BankAccount).where(BankAccount.id == account_id, BankAccount.client_id == client_id)
    account = db.session.scalar(wanted)
    if account is None:
        raise NotFoundError("Ce compte bancaire n’existe pas ou plus.")
    return account


def reveal(client_id: UUID, account_id: UUID, *, by: User, at: datetime) -> Revealed:
    """The account in clear, for a manager, an admin or the client's own commercial; the timeline keeps who looked.

    Raises NotFoundError, ForbiddenError.
    """
    with transaction():
        account = find_account(client_id, account_id)
        commercial = db.session.scalar(
            select(Commercial).join(Client, Client.commercial_id == Commercial.id).where(Client.id == client_id)
        )
        if not may_reveal(by, commercial):
            raise ForbiddenError(
                "Seuls le commercial du client, un manager ou un administrateur peuvent voir cet IBAN."
            )
        refuse_fresh_taking(client_id, by=by, at=at)
        event = TimelineEvent(
            client_id=client_id,
            kind=EventKind.IBAN_REVEALED,
            at=at,
            user_id=by.id,
            changes={"iban": [None, account.iban_masked]},
        )
        db.session.add(event)
        return Revealed(account.reveal_iban(), account.reveal_bic())
