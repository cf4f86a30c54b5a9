"""What an admin asks: what an erasure would do, and to do it."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from webapp import tenancy
from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.identity import User
from webapp.models.operations import ItemAction, ItemTarget, Operation, OperationItem, OperationKind
from webapp.models.personal_data import ERASED, reasons_to_keep
from webapp.services.merging import moving
from webapp.services.merging.tables import BELONGINGS
from webapp.services.operations import deciding, plans, runs
from webapp.services.operations.carry_out import carry_out
from webapp.services.rights import obstacles
from webapp.services.rights.erasing import check_admin, groups_of
from webapp.transactions import transaction

ON_REQUEST = "à la demande de la personne"
MOST = 500
"""Clients that are erased by one operation."""
GOES = (
    "Nom, civilité, date de naissance, e-mail, téléphone, adresses et pièce d’identité",
    "Notes, appels, tâches, documents et textes de l’historique",
    "Comptes bancaires, cartes, adresses de livraison, préférences et messages de cadeau",
    "Textes et adresses des messages, consentements",
    "Ce que gardent les synchronisations, les boutiques, les notifications des prestataires, les opérations, les "
    "fusions et les doublons, avec les valeurs d’avant",
    "Tous les fichiers d’export conservés de l’organisation, et les listes de mandats qui nomment cette personne",
)
"""What goes, in words."""


class StaleError(DomainError):
    """The client is not any more as the admin saw it."""


@dataclass(frozen=True)
class Preview:
    """What an erasure would do: to ``client``, and to those that were merged into it (``merged``).

    ``counts`` are how many rows of what belong to them, in words; ``obstacles`` forbid the erasure.
    """

    client: Client
    merged: Sequence[Client]
    counts: Sequence[tuple[str, int]]
    obstacles: Sequence[str]
    goes: Sequence[str]
    stays: Sequence[str]


def preview(client_id: UUID, *, by: User) -> Preview:
    """What an erasure would do. Raises ForbiddenError, NotFoundError."""
    check_admin(by)
    client = db.session.scalar(select(Client).where(Client.id == client_id))
    if client is None:
        raise NotFoundError("Ce client n’existe pas ou plus.")
    groups = groups_of([client_id])
    members = groups[client_id]
    merged = db.session.scalars(select(Client).where(Client.id.in_(members), Client.id != client_id)).all()
    return Preview(
        client=client,
        merged=merged,
        counts=_counts(members),
        obstacles=obstacles.find({client_id: members}).get(client_id, []),
        goes=GOES,
        stays=reasons_to_keep(),
    )


def _counts(members: Sequence[UUID]) -> list[tuple[str, int]]:
    counts = moving.count_belongings(list(members))
    totals = {table: sum(each.get(table, 0) for each in counts.values()) for table in BELONGINGS}
    return [
        (belonging.many if totals[table] > 1 else belonging.one, totals[table])
        for table, belonging in BELONGINGS.items()
        if belonging.one and totals[table]
    ]


def erase(client_id: UUID, *, typed: str, version: int, by: User, at: datetime) -> Operation:
    """Erase the client whose name was ``typed``, as it was seen at ``version``. Returns the operation, ended unless
    another process works on it.

    Raises ForbiddenError, NotFoundError; InvalidInputError, field ``nom``; StaleError; DomainError for what forbids it.
    """
    with transaction():
        shown = preview(client_id, by=by)
        if shown.obstacles:
            raise DomainError(" ".join(shown.obstacles))
        if shown.client.version != version:
            raise StaleError("Ce client a été modifié depuis\u202f: relisez, puis recommencez.")
        if not _is_name(typed, shown.client):
            raise InvalidInputError(f"Écrivez le nom du client\u202f: {shown.client.full_name}.", field="nom")
        operation_id = _plan({client_id: version}, ON_REQUEST, by=by, at=at)
        deciding.apply(operation_id, by=by, at=at)
    # Whoever asked is waiting. Should this process die, the sweep has another one do it.
    carry_out(tenancy.current_organisation_id(), operation_id)
    return runs.find(operation_id)


def erase_many(client_ids: Sequence[UUID], reason: str, *, typed: str, by: User, at: datetime) -> UUID:
    """Have the clients erased by a worker, once their number was ``typed``. Returns the operation's id.

    Raises ForbiddenError, NotFoundError; InvalidInputError, field ``client`` or ``nombre``.
    """
    check_admin(by)
    wanted = list(dict.fromkeys(client_ids))
    if not wanted:
        raise InvalidInputError("Choisissez au moins un client.", field="client")
    if len(wanted) > MOST:
        raise InvalidInputError(f"Choisissez {MOST} clients au plus.", field="client")
    if re.sub(r"\s", "", typed) != str(len(wanted)):
        raise InvalidInputError(f"Écrivez le nombre de clients choisis\u202f: {len(wanted)}.", field="nombre")
    with transaction():
        versions = dict(db.session.execute(select(Client.id, Client.version).where(Client.id.in_(wanted))).all())
        if len(versions) < len(wanted):
            raise NotFoundError("Un de ces clients n’existe pas ou plus.")
        operation_id = _plan({client_id: versions[client_id] for client_id in wanted}, reason, by=by, at=at)
        deciding.apply(operation_id, by=by, at=at)
    return operation_id


def _is_name(typed: str, client: Client) -> bool:
    names = (client.full_name, f"{client.first_name} {client.last_name}")
    return bool(typed.strip()) and _folded(typed) in {_folded(name) for name in names}


def _folded(name: str) -> str:
    plain = "".join(each for each in unicodedata.normalize("NFKD", name) if not unicodedata.combining(each))
    return " ".join(plain.casefold().split())


def _plan(versions: Mapping[UUID, int], reason: str, *, by: User, at: datetime) -> UUID:
    """An operation that erases these clients. It names nobody: it is kept."""
    number = len(versions)
    title = "Effacement d’un client" if number == 1 else f"Effacement de {number} clients"
    operation = plans.start_at_once(OperationKind.ERASURE, title, {"reason": reason}, by=by, at=at)
    db.session.add_all(
        OperationItem(
            operation_id=operation.id,
            position=position,
            target=ItemTarget.CLIENT,
            action=ItemAction.ERASE,
            row_id=client_id,
            client_id=client_id,
            label=ERASED,
            seen=str(version),
        )
        for position, (client_id, version) in enumerate(versions.items(), start=1)
    )
    plans.count(operation)
    return operation.id
