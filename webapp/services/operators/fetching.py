"""Files that operators add to claims: written down with the event, fetched by a job, checked as uploads are."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from webapp import clock, crypto, queue, tenancy
from webapp.extensions import db
from webapp.gateways import operators as gateway
from webapp.models.base import new_id
from webapp.models.claims import Claim
from webapp.models.events import EventState
from webapp.models.operator_events import OperatorDocument
from webapp.services.clients import documents
from webapp.services.event_engine import DONE, Claimed, Engine, Outcome
from webapp.services.operators.contract import LinkedDocument
from webapp.tenancy import current_organisation_id
from webapp.transactions import let_go

JOB = "jobs.operators.fetch"
ENGINE = Engine(OperatorDocument, job=JOB, told=("document_id",), batch=3)
FORGOTTEN = "L’adresse de ce fichier a été effacée."


def ask_for(claim: Claim, linked: Sequence[LinkedDocument], *, at: datetime) -> None:
    """Have the files fetched that were not asked for yet, in the caller's transaction."""
    if not linked or claim.operator_id is None:
        return
    organisation_id = current_organisation_id()
    rows = []
    for each in linked:
        row_id = new_id()
        place = f"{organisation_id}|{OperatorDocument.__tablename__}.url|{row_id}"
        rows.append(
            {
                "organisation_id": organisation_id,
                "id": row_id,
                "operator_id": claim.operator_id,
                "claim_id": claim.id,
                "external_id": each.external_id,
                "name": each.name,
                "url": crypto.seal(each.url, place=place),
                "received_at": at,
                "state": EventState.RECEIVED,
                "next_attempt_at": at,
            }
        )
    statement = insert(OperatorDocument).values(rows).on_conflict_do_nothing()
    db.session.execute(statement)
    ENGINE.ring(organisation_id)


def fetch_due(organisation_id: UUID) -> int:
    """Fetch the organisation's files that are due; returns how many were taken up."""
    queue.heard(JOB, organisation_id)
    taken = 0
    with tenancy.organisation(organisation_id):
        while claimed := ENGINE.claim(at=clock.now()):
            for each in claimed:
                ENGINE.attempt(each, partial(_fetch, each), passing=(gateway.MayPassError,))
            taken += len(claimed)
    return taken


def _fetch(claimed: Claimed) -> Outcome | None:
    """Fetch one file, outside any transaction, and keep it."""
    row = db.session.scalars(select(OperatorDocument).where(OperatorDocument.id == claimed.id)).one()
    url, name = row.url_in_clear(), row.name
    let_go()
    if url is None:
        return Outcome(EventState.IGNORED, FORGOTTEN)
    content = gateway.fetch(url, most=documents.SIZE_LIMIT)
    ENGINE.conclude(claimed, lambda row: _keep(row, name, content))
    return None


def _keep(row: OperatorDocument, name: str, content: bytes) -> Outcome:
    claim = db.session.scalars(select(Claim).where(Claim.id == row.claim_id)).one()
    kept = documents.add_document(claim.client_id, name, content, claim_id=claim.id, by=None, at=clock.now())
    db.session.flush()
    row.document_id = kept.id
    return DONE


def retry(document_id: UUID, *, at: datetime) -> UUID:
    """Fetch once more what failed; the claim it belongs to. Raises NotFoundError, EventStateError."""
    ENGINE.retry(document_id, at=at)
    statement = select(OperatorDocument.claim_id).where(OperatorDocument.id == document_id)
    return db.session.scalars(statement).one()


def sweep(*, at: datetime) -> int:
    """Free what was abandoned, and ring for what is due; returns how many organisations."""
    return ENGINE.sweep(at=at)
