"""Once a week the operator's list of open files beside ours: what differs becomes a task for a person.

``GET /files?state=open`` of whoever we tell of files answers ``[{external_id, revision, state}]``. A task that is still
to be done is not made again, so that a comparison that comes by twice makes nothing more.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from uuid import UUID

import orjson
import structlog
from sqlalchemy import or_, select

from webapp import clock, queue, tenancy
from webapp.extensions import db
from webapp.gateways import operators as gateway
from webapp.gateways.operators import MayPassError, RefusedError
from webapp.models.claims import OPEN, Claim
from webapp.models.operators import CoverOperator
from webapp.models.tasks import Task
from webapp.services import each_organisation
from webapp.services.clients import tasks
from webapp.services.clients.tasks import NewTask
from webapp.services.dunning import days
from webapp.transactions import let_go, transaction

log = structlog.get_logger()

JOB = "jobs.operators.compare"
LONGEST_LIST = 5_000_000
"""Bytes."""


def ring(*, at: datetime) -> int:
    """Have every organisation compared that tells an operator of files; returns how many."""
    told = select(CoverOperator.organisation_id).where(
        CoverOperator.delivery_url.is_not(None), CoverOperator.revoked_at.is_(None)
    )
    return each_organisation.ring(JOB, told, on="webhooks")


def compare(organisation_id: UUID) -> int:
    """Ask the operator that the organisation tells of files for its open ones; returns how many tasks came of it."""
    queue.heard(JOB, organisation_id)
    with tenancy.organisation(organisation_id):
        operator = db.session.scalar(
            select(CoverOperator).where(CoverOperator.delivery_url.is_not(None), CoverOperator.revoked_at.is_(None))
        )
        if operator is None or operator.delivery_url is None:
            return 0
        operator_id, url = operator.id, operator.delivery_url
        let_go()
        try:
            listed = _read(gateway.fetch_open_files(url, most=LONGEST_LIST))
        except (MayPassError, RefusedError) as error:
            log.warning("operator_not_compared", reference=str(operator_id), exc_type=type(error).__name__)
            return 0
        return _write(operator_id, listed, at=clock.now())


def _read(content: bytes) -> dict[str, int]:
    """The revision of each file by the operator's number. Raises RefusedError for what is no such list."""
    try:
        return {str(each["external_id"]): int(each["revision"]) for each in orjson.loads(content)}
    except (ValueError, TypeError, KeyError):
        raise RefusedError("Cette liste ne se lit pas.") from None


def _write(operator_id: UUID, listed: Mapping[str, int], *, at: datetime) -> int:
    with transaction():
        claims = db.session.scalars(
            select(Claim)
            .where(Claim.operator_id == operator_id, Claim.external_id.is_not(None))
            .where(or_(Claim.status.in_(OPEN), Claim.external_id.in_(listed)))
            .order_by(Claim.id)
        ).all()
        unknown = len(listed.keys() - {claim.external_id for claim in claims})
        if unknown:
            log.warning("operator_files_unknown", reference=str(operator_id), count=unknown)
        found = {claim.id: (claim, sentence) for claim in claims for sentence in _differences(claim, listed)}
        open_tasks = select(Task.claim_id, Task.title).where(Task.claim_id.in_(found), Task.done_at.is_(None))
        standing = {tuple(row) for row in db.session.execute(open_tasks)}
        wanted = [
            NewTask(claim.client_id, sentence, days.local(at), claim.id)
            for claim, sentence in found.values()
            if (claim.id, sentence) not in standing
        ]
        tasks.add_and_tell(wanted, at=at)
    return len(wanted)


def _differences(claim: Claim, listed: Mapping[str, int]) -> Iterator[str]:
    """What differs of a file, in a sentence: one at most."""
    revision = listed.get(claim.external_id or "")
    if revision is None:
        yield f"Dossier {claim.reference}\u202f: l’opérateur ne l’a plus parmi ses dossiers ouverts."
    elif not claim.status.is_open:
        state = claim.status.label.lower()
        yield f"Dossier {claim.reference}\u202f: l’opérateur l’a encore ouvert, il est «\u00a0{state}\u00a0» ici."
    elif revision > (claim.revision or 0):
        yield f"Dossier {claim.reference}\u202f: une nouvelle de l’opérateur ne nous est pas parvenue."
