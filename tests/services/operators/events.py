"""An operator with a secret, and events as it tells them."""

from datetime import datetime
from typing import Any
from uuid import uuid4

import orjson
from sqlalchemy import select

from webapp import clock
from webapp.extensions import db
from webapp.models.claims import Claim
from webapp.models.covers import Cover
from webapp.models.identity import User
from webapp.models.operator_events import OperatorEvent
from webapp.models.operators import CoverOperator
from webapp.services.operators import connecting, handling, keys, receiving, signing
from webapp.services.operators.connecting import Direction

TYPES = {"declared": "claim.declared", "in_progress": "claim.updated", "closed": "claim.closed"}
SECRETS: dict[str, str] = {}
"""The secret of each operator that was made here, by its id."""


def make_operator(by: User, name: str = "Dépanneurs de Lille") -> CoverOperator:
    """One that may tell us of claims."""
    operator = keys.add_operator(name, by=by, at=clock.now()).operator
    made = connecting.new_secret(operator.id, Direction.THEIRS, seen=None, at=clock.now())
    SECRETS[str(operator.id)] = made.secret
    return operator


def claim_of(of: Cover | str, revision: int = 1, **fields: Any) -> dict[str, Any]:
    """A claim as an operator tells it."""
    return {
        "external_id": "OP-1",
        "revision": revision,
        "cover": of if isinstance(of, str) else of.code,
        "state": "declared",
        "trade": "plumbing",
        "event_on": "2026-11-19",
        "declared_on": "2026-11-19",
        "asked": "420.00",
        "words": "Fuite sous l’évier.",
    } | fields


def event_of(claim: dict[str, Any], kind: str | None = None) -> dict[str, Any]:
    """The envelope."""
    return {"version": "1", "type": kind or TYPES.get(claim["state"], "claim.canceled"), "data": {"claim": claim}}


def signed(operator: CoverOperator, body: bytes, *, message_id: str = "", at: datetime | None = None) -> dict[str, str]:
    """The headers of a message."""
    secret = SECRETS[str(operator.id)]
    return signing.sign([secret], message_id or f"msg_{uuid4().hex}", at or clock.now(), body)


def tell(operator: CoverOperator, claim: dict[str, Any], kind: str | None = None, *, message_id: str = "") -> None:
    """Receive an event, and leave it for a worker."""
    body = orjson.dumps(event_of(claim, kind))
    receiving.receive(operator.id, signed(operator, body, message_id=message_id), body, at=clock.now())


def hear(operator: CoverOperator, claim: dict[str, Any], kind: str | None = None) -> OperatorEvent:
    """Receive an event and handle it; the event."""
    tell(operator, claim, kind)
    handling.handle_due(operator.organisation_id)
    return latest()


def latest() -> OperatorEvent:
    """The event that was received last, as it is now."""
    statement = select(OperatorEvent).order_by(OperatorEvent.id.desc()).limit(1)
    return db.session.scalars(statement.execution_options(populate_existing=True)).one()


def file_of(external_id: str = "OP-1") -> Claim:
    """The file, as it is now."""
    statement = select(Claim).where(Claim.external_id == external_id)
    return db.session.scalars(statement.execution_options(populate_existing=True)).one()
