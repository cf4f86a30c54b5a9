"""What claims used of a cover: the entries of the ledger, as decisions and counters read them."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import select

from webapp.extensions import db
from webapp.models.claims import OPEN, Claim, ClaimEntry, EntryKind
from webapp.services.covers.claims import Entry


def list_entries(cover_id: UUID, *, besides: UUID | None = None) -> list[Entry]:
    """What was covered of a cover's claims, in the order in which it was written, but for the claim ``besides``."""
    return [entry for entry in list_entries_of([cover_id])[cover_id] if entry.claim_id != besides]


def list_entries_of(cover_ids: Collection[UUID]) -> dict[UUID, list[Entry]]:
    """The same of some covers, by cover, in one statement."""
    statement = (
        select(
            ClaimEntry.cover_id,
            ClaimEntry.claim_id,
            ClaimEntry.event_on,
            ClaimEntry.amount,
            ClaimEntry.option_code,
            ClaimEntry.draws_on_main,
            ClaimEntry.counts,
            ClaimEntry.holds_place,
        )
        .where(ClaimEntry.cover_id.in_(cover_ids), ClaimEntry.kind == EntryKind.COVERED)
        .order_by(ClaimEntry.at, ClaimEntry.id)
    )
    entries: dict[UUID, list[Entry]] = {cover_id: [] for cover_id in cover_ids}
    for row in db.session.execute(statement):
        entries[row.cover_id].append(
            Entry(
                claim_id=row.claim_id,
                event_on=row.event_on,
                covered=row.amount,
                option=row.option_code,
                draws_on_main=row.draws_on_main,
                counts=row.counts,
                holds_place=row.holds_place,
            )
        )
    return entries


def list_open_claims(cover_id: UUID) -> list[str]:
    """The references of the cover's claims that are not over: its home and its plan stay as they are until they are."""
    statement = select(Claim.reference).where(Claim.cover_id == cover_id, Claim.status.in_(OPEN))
    return list(db.session.scalars(statement.order_by(Claim.reference)))
