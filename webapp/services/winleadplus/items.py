"""How a person ends what a run left open: « Rattacher à … », « Créer », « Réessayer ».

They work from the raw prospect that the item keeps, encrypted, so that no new run is needed.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import psycopg
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import undefer

from webapp.errors import DomainError, NotFoundError
from webapp.extensions import db
from webapp.gateways.json_stream import decode
from webapp.models.clients import Client
from webapp.models.winleadplus import ItemKind, SyncItem, SyncMapping
from webapp.services.winleadplus import config, field_changes
from webapp.services.winleadplus.applying import Applier, Incoming
from webapp.services.winleadplus.comparing import fingerprint_of
from webapp.services.winleadplus.payload import RejectedProspectError, external_id_of
from webapp.services.winleadplus.plans import Plan, Rules
from webapp.services.winleadplus.sellers import seller
from webapp.services.winleadplus.writing import Author
from webapp.transactions import transaction


class ItemSettledError(DomainError):
    """Somebody, or a later run, has ended the item already."""


class ItemRefusedError(DomainError):
    """The prospect still cannot become a client; the message says why."""


def link(item_id: UUID, client_id: UUID, *, by: UUID, at: datetime) -> UUID:
    """Make the item's prospect and the client one: the client's blanks are filled. Returns the client's id.

    Raises NotFoundError, ItemSettledError or ItemRefusedError.
    """
    with transaction():
        item, incoming = _open_item(item_id)
        if db.session.scalar(select(Client.id).where(Client.id == client_id)) is None:
            raise NotFoundError("Ce client n’existe pas ou plus.")
        _require_unmapped(client_id, incoming.external_id)
        plan = _apply(item, incoming, {incoming.external_id: client_id}, by=by, at=at)
        return _settle(item, plan, by=by, at=at)


def create(item_id: UUID, *, by: UUID, at: datetime) -> UUID:
    """Make a new client of the item's prospect, whoever resembles it. Returns its id.

    Raises NotFoundError, ItemSettledError or ItemRefusedError.
    """
    with transaction():
        item, incoming = _open_item(item_id)
        plan = _apply(item, incoming, {incoming.external_id: None}, by=by, at=at)
        return _settle(item, plan, by=by, at=at)


def retry(item_id: UUID, *, by: UUID, at: datetime) -> UUID | None:
    """Do with the prospect what a run would do now. Returns the client's id, None where it is ignored.

    Raises NotFoundError, ItemSettledError, or ItemRefusedError where the reason stands.
    """
    with transaction():
        item, incoming = _open_item(item_id)
        plan = _apply(item, incoming, {}, by=by, at=at)
        if plan.kind is ItemKind.SKIPPED and plan.client_id is None:
            _mark_settled(item, None, by=by, at=at)
            return None
        return _settle(item, plan, by=by, at=at)


def _open_item(item_id: UUID) -> tuple[SyncItem, Incoming]:
    item = db.session.scalar(
        select(SyncItem)
        .where(SyncItem.id == item_id)
        .options(undefer(SyncItem.payload))
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if item is None:
        raise NotFoundError("Cet élément n’existe pas ou plus.")
    if item.resolved_at is not None:
        raise ItemSettledError("Cet élément a déjà été traité.")
    if item.payload is None:
        raise ItemRefusedError("Le prospect n’a pas été conservé\u202f: relancez la synchronisation.")
    text: str = field_changes.unseal(
        item.payload, organisation_id=item.organisation_id, table_column="sync_items.payload", row_id=item.id
    )
    return item, _incoming(text)


def _incoming(text: str) -> Incoming:
    try:
        return Incoming(external_id_of(decode(text)), text, fingerprint_of(text))
    except (ValueError, RecursionError):
        raise ItemRefusedError("Ce prospect n’est pas lisible (JSON non valide).") from None
    except RejectedProspectError as error:
        raise ItemRefusedError(error.reason) from None


def _require_unmapped(client_id: UUID, external_id: str) -> None:
    other = db.session.scalar(
        select(SyncMapping.external_id).where(
            SyncMapping.client_id == client_id, SyncMapping.external_id != external_id
        )
    )
    if other is not None:
        raise ItemRefusedError(f"Ce client est déjà rattaché au prospect {other}.")


def _apply(item: SyncItem, incoming: Incoming, decided: Mapping[str, UUID | None], *, by: UUID, at: datetime) -> Plan:
    """Follow the rules of a run, but for what a person has decided. Raises ItemRefusedError."""
    company_id, currency = seller()
    rules = Rules(item.organisation_id, config.find().import_without_contracts, decided)
    author = Author(item.organisation_id, item.run_id, company_id, currency, at, by)
    try:
        plan = Applier(author, rules).apply_one(incoming)
    except RejectedProspectError as error:
        raise ItemRefusedError(error.reason) from None
    except (IntegrityError, psycopg.IntegrityError):  # a run has written it since we looked
        raise ItemRefusedError("Ce prospect vient d’être traité ailleurs. Rechargez la page.") from None
    if plan.kind in (ItemKind.ERROR, ItemKind.CONFLICT):
        raise ItemRefusedError(plan.reason or item.reason or "")
    wanted = decided.get(incoming.external_id)
    if wanted is not None and plan.client_id != wanted:
        raise ItemRefusedError("Ce prospect est déjà rattaché à un autre client.")
    return plan


def _settle(item: SyncItem, plan: Plan, *, by: UUID, at: datetime) -> UUID:
    assert plan.client_id is not None  # noqa: S101  for mypy: what was not refused has its client
    _mark_settled(item, plan.client_id, by=by, at=at)
    return plan.client_id


def _mark_settled(item: SyncItem, client_id: UUID | None, *, by: UUID, at: datetime) -> None:
    """End the item, and what else stands open about the same prospect."""
    problems = (ItemKind.ERROR, ItemKind.CONFLICT)
    db.session.execute(
        update(SyncItem)
        .where(SyncItem.external_id == item.external_id, SyncItem.resolved_at.is_(None), SyncItem.kind.in_(problems))
        .values(resolved_at=at, resolved_by_id=by, client_id=client_id)
    )
