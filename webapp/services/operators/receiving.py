"""Receiving: what an operator tells is verified, read, kept as it came and answered at once; a job handles it.

A delivery that is answered 202 is kept for good. What makes no sense is refused with the field that is wrong, so that
whoever writes the sender sees it; what makes sense is never lost.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, or_, select
from sqlalchemy.dialects.postgresql import insert

from webapp import crypto, queue
from webapp.errors import DomainError, InvalidInputError
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.claims import Claim
from webapp.models.events import EventState
from webapp.models.operator_events import OperatorEvent
from webapp.models.operators import CoverOperator
from webapp.services.operators import contract, signing
from webapp.services.operators.contract import Told
from webapp.transactions import transaction

JOB = "jobs.operators.handle"
QUEUE = "webhooks"
LONGEST_ID = 200
UNKNOWN_FILE = "No file of yours has this reference."

# Made once, and sent past the session: what builds and looks through them would take as long as all the rest.
_OPERATOR = CoverOperator.__table__.c
_BY_ID = select(_OPERATOR.organisation_id, _OPERATOR.id, _OPERATOR.webhook_secrets).where(
    _OPERATOR.id == bindparam("operator_id"), _OPERATOR.revoked_at.is_(None)
)
_EVENT = OperatorEvent.__table__.c
_KEEP = insert(OperatorEvent.__table__).on_conflict_do_nothing().returning(_EVENT.id)  # type: ignore[arg-type]
_NOBODYS_SECRET = signing.new_secret()


class NotSignedError(DomainError):
    """Nobody whom we know has signed this, or not now."""

    status = 401


class Receipt(NamedTuple):
    """What an operator gets: the id of the event here, and whether it had been told before."""

    id: UUID
    is_repeated: bool


def receive(operator_id: UUID, headers: Mapping[str, str], body: bytes, *, at: datetime) -> Receipt:
    """Keep an event and ring for its handling. ``headers`` are in any case; ``body`` is raw.

    Raises NotSignedError; InvalidInputError, naming the field.
    """
    headers = {name.lower(): value for name, value in headers.items()}
    with transaction():
        operator = _verified(operator_id, headers, body, at=at)
        told = contract.read(body, at=at)
        _check_reference(operator, told)
        values = _event(operator, headers["webhook-id"], told, body, at=at)
        connection = db.session.connection()
        if connection.execute(_KEEP, values).first():
            queue.enqueue_once_after_commit(JOB, operator.organisation_id, on=QUEUE)
            return Receipt(values["id"], is_repeated=False)
        known = select(_EVENT.id).where(
            _EVENT.organisation_id == operator.organisation_id,
            _EVENT.operator_id == operator.id,
            _EVENT.message_id == headers["webhook-id"],
        )
        return Receipt(connection.execute(known).scalar_one(), is_repeated=True)


def _verified(operator_id: UUID, headers: Mapping[str, str], body: bytes, *, at: datetime) -> CoverOperator:
    """Who it is, of whatever organisation; it belongs to no session. Who is unknown is answered as slowly."""
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not message_id or len(message_id) > LONGEST_ID or not message_id.isprintable():
        raise NotSignedError(f"An id of 1 to {LONGEST_ID} characters.", field="webhook-id")
    instant = signing.read_instant(timestamp)
    if instant is None or abs(at - instant) > signing.TOLERANCE:
        raise NotSignedError("An instant in Unix seconds, at most five minutes from now.", field="webhook-timestamp")
    row = db.session.connection().execute(_BY_ID, {"operator_id": operator_id}).first()
    operator = CoverOperator(**row._mapping) if row else None
    known = operator.secrets_in_clear("webhook_secrets") if operator else []
    is_signed = signing.is_signed(
        headers.get("webhook-signature", ""), message_id, timestamp, body, known or [_NOBODYS_SECRET]
    )
    if operator is None or not known or not is_signed:
        raise NotSignedError("No secret of this operator has signed this.", field="webhook-signature")
    return operator


def _check_reference(operator: CoverOperator, told: Told) -> None:
    """A file of somebody else's is one that is not there."""
    if told.report.reference is None:
        return
    claim = Claim.__table__.c
    statement = select(claim.id).where(
        claim.organisation_id == operator.organisation_id,
        claim.operator_id == operator.id,
        claim.reference == told.report.reference,
        or_(claim.external_id.is_(None), claim.external_id == told.report.external_id),
    )
    if db.session.connection().execute(statement).first() is None:
        raise InvalidInputError(UNKNOWN_FILE, field="data.claim.reference")


def _event(operator: CoverOperator, message_id: str, told: Told, body: bytes, *, at: datetime) -> dict[str, Any]:
    row_id = new_id()
    return {
        "organisation_id": operator.organisation_id,
        "id": row_id,
        "operator_id": operator.id,
        "message_id": message_id,
        "type": told.type.value,
        "external_id": told.report.external_id,
        "revision": told.report.revision,
        "body": crypto.keyring().encrypt(body, place=OperatorEvent.body_place(operator.organisation_id, row_id)),
        "received_at": at,
        "state": EventState.RECEIVED,
        "next_attempt_at": at,
    }
