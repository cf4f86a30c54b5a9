"""What we tell an operator: the files that colleagues declare, and what is decided of those that it repairs.

A row is written with the change it tells of; a job sends it, signed, with the file as it is by then, until it is taken.
Sent twice, it has the same id.
"""

from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from webapp import clock, queue, tenancy
from webapp.extensions import db
from webapp.gateways import operators as gateway
from webapp.gateways.operators import MayPassError
from webapp.models.base import new_id
from webapp.models.claims import Claim, ClaimChannel, ClaimDecision, ClaimStatus
from webapp.models.covers import CoveredHome
from webapp.models.events import EventState
from webapp.models.operator_events import OperatorDelivery
from webapp.models.operators import CoverOperator
from webapp.models.outbox import OutboxEvent
from webapp.services.claims import reported
from webapp.services.covers import loading
from webapp.services.covers.decisions import Decision
from webapp.services.event_engine import DONE, Claimed, Engine, Outcome
from webapp.services.operators import signing
from webapp.services.operators.contract import VERSION, EventType
from webapp.transactions import let_go

JOB = "jobs.operators.tell"
ENGINE = Engine(OperatorDelivery, job=JOB, batch=10)
NO_ADDRESS = "L’opérateur n’a plus d’adresse ou de secret."
ERASED = "Client effacé."
ACCEPTED = (ClaimStatus.ACCEPTED, ClaimStatus.IN_PROGRESS, ClaimStatus.CLOSED)
STATES = {ClaimStatus.IN_PROGRESS: "in_progress", ClaimStatus.CLOSED: "closed", ClaimStatus.CANCELED: "canceled"}


def follow(event: OutboxEvent) -> None:
    """Listens to the outbox: a file was declared or changed. What the operator said last is caught up with first."""
    if db.session.scalar(select(Claim.id).where(Claim.id == event.subject_id)) is None:
        return
    reported.catch_up(event.subject_id, at=event.occurred_at)
    statement = select(Claim).where(Claim.id == event.subject_id).with_for_update()
    claim = db.session.scalars(statement.execution_options(populate_existing=True)).one()
    operator = _addressee(claim)
    if operator is not None:
        _write(claim, operator, at=event.occurred_at)


def _addressee(claim: Claim) -> CoverOperator | None:
    """Who repairs, where it listens; of a file that colleagues declared, the operator that is told of those."""
    is_it = CoverOperator.id == claim.operator_id
    if claim.operator_id is None:
        if claim.channel is ClaimChannel.OPERATOR:
            return None
        is_it = CoverOperator.delivery_url.is_not(None)
    statement = select(CoverOperator).where(
        is_it, CoverOperator.revoked_at.is_(None), CoverOperator.delivery_url.is_not(None)
    )
    return db.session.scalar(statement.limit(1))


def _write(claim: Claim, operator: CoverOperator, *, at: datetime) -> None:
    """A row, where there is news; the caller holds the file."""
    told = told_of(claim)
    last = db.session.scalar(
        select(OperatorDelivery.told)
        .where(OperatorDelivery.claim_id == claim.id)
        .order_by(OperatorDelivery.id.desc())  # as they were written: the outbox delivers in any order
        .limit(1)
    )
    if last == told:
        return
    if claim.operator_id is None:
        claim.operator_id = operator.id
    is_first = last is None and claim.channel is not ClaimChannel.OPERATOR
    is_canceled = claim.status is ClaimStatus.CANCELED
    kind = EventType.DECLARED if is_first else EventType.CANCELED if is_canceled else EventType.UPDATED
    db.session.add(
        OperatorDelivery(
            id=new_id(),
            operator_id=operator.id,
            claim_id=claim.id,
            type=kind.value,
            revision=claim.version,
            told=told,
            received_at=at,
            next_attempt_at=at,
        )
    )
    db.session.flush()
    ENGINE.ring(claim.organisation_id)


def told_of(claim: Claim) -> dict[str, Any]:
    """What is news to an operator: what was declared and decided. Where it stands with the repair, it knows itself."""
    return {
        "outcome": "accepted" if claim.status in ACCEPTED else claim.status.value,
        "trade": claim.trade.value,
        "event_on": claim.event_on.isoformat(),
        "declared_on": claim.declared_on.isoformat(),
        "asked": _amount(claim.asked),
        "covered": _amount(claim.covered),
        "deductible": _amount(claim.deductible),
        "over": _amount(claim.over),
    }


