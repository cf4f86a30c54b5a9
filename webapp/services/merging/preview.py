"""Several clients side by side, before they are merged: what is kept, what goes along, and what stands against it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.orm import aliased, joinedload

from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.banking import BankAccount, Mandate
from webapp.models.base import linked
from webapp.models.charges import Charge, ChargeStatus
from webapp.models.clients import Client, ClientStatus
from webapp.models.dunning import LIVING, DunningCase
from webapp.models.identity import User
from webapp.models.means_requests import OPEN, MeansRequest
from webapp.models.organisations import Company
from webapp.models.providers import DefaultMeans, ProviderAccount, SavedPaymentMethod
from webapp.models.subscriptions import TRANSITIONS, Subscription, SubscriptionStatus
from webapp.models.winleadplus import SyncMapping
from webapp.services.merging import moving
from webapp.services.merging.rights import check_right

MOST = 5
"""Clients that are merged at once."""
FIELDS: dict[str, tuple[str, ...]] = {
    "last_name": ("last_name",),
    "first_name": ("first_name",),
    "civility": ("civility",),
    "birth_date": ("birth_date",),
    "email": ("email",),
    "phone": ("phone",),
    "address": ("address_line1", "address_line2", "postcode", "city", "country"),
    "delivery": (
        "delivery_name",
        "delivery_line1",
        "delivery_line2",
        "delivery_postcode",
        "delivery_city",
        "delivery_country",
        "delivery_instructions",
    ),
    "status": ("status",),
    "commercial": ("commercial_id", "commercial_external_id"),
}
"""What is chosen in one, and the columns that it is."""
_SAYS_NOTHING = {"country", "delivery_country", "commercial_external_id"}
_FURTHEST = (ClientStatus.ACTIVE, ClientStatus.PROSPECT, ClientStatus.INACTIVE)
_LIVING_SUBSCRIPTIONS = [status for status in SubscriptionStatus if TRANSITIONS[status]]


class AlreadyMergedError(DomainError):
    """One of the clients was merged before."""


class Field(NamedTuple):
    """What is chosen in one: ``chosen`` is the client whose value stands, unless a person says otherwise.

    ``differs`` where two say different things, ``is_same`` where there is nothing to choose, ``is_empty`` where none
    says anything.
    """

    key: str
    chosen: UUID
    differs: bool
    is_same: bool = False
    is_empty: bool = False


class DefaultChoice(NamedTuple):
    """A company with which several of the clients have a default means of payment; one stays, and a person says which.

    ``means`` are how each is called, by client.
    """

    company_id: UUID
    company: str
    means: Mapping[UUID, str]


@dataclass(frozen=True)
class Preview:
    """What a page shows. ``clients`` begin with the one that is kept unless a person says otherwise.

    ``counts`` are how many rows of each table belong to each. ``obstacles`` forbid the merge until they are out of the
    way; ``warnings`` ask for a yes.
    """

    clients: Sequence[Client]
    fields: Sequence[Field]
    counts: Mapping[UUID, Mapping[str, int]]
    defaults: Sequence[DefaultChoice]
    obstacles: Sequence[str]
    warnings: Sequence[str]

    @property
    def kept(self) -> Client:
        """The client that is kept unless a person says otherwise."""
        return self.clients[0]


def preview(client_ids: Sequence[UUID], *, by: User, kept_id: UUID | None = None) -> Preview:
    """The clients as they would be merged, into the one that a person wants to keep, if any.

    Raises NotFoundError; ForbiddenError; InvalidInputError for fewer than two or more than MOST; AlreadyMergedError.
    """
    clients = find_clients(client_ids, by=by)
    counts = moving.count_belongings([client.id for client in clients])
    clients.sort(key=lambda client: (client.id != kept_id, *_rank(client, counts[client.id])))
    heard_at = _last_heard([client.id for client in clients])
    return Preview(
        clients=clients,
        fields=[_field(key, clients, heard_at) for key in FIELDS],
        counts=counts,
        defaults=list_default_choices([client.id for client in clients]),
        obstacles=list_obstacles([client.id for client in clients]),
        warnings=_list_warnings([client.id for client in clients]),
    )


def find_clients(client_ids: Sequence[UUID], *, by: User) -> list[Client]:
    """The clients, if they can be merged by ``by``. Raises as ``preview`` does."""
    wanted = list(dict.fromkeys(client_ids))
    if len(wanted) < len(client_ids):
        raise InvalidInputError("Un client ne peut pas être fusionné avec lui-même.", field="fiche")
    if not 2 <= len(wanted) <= MOST:
        raise InvalidInputError(f"Choisissez de deux à {MOST} clients à fusionner.", field="fiche")
    statement = select(Client).where(Client.id.in_(wanted)).options(joinedload(Client.commercial))
    clients = list(db.session.scalars(statement.execution_options(populate_existing=True)))
    if len(clients) < len(wanted):
        raise NotFoundError("Un de ces clients n’existe pas ou plus.")
    check_right(wanted, by)
    for client in clients:
        if client.merged_into_id is not None:
            raise AlreadyMergedError(f"{client.full_name} a déjà été fusionné dans un autre client.")
        if client.erased_at is not None:
            raise DomainError("Un de ces clients a été effacé\u202f: il n’en reste rien à fusionner.")
        if client.archived_at is not None:
            raise DomainError(f"{client.full_name} est archivé\u202f: sortez ce client des archives d’abord.")
    return clients


def _rank(client: Client, counts: Mapping[str, int]) -> tuple[bool, bool, datetime, UUID]:
    """The one that is kept comes first: with subscriptions, else with contracts, else the older."""
    return not counts.get("subscriptions"), not counts.get("contracts"), client.created_at, client.id


def _last_heard(client_ids: Sequence[UUID]) -> dict[UUID, datetime]:
    """When WinLeadPlus last said something new of each."""
    statement = select(SyncMapping.client_id, func.max(SyncMapping.synced_at)).group_by(SyncMapping.client_id)
    return dict(db.session.execute(statement.where(SyncMapping.client_id.in_(client_ids))).all())


def _field(key: str, clients: Sequence[Client], heard_at: Mapping[UUID, datetime]) -> Field:
    """What is filled beats what is empty, and the newer word of WinLeadPlus what has not changed since."""
    values = {client.id: value_of(client, key) for client in clients}
    kept = clients[0]
    filled = [client for client in clients if values[client.id]]
    differs = len({values[client.id] for client in filled}) > 1
    if len(set(values.values())) == 1:
        return Field(key, kept.id, differs=False, is_same=True, is_empty=not filled)
    if key == "status":
        return Field(key, min(filled, key=lambda client: _FURTHEST.index(client.status)).id, differs)
    heard = [client for client in filled if client.id in heard_at and key not in ("civility", "delivery", "birth_date")]
    newest = max(heard, key=lambda client: heard_at[client.id], default=None)
    if newest is not None and (kept not in filled or heard_at[newest.id] > kept.changed_at):
        return Field(key, newest.id, differs)
    return Field(key, filled[0].id, differs)


def value_of(client: Client, key: str) -> tuple[Any, ...]:
    """The columns of a field as they stand; empty where none says anything."""
    columns = FIELDS[key]
    if not any(getattr(client, name) for name in columns if name not in _SAYS_NOTHING):
        return ()
    return tuple(getattr(client, name) for name in columns)


# ---- What stands against it


def list_obstacles(client_ids: Sequence[UUID]) -> list[str]:
    """What must be out of the way first, in sentences: nothing about money is guessed."""
    cases = _companies_of_several(
        select(DunningCase.company_id, DunningCase.client_id).where(DunningCase.status.in_(LIVING)), client_ids
    )
    requests = _companies_of_several(
        select(ProviderAccount.company_id, MeansRequest.client_id)
        .join(ProviderAccount, linked(ProviderAccount, MeansRequest.provider_account_id))
        .where(MeansRequest.status.in_(OPEN)),
        client_ids,
    )
    sending = select(Charge.id).where(Charge.client_id.in_(client_ids), Charge.status == ChargeStatus.SENDING).limit(1)
    obstacles = [
        f"Deux dossiers de relance sont en cours avec {name}\u202f: soldez ou clôturez l’un des deux d’abord."
        for name in cases
    ]
    obstacles += [
        f"Deux demandes de moyen de paiement sont en cours avec {name}\u202f: annulez l’une des deux d’abord."
        for name in requests
    ]
    if db.session.scalar(sending) is not None:
        obstacles.append("Un prélèvement est en cours d’envoi\u202f: réessayez dans quelques instants.")
    return obstacles


def _list_warnings(client_ids: Sequence[UUID]) -> list[str]:
    living = select(Subscription.company_id, Subscription.client_id).where(
        Subscription.status.in_(_LIVING_SUBSCRIPTIONS)
    )
    return [
        f"Plusieurs de ces clients ont un abonnement en cours avec {name}\u202f: tous continueront d’être prélevés, "
        "chacun par le moyen qu’il a aujourd’hui."
        for name in _companies_of_several(living, client_ids)
    ]


def _companies_of_several(rows: Select[UUID, UUID], client_ids: Sequence[UUID]) -> Sequence[str]:
    """The companies, by name, with which more than one of the clients has such a row."""
    found = rows.subquery()
    several = (
        select(found.c.company_id)
        .where(found.c.client_id.in_(client_ids))
        .group_by(found.c.company_id)
        .having(func.count(found.c.client_id.distinct()) > 1)
    )
    return db.session.scalars(select(Company.name).where(Company.id.in_(several)).order_by(Company.name)).all()


def list_default_choices(client_ids: Sequence[UUID]) -> list[DefaultChoice]:
    """The companies with which several of the clients have a default means of payment."""
    account = aliased(BankAccount)
    rows = db.session.execute(
        select(DefaultMeans, Company.name, SavedPaymentMethod.label, account.iban_masked)
        .join(Company, linked(Company, DefaultMeans.company_id))
        .outerjoin(SavedPaymentMethod, linked(SavedPaymentMethod, DefaultMeans.saved_method_id))
        .outerjoin(Mandate, linked(Mandate, DefaultMeans.mandate_id))
        .outerjoin(account, linked(account, Mandate.bank_account_id))
        .where(DefaultMeans.client_id.in_(client_ids))
        .order_by(Company.name, DefaultMeans.company_id)
    ).all()
    by_company: dict[tuple[UUID, str], dict[UUID, str]] = {}
    for default, company, label, iban in rows:
        words = label or f"mandat SEPA sur {iban}"
        by_company.setdefault((default.company_id, company), {})[default.client_id] = words
    return [
        DefaultChoice(company_id, company, means)
        for (company_id, company), means in by_company.items()
        if len(means) > 1
    ]
