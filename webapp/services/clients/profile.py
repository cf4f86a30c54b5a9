"""Everything about one client, for its page: a fixed number of queries however much there is."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import selectinload, undefer

from webapp import crypto
from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.models.banking import BankAccount, Mandate
from webapp.models.clients import Client
from webapp.models.commercials import Commercial
from webapp.models.contracts import Contract
from webapp.models.identity import User
from webapp.models.timeline import TimelineEvent
from webapp.models.winleadplus import SyncMapping
from webapp.services.clients.banking import may_reveal

EVENTS_PER_PAGE = 20


@dataclass(frozen=True)
class Account:
    """A bank account with the mandates given on it."""

    account: BankAccount
    mandates: list[Mandate]


@dataclass(frozen=True)
class Timeline:
    """Events, newest first; ``older`` names the last one where more follow."""

    events: list[TimelineEvent]
    older: UUID | None


@dataclass(frozen=True)
class Profile:
    """A client and what belongs to it. ``identity_card`` is empty for those who may not see it."""

    client: Client
    commercial: Commercial | None
    synced_at: datetime | None
    accounts: list[Account]
    contracts: list[Contract]
    timeline: Timeline
    may_reveal: bool
    identity_card: dict[str, Any]


def find_profile(client_id: UUID, *, viewer: User, before: UUID | None = None) -> Profile:
    """The client as ``viewer`` may see it, its timeline from the event ``before`` on. Raises NotFoundError."""
    synced_at = select(func.max(SyncMapping.synced_at)).where(
        SyncMapping.organisation_id == Client.organisation_id, SyncMapping.client_id == Client.id
    )
    found = db.session.execute(
        select(Client, Commercial, synced_at.scalar_subquery())
        .outerjoin(Client.commercial)
        .where(Client.id == client_id)
        .options(undefer(Client.identity_card))
    ).first()
    if found is None:
        raise NotFoundError("Ce client n’existe pas ou plus.")
    client, commercial, last_sync = found
    allowed = may_reveal(viewer, commercial)
    return Profile(
        client=client,
        commercial=commercial,
        synced_at=last_sync,
        accounts=_list_accounts(client_id),
        contracts=_list_contracts(client_id),
        timeline=list_events(client_id, before=before),
        may_reveal=allowed,
        identity_card=_identity_card(client) if allowed else {},
    )


def list_events(client_id: UUID, *, before: UUID | None = None) -> Timeline:
    """A page of the client's timeline, newest first, from the first or after the event ``before``."""
    events = select(TimelineEvent).where(TimelineEvent.client_id == client_id)
    if before:
        last = select(TimelineEvent.at, TimelineEvent.id).where(
            TimelineEvent.client_id == client_id, TimelineEvent.id == before
        )
        events = events.where(tuple_(TimelineEvent.at, TimelineEvent.id) < last.scalar_subquery())
    page = list(
        db.session.scalars(
            events.options(selectinload(TimelineEvent.user))
            .order_by(TimelineEvent.at.desc(), TimelineEvent.id.desc())
            .limit(EVENTS_PER_PAGE + 1)
        )
    )
    shown = page[:EVENTS_PER_PAGE]
    return Timeline(shown, shown[-1].id if len(page) > EVENTS_PER_PAGE else None)


def _list_accounts(client_id: UUID) -> list[Account]:
    rows = db.session.execute(
        select(BankAccount, Mandate)
        .outerjoin(
            Mandate,
            (Mandate.organisation_id == BankAccount.organisation_id) & (Mandate.bank_account_id == BankAccount.id),
        )
        .where(BankAccount.client_id == client_id)
        .order_by(BankAccount.created_at, BankAccount.id, Mandate.created_at, Mandate.id)
    ).all()
    mandates: dict[BankAccount, list[Mandate]] = {}
    for account, mandate in rows:
        mandates.setdefault(account, []).extend([mandate] if mandate else [])
    return [Account(account, given) for account, given in mandates.items()]


def _list_contracts(client_id: UUID) -> list[Contract]:
    """The latest signed first, those without a date last."""
    return list(
        db.session.scalars(
            select(Contract)
            .where(Contract.client_id == client_id)
            .options(selectinload(Contract.lines), selectinload(Contract.commercial))
            .order_by(Contract.signed_on.desc().nulls_last(), Contract.reference)
        )
    )


def _identity_card(client: Client) -> dict[str, Any]:
    """What WinLeadPlus knows of the card, as it came; nothing where there is none."""
    if client.identity_card is None:
        return {}
    card = json.loads(crypto.unseal(client.identity_card, place=client.place("identity_card")))
    return {name: value for name, value in card.items() if value and not isinstance(value, dict | list)}
