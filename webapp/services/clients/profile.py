"""Everything about one client, for its page: a fixed number of queries however much there is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import joinedload, undefer

from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.clients import Client
from webapp.models.commercials import Commercial
from webapp.models.contracts import Contract
from webapp.models.identity import User
from webapp.models.tasks import Task
from webapp.models.winleadplus import SyncMapping
from webapp.services.clients.activities import list_open_tasks
from webapp.services.clients.banking import may_reveal
from webapp.services.clients.editing import present
from webapp.services.clients.field_origins import Provenance, find_provenance
from webapp.services.clients.payments import ClientAccount, list_accounts
from webapp.services.clients.timeline import Timeline, list_events

_SORT_KEYS = (undefer(Client.name_key), undefer(Client.city_key))
"""A client's place in the lists, which its page asks for to find who is before and after."""
_HEADER = (
    select(Client, Commercial)
    .outerjoin(Client.commercial)
    .where(Client.id == bindparam("client_id"))
    .options(*_SORT_KEYS)
)
_PROFILE = _HEADER.add_columns(
    select(func.max(SyncMapping.synced_at)).where(linked(Client, SyncMapping.client_id)).scalar_subquery(),
    Client.identity_card.is_not(None),
    select(func.max(SyncMapping.missing_since)).where(linked(Client, SyncMapping.client_id)).scalar_subquery(),
)
_CONTRACTS = (
    select(Contract)
    .where(Contract.client_id == bindparam("client_id"))
    .options(joinedload(Contract.lines), joinedload(Contract.commercial))
    .order_by(Contract.signed_on.desc().nulls_last(), Contract.reference)
)


@dataclass(frozen=True)
class ClientProfile:
    """A client and what belongs to it."""

    client: Client
    commercial: Commercial | None
    synced_at: datetime | None
    absent_since: datetime | None
    accounts: list[ClientAccount]
    contracts: list[Contract]
    tasks: Sequence[Task]
    timeline: Timeline
    may_reveal: bool
    has_identity_card: bool
    provenance: Provenance | None


@dataclass(frozen=True)
class Header:
    """What stands above every tab of a client's page."""

    client: Client
    commercial: Commercial | None
    may_reveal: bool


def find_header(client_id: UUID, *, viewer: User) -> Header:
    """The client and its commercial, and whether ``viewer`` may see bank details. Raises NotFoundError, MergedError."""
    row = db.session.execute(_HEADER, {"client_id": client_id}).first()
    if row is None:
        raise NotFoundError("Ce client n’existe pas ou plus.")
    client, commercial = row
    present(client)
    return Header(client, commercial, _may_reveal(viewer, client, commercial))


def find_profile(client_id: UUID, *, viewer: User, before: UUID | None = None) -> ClientProfile:
    """The client as ``viewer`` may see it, its timeline from the event ``before`` on.

    Raises NotFoundError, MergedError.
    """
    row = db.session.execute(_PROFILE, {"client_id": client_id}).first()
    if row is None:
        raise NotFoundError("Ce client n’existe pas ou plus.")
    client, commercial, last_sync, has_card, absent_since = row
    present(client)
    return ClientProfile(
        client=client,
        commercial=commercial,
        synced_at=last_sync,
        absent_since=absent_since,
        accounts=list_accounts(client_id),
        contracts=_list_contracts(client_id),
        tasks=list_open_tasks(client_id),
        timeline=list_events(client_id, before=before),
        may_reveal=_may_reveal(viewer, client, commercial),
        has_identity_card=has_card,
        provenance=find_provenance(client) if last_sync else None,
    )


def _may_reveal(viewer: User, client: Client, commercial: Commercial | None) -> bool:
    """Whether ``viewer`` may see bank details; of an erased client nobody may."""
    return client.erased_at is None and may_reveal(viewer, commercial)


def _list_contracts(client_id: UUID) -> list[Contract]:
    """The contracts with their lines and commercials, the latest signed first, those without a date last."""
    return list(db.session.scalars(_CONTRACTS, {"client_id": client_id}).unique())
