"""Handling: one event, one transaction. The file is opened or moved on, what is linked is written down to be fetched.

A worker that dies in between leaves a claim whose lease runs out; doing it again changes nothing.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, String, cast, func, select

from webapp import clock, queue, tenancy
from webapp.extensions import db
from webapp.models.claims import Claim
from webapp.models.covers import Cover
from webapp.models.events import EventState
from webapp.models.operator_events import OperatorEvent
from webapp.services import event_engine
from webapp.services.claims import reported
from webapp.services.covers import loading
from webapp.services.event_engine import DONE, Claimed, Engine, Outcome
from webapp.services.operators import contract, fetching
from webapp.services.operators.receiving import JOB
from webapp.transactions import transaction

ENGINE = Engine(OperatorEvent, job=JOB, told=("claim_id",), batch=50)
TURN = 500
"""Events that one job handles, about: what else waits in its queue gets a turn."""

PRUNED = "Son contenu a été effacé."
OLDER = "Révision {told}\u202f: la révision {known} du dossier est déjà connue."
ERASED_HERE = "Ce client a été effacé\u202f: plus rien n’est gardé de ce qui est dit de lui."
NO_COVER = "La couverture {code} n’existe pas (encore) ici."


def handle_due(organisation_id: UUID) -> int:
    """Handle the organisation's due events; returns how many were taken up."""
    queue.heard(JOB, organisation_id)
    taken = 0
    with tenancy.organisation(organisation_id):
        while taken < TURN and (claimed := ENGINE.claim(at=clock.now())):
            for each in claimed:
                handle(each)
            taken += len(claimed)
        if taken >= TURN:
            ENGINE.ring(organisation_id)
    return taken


def handle(claimed: Claimed) -> None:
    """Handle a claimed event. Safe to repeat. Raises OperationalError or InterfaceError where the database is away."""
    ENGINE.attempt(claimed, lambda: ENGINE.conclude(claimed, _handled), name=_name_file)


def _name_file(event: OperatorEvent) -> None:
    """Who reads what was refused finds the file that it was about, where there is one."""
    event.claim_id = db.session.scalar(_select_file(event).with_only_columns(Claim.id))


def _handled(event: OperatorEvent) -> Outcome:
    at = clock.now()
    body = event.body_in_clear()
    if body is None:
        return Outcome(EventState.IGNORED, PRUNED)
    told = contract.read(body, at=event.received_at)
    found = loading.lock_numbered(told.cover)
    if found is None:
        code = f"{Cover.LETTER}-{told.cover}"
        return Outcome(EventState.WAITING, NO_COVER.format(code=code), waits_for=f"cover:{told.cover}")
    cover, erased_at = found
    if erased_at is not None:
        ENGINE.forget([event])
        return Outcome(EventState.IGNORED, ERASED_HERE)
    claim = reported.apply(event.operator_id, cover, told.report, at=at)
    if claim is None:
        known = db.session.scalars(_select_file(event)).one()
        event.claim_id = known.id
        return Outcome(EventState.IGNORED, OLDER.format(told=told.report.revision, known=known.revision))
    event.claim_id = claim.id
    fetching.ask_for(claim, told.documents, at=at)
    return DONE


def _select_file(event: OperatorEvent) -> Select[Claim]:
    return select(Claim).where(Claim.operator_id == event.operator_id, Claim.external_id == event.external_id)


def wake(*, at: datetime) -> int:
    """Take up the events, of all organisations, whose cover has come; returns how many."""
    is_there = (
        select(Cover.id)
        .where(
            Cover.organisation_id == OperatorEvent.organisation_id,
            OperatorEvent.waits_for == func.concat("cover:", cast(Cover.number, String)),
        )
        .exists()
    )
    with tenancy.across_organisations(), transaction():
        return ENGINE.wake(
            OperatorEvent.waits_for.is_not(None), OperatorEvent.state == EventState.WAITING, is_there, at=at
        )


def sweep(*, at: datetime) -> int:
    """Wake what waits for a cover that has come, free what was abandoned, and ring; returns how many organisations."""
    wake(at=at - event_engine.PATIENCE)  # due so long ago that it is rung for at once
    return ENGINE.sweep(at=at)


def prune(*, at: datetime) -> int:
    """Empty some bodies that were handled long ago; returns how many."""
    return ENGINE.prune(at=at)
