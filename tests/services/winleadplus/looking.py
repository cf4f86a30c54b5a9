"""What tests look up after a run."""

from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import undefer

from webapp.extensions import db
from webapp.models.banking import BankAccount
from webapp.models.clients import Client
from webapp.models.contracts import Contract, ContractLine
from webapp.models.timeline import TimelineEvent
from webapp.models.winleadplus import ItemKind, SyncItem, SyncMapping, SyncRun


def client_of(external_id: int) -> Client:
    """The client that a prospect is."""
    mapping = db.session.scalars(select(SyncMapping).where(SyncMapping.external_id == str(external_id))).one()
    return db.session.scalars(select(Client).where(Client.id == mapping.client_id)).one()


def all_clients() -> list[Client]:
    """Every client of the organisation, by e-mail."""
    return list(db.session.scalars(select(Client).order_by(Client.email, Client.id)))


def contract(reference: str) -> Contract:
    """The contract of that reference."""
    return db.session.scalars(select(Contract).where(Contract.reference == reference)).one()


def lines_of(reference: str) -> list[ContractLine]:
    """Its lines, in order."""
    found = contract(reference)
    statement = select(ContractLine).where(ContractLine.contract_id == found.id).order_by(ContractLine.position)
    return list(db.session.scalars(statement))


def accounts_of(client_id: UUID) -> list[BankAccount]:
    """The client's bank accounts."""
    return list(db.session.scalars(select(BankAccount).where(BankAccount.client_id == client_id)))


def items(run: SyncRun, *kinds: ItemKind) -> list[SyncItem]:
    """The run's items of these kinds, by prospect."""
    statement = (
        select(SyncItem)
        .where(SyncItem.run_id == run.id, SyncItem.kind.in_(kinds))
        .order_by(SyncItem.external_id)
        .options(undefer(SyncItem.before), undefer(SyncItem.after), undefer(SyncItem.payload))
    )
    return list(db.session.scalars(statement.execution_options(populate_existing=True)))


def reasons(run: SyncRun, *kinds: ItemKind) -> dict[str, str | None]:
    """Why, by prospect."""
    return {item.external_id: item.reason for item in items(run, *kinds)}


def events(client_id: UUID) -> list[tuple[str, dict[str, Any]]]:
    """The client's timeline, oldest first."""
    statement = (
        select(TimelineEvent).where(TimelineEvent.client_id == client_id).order_by(TimelineEvent.at, TimelineEvent.id)
    )
    return [(event.kind.value, event.changes) for event in db.session.scalars(statement)]
