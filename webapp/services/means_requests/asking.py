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


def ask(wishes: Sequence[Wish], *, at: datetime, waits: bool = True) -> list[MeansRequest | None]:
    """The request that answers each wish, handed on, in the caller's transaction, which writes the message.

    One that was open may be for something else. None where its provider shows no page, or what is open has just run
    out. Whoever holds charges does not wait (``waits``) for a colleague who is about to ask the client: None, too.
    """
    accounts = {account.id for account in commands.list_accounts()} if wishes else set()
    clients = {wish.client_id for wish in wishes if wish.account_id in accounts}
    if not clients:
        return [None] * len(wishes)
    locking = select(Client.id).where(Client.id.in_(clients)).order_by(Client.id)
    locked = set(db.session.scalars(locking.with_for_update(key_share=True, skip_locked=not waits)))
    open_ones = _load_open(clients)
    known = set(open_ones)
    answers = [
        _answer(wish, open_ones, may_create=wish.client_id in locked, at=at) if wish.account_id in accounts else None
        for wish in wishes
    ]
    _keep([request for key, request in open_ones.items() if key not in known], at=at)
    return answers


def _load_open(clients: set[UUID]) -> dict[tuple[UUID, UUID], MeansRequest]:
    statement = select(MeansRequest).where(MeansRequest.client_id.in_(clients), MeansRequest.status.in_(OPEN))
    found = db.session.scalars(statement.order_by(MeansRequest.id).options(undefer(MeansRequest.token)))
    return {(request.client_id, request.provider_account_id): request for request in found}


def _answer(
    wish: Wish, open_ones: dict[tuple[UUID, UUID], MeansRequest], *, may_create: bool, at: datetime
) -> MeansRequest | None:
    key = wish.client_id, wish.account_id
    request = open_ones.get(key)
    if request is None:
        if may_create:
            request = open_ones[key] = _create(wish, at=at)
        return request
    if request.expires_at <= at:
        return None
    if request.status is MeansRequestStatus.DRAFT or (wish.replaces_id and request.replaces_id is None):
        _hand_on(request, wish, at=at)
    return request


def _hand_on(found: MeansRequest, wish: Wish, *, at: datetime) -> None:
    """Nobody is waited for: what somebody is at work on is being answered."""
    if found.number is None:  # a wish before this one has just made it
        return
    statement = select(MeansRequest).where(MeansRequest.id == found.id).with_for_update(skip_locked=True)
    request = db.session.scalar(
        statement.options(undefer(MeansRequest.token)).execution_options(populate_existing=True)
    )
    if request is None:
        return
    if request.status is MeansRequestStatus.DRAFT:
        request.status, request.sent_at = MeansRequestStatus.SENT, at
    request.replaces_id = request.replaces_id or wish.replaces_id


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
    return request


def _keep(requests: Sequence[MeansRequest], *, at: datetime) -> None:
    """Write the new ones, all at once."""
    db.session.add_all(requests)
    db.session.flush()
    for request in requests:
        looking.tell(request, EventKind.MEANS_REQUESTED, {"means_request": [None, request.code]}, by=None, at=at)
