"""A claim file on its way: begun, closed, canceled, reopened."""

from datetime import datetime
from uuid import UUID

from webapp.models.claims import REOPENED_WITHIN, Claim, ClaimStatus
from webapp.models.identity import User
from webapp.services.claims import accounts, doubting, recording
from webapp.services.claims.recording import ClaimStateError, Held
from webapp.services.covers.terms import NOTHING
from webapp.transactions import transaction


def start(claim_id: UUID, *, version: int | None, by: User | None, at: datetime) -> Claim:
    """Somebody repairs. Raises NotFoundError, EditConflictError, ClaimStateError."""
    with transaction():
        claim, held = recording.hold(claim_id, version=version, at=at)
        _move(claim, ClaimStatus.IN_PROGRESS, held, reason=None, by=by)
    return claim


def close(claim_id: UUID, *, version: int | None, by: User | None, at: datetime) -> Claim:
    """It is done: nothing more is expected to be paid. Raises NotFoundError, EditConflictError, ClaimStateError."""
    with transaction():
        claim, held = recording.hold(claim_id, version=version, at=at)
        if claim.status is ClaimStatus.IN_PROGRESS and claim.asked is None:
            raise ClaimStateError("Le montant demandé n’est pas connu\u202f: corrigez-le avant de clore le dossier.")
        claim.closed_at = held.at
        accounts.set_reserve(claim, NOTHING, by=by, at=held.at)
        _move(claim, ClaimStatus.CLOSED, held, reason=None, by=by)
    return claim


def cancel(claim_id: UUID, *, reason: str, version: int | None, by: User | None, at: datetime) -> Claim:
    """Nothing comes of it: what it used of its cover is given back.

    Raises NotFoundError, EditConflictError; ClaimStateError, also where something was paid; InvalidInputError.
    """
    with transaction():
        claim, held = recording.hold(claim_id, version=version, at=at)
        why = recording.checked_reason(reason)
        accounts.check_nothing_paid(claim)
        accounts.give_back(claim, by=by, at=held.at)
        accounts.set_reserve(claim, NOTHING, by=by, at=held.at)
        _move(claim, ClaimStatus.CANCELED, held, reason=why, by=by)
        doubting.look_at(held)
    return claim


def reopen(claim_id: UUID, *, reason: str, version: int | None, by: User | None, at: datetime) -> Claim:
    """Let a closed file go on, within 90 days of its end.

    Raises NotFoundError, EditConflictError, ClaimStateError; InvalidInputError without a reason.
    """
    with transaction():
        claim, held = recording.hold(claim_id, version=version, at=at)
        why = recording.checked_reason(reason)
        if claim.closed_at is not None and held.at - claim.closed_at > REOPENED_WITHIN:
            raise ClaimStateError(
                f"Ce dossier est clos depuis plus de {REOPENED_WITHIN.days} jours\u202f: déclarez un nouveau sinistre."
            )
        if claim.status is not ClaimStatus.CLOSED:
            raise ClaimStateError("Seul un dossier clos se rouvre.")
        claim.closed_at = None
        _move(claim, ClaimStatus.IN_PROGRESS, held, reason=why, by=by)
    return claim


def _move(claim: Claim, status: ClaimStatus, held: Held, *, reason: str | None, by: User | None) -> None:
    recording.move_and_tell(claim, status, reason=reason, by=by, at=held.at)
    recording.finish(claim, at=held.at)
