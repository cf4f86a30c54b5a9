"""Requests that nobody makes by hand: a message brings the link with it.

One request at a time for a client and an account, as ever: where one is open, its link is handed on again.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import undefer

from webapp import tenancy
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.clients import Client
from webapp.models.means_requests import OPEN, MeansRequest, MeansRequestStatus
from webapp.models.timeline import EventKind
from webapp.services.means_requests import commands, looking
from webapp.services.means_requests.commands import LIFE, TOKEN_BYTES


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A means of payment that a client is to give, at one account.

    ``replaces_id`` is the card in whose place it comes. ``subscription_id`` with ``charge_id`` is what is paid in the
    same visit. The request lives until ``until``, and LIFE at least.
    """

    client_id: UUID
    account_id: UUID
    replaces_id: UUID | None = None
    subscription_id: UUID | None = None
    charge_id: UUID | None = None
    until: datetime | None = None


def ask(wishes: Sequence[Wish], *, at: datetime) -> list[MeansRequest | None]:
    """The request that answers each wish, handed on, in the caller's transaction, which writes the message.

    None where its provider shows no page, where what is open does not pay what is to be paid, or has just run out. Two
    statements for all, and one for each that is new.
    """
    accounts = {account.id for account in commands.list_accounts()} if wishes else set()
    possible = [wish for wish in wishes if wish.account_id in accounts]
    if not possible:
        return [None] * len(wishes)
    clients = {wish.client_id for wish in possible}
    db.session.execute(
        select(Client.id).where(Client.id.in_(clients)).order_by(Client.id).with_for_update(key_share=True)
    )
    open_ones = _load_open(clients)
    return [_answer(wish, open_ones, at=at) if wish.account_id in accounts else None for wish in wishes]


def _load_open(clients: set[UUID]) -> dict[tuple[UUID, UUID], MeansRequest]:
    statement = select(MeansRequest).where(MeansRequest.client_id.in_(clients), MeansRequest.status.in_(OPEN))
    locked = statement.order_by(MeansRequest.id).with_for_update().execution_options(populate_existing=True)
    found = db.session.scalars(locked.options(undefer(MeansRequest.token)))
    return {(request.client_id, request.provider_account_id): request for request in found}


def _answer(wish: Wish, open_ones: dict[tuple[UUID, UUID], MeansRequest], *, at: datetime) -> MeansRequest | None:
    key = wish.client_id, wish.account_id
    request = open_ones.get(key)
    if request is None:
        request = open_ones[key] = _create(wish, at=at)
    elif request.expires_at <= at or (wish.charge_id and request.charge_id != wish.charge_id):
        return None
    elif request.status is MeansRequestStatus.DRAFT:
        request.status, request.sent_at = MeansRequestStatus.SENT, at
    request.replaces_id = request.replaces_id or wish.replaces_id
    return request


def _create(wish: Wish, *, at: datetime) -> MeansRequest:
    request = MeansRequest(
        organisation_id=tenancy.current_organisation_id(),
        id=new_id(),
        client_id=wish.client_id,
        provider_account_id=wish.account_id,
        subscription_id=wish.subscription_id,
        charge_id=wish.charge_id,
        takes_payment=wish.charge_id is not None,
        replaces_id=wish.replaces_id,
        status=MeansRequestStatus.SENT,
        sent_at=at,
        expires_at=max(at + LIFE, wish.until or at),
        created_at=at,
    )
    request.keep_token(secrets.token_urlsafe(TOKEN_BYTES))
    db.session.add(request)
    db.session.flush()
    looking.tell(request, EventKind.MEANS_REQUESTED, {"means_request": [None, request.code]}, by=None, at=at)
    return request