def _amount(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:.2f}"


def tell_due(organisation_id: UUID) -> int:
    """Send what is due; returns how many were taken up. Who does not answer is asked no more in this round."""
    queue.heard(JOB, organisation_id)
    taken = 0
    with tenancy.organisation(organisation_id):
        while claimed := ENGINE.claim(at=clock.now()):
            silent: dict[UUID, MayPassError] = {}
            for each in claimed:
                ENGINE.attempt(each, partial(_tell, each, silent), passing=(MayPassError,))
            taken += len(claimed)
    return taken


def _tell(claimed: Claimed, silent: dict[UUID, MayPassError]) -> Outcome:
    """Send one message, outside any transaction. Raises MayPassError, RefusedError."""
    delivery = db.session.scalars(select(OperatorDelivery).where(OperatorDelivery.id == claimed.id)).one()
    operator_id = delivery.operator_id
    if operator_id in silent:
        raise silent[operator_id]
    message = _message(delivery)
    let_go()
    if isinstance(message, Outcome):
        return message
    try:
        gateway.deliver(*message)
    except MayPassError as error:
        silent[operator_id] = error
        raise
    return DONE


def _message(delivery: OperatorDelivery) -> Outcome | tuple[str, bytes, dict[str, str]]:
    """The address, body and headers; or why nothing is sent."""
    operator = db.session.scalars(select(CoverOperator).where(CoverOperator.id == delivery.operator_id)).one()
    secrets = operator.secrets_in_clear("delivery_secrets")
    if operator.delivery_url is None or operator.revoked_at is not None or not secrets:
        return Outcome(EventState.FAILED, NO_ADDRESS)
    statement = select(Claim).where(Claim.id == delivery.claim_id).options(joinedload(Claim.client))
    claim = db.session.scalars(statement).one()
    if claim.client.erased_at is not None:
        return Outcome(EventState.IGNORED, ERASED)
    body = orjson.dumps(envelope(delivery, claim))
    return operator.delivery_url, body, signing.sign(secrets, f"msg_{delivery.id.hex}", clock.now(), body)


def envelope(delivery: OperatorDelivery, claim: Claim) -> dict[str, Any]:
    """What is sent: the whole file as it is now, and whom to visit."""
    cover = loading.find_cover(claim.cover_id)
    home_on = loading.life_of(cover).home_on(claim.event_on)
    home_id = claim.home_id or (home_on.home_id if home_on else None)
    home = next((each.home for each in cover.homes if each.home_id == home_id), None)
    told = told_of(claim)
    amounts = {name: told.pop(name) for name in ("covered", "deductible", "over")}
    return {
        "version": VERSION,
        "type": delivery.type,
        "occurred_at": delivery.received_at.isoformat(),
        "data": {
            "claim": {
                "reference": claim.reference,
                "external_id": claim.external_id,
                "revision": claim.version,
                "cover": cover.code,
                "state": STATES.get(claim.status, "declared"),
                "decision": {"outcome": told.pop("outcome"), **amounts, "sentence": _sentence(claim)},
                **told,
                "event_time": claim.event_at.astimezone(clock.PARIS).strftime("%H:%M") if claim.event_at else None,
                "words": claim.words,
                "client": {"name": claim.client.full_name, "phone": claim.client.phone},
                "home": _home(home),
            }
        },
    }


def _sentence(claim: Claim) -> str | None:
    """Why it was decided so; None where a person decides, or the decision was erased."""
    statement = select(ClaimDecision).where(ClaimDecision.claim_id == claim.id)
    row = db.session.scalar(statement.order_by(ClaimDecision.at.desc(), ClaimDecision.id.desc()).limit(1))
    if row is None or not row.content:
        return None
    return row.reason or Decision.from_json(row.content).reason.sentence


def _home(home: CoveredHome | None) -> dict[str, Any] | None:
    if home is None:
        return None
    return {
        "address_line1": home.address_line1,
        "address_line2": home.address_line2,
        "postcode": home.postcode,
        "city": home.city,
        "access_notes": home.access_notes,
    }


def sweep(*, at: datetime) -> int:
    """Free what was abandoned, and ring for what is due; returns how many organisations."""
    return ENGINE.sweep(at=at)
