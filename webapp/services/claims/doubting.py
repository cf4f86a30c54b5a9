"""What a later correction makes doubtful is flagged for a person. Nothing is decided anew by itself."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, select

from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.claims import Claim, ClaimDecision, ClaimStatus
from webapp.models.outbox import OutboxEvent
from webapp.services.claims import recording
from webapp.services.claims.recording import Held
from webapp.services.covers import ledger, loading
from webapp.services.covers.claims import Entry
from webapp.services.covers.decisions import Decision
from webapp.services.covers.reviewing import Decided, left_to_review
from webapp.transactions import transaction

STANDING = (ClaimStatus.ACCEPTED, ClaimStatus.REFUSED, ClaimStatus.IN_PROGRESS, ClaimStatus.CLOSED)
"""A decision holds; otherwise somebody looks at the file anyway, or nobody needs to."""


def follow(event: OutboxEvent) -> None:
    """Listens to the outbox: what happened to a subscription may change what was decided of its cover's claims."""
    cover = loading.find_bare(event.subject_id)
    if cover is not None:
        look_again(cover.id, at=event.occurred_at)


def look_again(cover_id: UUID, *, at: datetime) -> None:
    """Flag the files of a cover whose decision would be another one by what is known now, and take back other flags.

    Raises NotFoundError.
    """
    if db.session.scalar(select(Claim.id).where(Claim.cover_id == cover_id).limit(1)) is None:
        return
    with transaction():
        look_at(recording.hold_cover(cover_id, at=at))


def look_at(held: Held) -> None:
    """The same, in the caller's transaction, who has the cover locked."""
    db.session.flush()
    claims = _list_claims(held.cover.id)
    entries: dict[UUID, list[Entry]] = {}
    for entry in ledger.list_entries(held.cover.id):
        entries.setdefault(entry.claim_id, []).append(entry)
    decided = [Decided(each.decision, tuple(entries.get(each.claim.id, ())), each.since) for each in claims]
    doubts = {doubt.claim_id: doubt.sentence for doubt in left_to_review(held.life, decided)}
    for claim in (each.claim for each in claims):
        doubt = doubts.get(claim.id) if claim.status in STANDING else None
        if claim.doubt != doubt:
            claim.doubt = doubt
            recording.finish(claim, at=held.at)


class _Looked(NamedTuple):
    """A file with its last decision, and since when it is decided."""

    claim: Claim
    decision: Decision
    since: datetime


def _list_claims(cover_id: UUID) -> Sequence[_Looked]:
    """The files of a cover, locked, in the order in which they were first decided; without what was erased."""
    of_claim, in_time = ClaimDecision.claim_id, (ClaimDecision.at, ClaimDecision.id)
    ranked = (
        select(
            ClaimDecision.claim_id,
            ClaimDecision.content,
            func.min(ClaimDecision.at).over(partition_by=of_claim).label("since"),
            func.lead(ClaimDecision.id).over(partition_by=of_claim, order_by=in_time).label("next_id"),
        )
        .join(Claim, linked(Claim, ClaimDecision.claim_id))
        .where(Claim.cover_id == cover_id)
        .subquery()
    )
    last = select(ranked.c.claim_id, ranked.c.content, ranked.c.since).where(ranked.c.next_id.is_(None))
    rows = {row.claim_id: row for row in db.session.execute(last)}
    statement = select(Claim).where(Claim.cover_id == cover_id, Claim.id.in_(rows)).with_for_update()
    claims = db.session.scalars(statement.execution_options(populate_existing=True)).all()
    looked = [
        _Looked(claim, Decision.from_json(rows[claim.id].content), rows[claim.id].since)
        for claim in claims
        if rows[claim.id].content
    ]
    return sorted(looked, key=lambda each: each.since)
