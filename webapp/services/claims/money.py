"""What a claim costs: what is still expected, what was paid, what came back. Entries, which are only ever added."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from webapp import french
from webapp.errors import InvalidInputError
from webapp.models.claims import Claim, ClaimStatus, EntryKind
from webapp.models.identity import User
from webapp.models.timeline import EventKind
from webapp.services.claims import accounts, recording
from webapp.services.claims.accounts import Sums
from webapp.services.claims.recording import ClaimStateError
from webapp.services.covers.terms import GREATEST_AMOUNT
from webapp.transactions import transaction

PAYING = (ClaimStatus.ACCEPTED, ClaimStatus.IN_PROGRESS, ClaimStatus.CLOSED)
NOTE_LENGTH = 300


def set_reserve(
    claim_id: UUID, amount: Decimal | None, *, note: str, version: int | None, by: User, at: datetime
) -> Claim:
    """Say what an open file is still expected to cost: the same as before, it was looked at.

    Raises NotFoundError, EditConflictError, ClaimStateError; InvalidInputError (fields « amount », « note »).
    """
    with transaction():
        claim, held = recording.hold(claim_id, version=version, at=at)
        if not claim.status.is_open:
            raise ClaimStateError(f"Un dossier «\u00a0{claim.status.label}\u00a0» n’a plus de provision.")
        checked, why = _checked(amount, least=Decimal(0)), _checked_note(note)
        change = accounts.set_reserve(claim, checked, by=by, at=held.at, note=why)
        claim.reserve_seen_at = held.at
        if change:
            _tell(claim, EntryKind.RESERVE, change, why, by=by, at=held.at)
        recording.finish(claim, at=held.at)
    return claim


def add_paid(
    claim_id: UUID, amount: Decimal | None, *, note: str, version: int | None, by: User, at: datetime
) -> Claim:
    """Write that something was paid for an accepted file; so much less is still expected.

    More than what is covered needs a note. Raises NotFoundError, EditConflictError, ClaimStateError; InvalidInputError.
    """
    with transaction():
        claim, held = recording.hold(claim_id, version=version, at=at)
        sums = _sums_of_paying(claim)
        checked, why = _checked(amount), _checked_note(note)
        if sums.borne + checked > claim.covered and why is None:
            covered = french.short_money(claim.covered)
            raise InvalidInputError(f"C’est plus que les {covered} pris en charge\u202f: dites pourquoi.", field="note")
        accounts.add_entry(claim, EntryKind.PAID, checked, note=why, by=by, at=held.at)
        accounts.set_reserve(claim, sums.reserve - checked, by=by, at=held.at)
        _tell(claim, EntryKind.PAID, checked, why, by=by, at=held.at)
        recording.finish(claim, at=held.at)
    return claim


def add_recovered(
    claim_id: UUID, amount: Decimal | None, *, note: str, version: int | None, by: User, at: datetime
) -> Claim:
    """Write that something of what was paid came back, from whoever is liable or because it was paid by mistake.

    Raises NotFoundError, EditConflictError, ClaimStateError; InvalidInputError (fields « amount », « note »).
    """
    with transaction():
        claim, held = recording.hold(claim_id, version=version, at=at)
        sums = accounts.sums_of(claim.id)
        checked, why = _checked(amount), _checked_note(note)
        if checked > sums.borne:
            paid = french.short_money(sums.borne)
            raise InvalidInputError(f"{paid} ont été payés et non récupérés\u202f: pas davantage.", field="amount")
        accounts.add_entry(claim, EntryKind.RECOVERED, checked, note=why, by=by, at=held.at)
        _tell(claim, EntryKind.RECOVERED, checked, why, by=by, at=held.at)
        recording.finish(claim, at=held.at)
    return claim


def _sums_of_paying(claim: Claim) -> Sums:
    if claim.status not in PAYING:
        raise ClaimStateError(f"Rien ne se paie pour un dossier «\u00a0{claim.status.label}\u00a0».")
    return accounts.sums_of(claim.id)


def _checked(amount: Decimal | None, *, least: Decimal = Decimal("0.01")) -> Decimal:
    if amount is None or not amount.is_finite():
        raise InvalidInputError("Indiquez un montant.", field="amount")
    if not least <= amount <= GREATEST_AMOUNT:
        most = french.short_money(GREATEST_AMOUNT)
        raise InvalidInputError(f"Le montant est de {french.short_money(least)} à {most}.", field="amount")
    if amount != round(amount, 2):
        raise InvalidInputError("Un montant s’écrit avec deux décimales au plus.", field="amount")
    return amount


def _checked_note(written: str) -> str | None:
    note = recording.checked_reason(written, is_needed=False, field="note")
    if note and len(note) > NOTE_LENGTH:
        raise InvalidInputError(f"Une remarque a {NOTE_LENGTH} caractères au plus.", field="note")
    return note


def _tell(claim: Claim, kind: EntryKind, amount: Decimal, note: str | None, *, by: User | None, at: datetime) -> None:
    changes: dict[str, list[str | None]] = {f"claim_{kind.value}": [None, recording.as_told(amount)]}
    if note:
        changes["reason"] = [None, note]
    recording.tell(claim, EventKind.CLAIM_CHANGED, changes, by=by, at=at)
