"""What every command on a claim file does: lock the cover, then the file; write rows that are only ever added; tell.

What one cover's files tell has one order: under the lock, each command is later than all before it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from uuid import UUID

from sqlalchemy import func, insert, select

from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.claims import Claim, ClaimChange, ClaimDecision, ClaimStatus
from webapp.models.covers import Cover
from webapp.models.identity import User
from webapp.models.outbox import OutboxKind
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services import outbox
from webapp.services.clients.activities import clean_lines
from webapp.services.concurrent_edits import EditConflictError
from webapp.services.covers import claims as declared
from webapp.services.covers import following, loading
from webapp.services.covers.decisions import Decision
from webapp.services.covers.lifetime import CoverLife

REASON_LENGTH = 500
_INSTANT = timedelta(microseconds=1)
_KEEP_DECISION = insert(ClaimDecision.__table__)  # type: ignore[arg-type]


class ClaimStateError(DomainError):
    """The state of the claim file, or of its client, does not allow this."""


@dataclass(frozen=True)
class Held:
    """A locked cover. ``at`` is when what is written now is told, later than all that its files tell so far.

    ``is_news``: its subscription had told something that nobody had written down yet. ``files`` is how many the cover
    had.
    """

    cover: Cover
    at: datetime
    is_news: bool
    files: int

    @cached_property
    def life(self) -> CoverLife:
        """What the cover promises, read once somebody asks: most of what an operator reports asks for no decision."""
        return loading.load_life(self.cover)


def find_claim(claim_id: UUID) -> Claim:
    """The claim file. Raises NotFoundError."""
    return _found(db.session.scalar(select(Claim).where(Claim.id == claim_id)))


def hold_cover(cover_id: UUID, *, at: datetime) -> Held:
    """Lock the cover until the transaction ends, and bring it up to date. Raises NotFoundError."""
    return hold_locked(loading.lock(cover_id), at=at)


def hold_locked(cover: Cover, *, at: datetime) -> Held:
    """Bring a cover up to date that the caller has locked."""
    is_untold = following.untold(cover).exists()
    files = select(func.count(), func.max(Claim.changed_at), is_untold).where(Claim.cover_id == cover.id)
    number, last, may_be_news = db.session.execute(files).one()
    is_news = may_be_news and following.catch_up(cover, at=at)
    return Held(cover, at if last is None else max(at, last + _INSTANT), is_news, number)


def hold(claim_id: UUID, *, version: int | None, at: datetime) -> tuple[Claim, Held]:
    """Lock a claim file and its cover, as the editor of ``version`` saw it where that is given.

    Raises NotFoundError, EditConflictError.
    """
    held = hold_cover(find_claim(claim_id).cover_id, at=at)
    statement = select(Claim).where(Claim.id == claim_id).with_for_update().execution_options(populate_existing=True)
    claim = _found(db.session.scalar(statement))
    if version is not None and version != claim.version:
        raise EditConflictError(
            "Ce dossier a changé depuis que vous l’avez ouvert\u202f: relisez-le, puis recommencez.",
            version=claim.version,
        )
    return claim, held


def _found(claim: Claim | None) -> Claim:
    if claim is None:
        raise NotFoundError("Ce dossier n’existe pas ou plus.")
    return claim


def as_declared(claim: Claim) -> declared.Claim:
    """What the file says, as decisions are made from it. Raises InvalidInputError for what no claim can say."""
    return declared.Claim(
        claim_id=claim.id,
        trade=claim.trade,
        event_on=claim.event_on,
        event_at=claim.event_at,
        declared_on=claim.declared_on,
        asked=claim.asked,
        home_id=claim.home_id,
    )


def checked_reason(written: str, *, is_needed: bool = True, field: str = "reason") -> str | None:
    """Why somebody does something, fit to be kept. Raises InvalidInputError."""
    reason = clean_lines(written)
    if not reason and is_needed:
        raise InvalidInputError("Indiquez le motif.", field=field)
    if len(reason) > REASON_LENGTH:
        raise InvalidInputError(f"Le motif a {REASON_LENGTH} caractères au plus.", field=field)
    return reason or None


def move(claim: Claim, status: ClaimStatus, *, reason: str | None, by: User | None, at: datetime) -> None:
    """Let the file come to another state. Raises ClaimStateError where TRANSITIONS does not lead there."""
    if not claim.can_become(status):
        raise ClaimStateError(
            f"Un dossier «\u00a0{claim.status.label}\u00a0» ne peut pas devenir «\u00a0{status.label}\u00a0»."
        )
    note_change(claim, claim.status, status, reason=reason, by=by, at=at)
    claim.status = status


def move_and_tell(claim: Claim, status: ClaimStatus, *, reason: str | None, by: User | None, at: datetime) -> None:
    """Likewise, and tell the client's timeline."""
    changes: dict[str, list[str | None]] = {"claim_status": [claim.status.label, status.label]}
    if reason:
        changes["reason"] = [None, reason]
    move(claim, status, reason=reason, by=by, at=at)
    tell(claim, EventKind.CLAIM_CHANGED, changes, by=by, at=at)


def note_change(
    claim: Claim, old: ClaimStatus | None, new: ClaimStatus, *, reason: str | None, by: User | None, at: datetime
) -> None:
    """Write a change of state down."""
    change = ClaimChange(id=new_id(), claim_id=claim.id, old_status=old, new_status=new, reason=reason, at=at)
    change.user_id = by.id if by else None
    db.session.add(change)


def keep_decision(
    claim: Claim,
    decision: Decision,
    status: ClaimStatus,
    *,
    at: datetime,
    covered: Decimal | None = None,
    is_override: bool = False,
    reason: str | None = None,
    by: User | None = None,
) -> ClaimDecision:
    """Store a decision whole. ``decision`` is what the rules say; status and ``covered`` are what was decided.

    The file stands in the database. What is returned belongs to no session.
    """
    kept = {
        "id": new_id(),
        "organisation_id": claim.organisation_id,
        "claim_id": claim.id,
        "at": at,
        "status": status,
        "covered": decision.covered if covered is None else covered,
        "content": decision.as_json(),
        "is_override": is_override,
        "reason": reason,
        "user_id": by.id if by else None,
    }
    # Past the session: entries of the ledger name it, and all that is pending would be written with it.
    db.session.connection().execute(_KEEP_DECISION, kept)
    return ClaimDecision(**kept)


def tell(claim: Claim, kind: EventKind, changes: dict[str, list[str | None]], *, by: User | None, at: datetime) -> None:
    """Tell the client's timeline, in the caller's transaction."""
    words = {"claim": [None, claim.reference], **changes}
    user_id = by.id if by else None
    db.session.add(TimelineEvent(client_id=claim.client_id, kind=kind, at=at, user_id=user_id, changes=words))


def as_told(amount: Decimal | None) -> str | None:
    """An amount as the timeline keeps it: « 24.00 EUR »."""
    return None if amount is None else f"{amount:.2f} EUR"


def finish(claim: Claim, *, at: datetime) -> None:
    """The last thing of every command: who has a form of the file open has to look again, and who repairs is told."""
    claim.version += 1
    claim.changed_at = at
    outbox.emit(OutboxKind.CLAIM_CHANGED, claim.id, at=at)
    db.session.flush()
