"""The ledger of a claim file: entries are only ever added; a correction is a further one, with its sign."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import func, select

from webapp import french
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.claims import Claim, ClaimDecision, ClaimEntry, EntryKind
from webapp.models.identity import User
from webapp.services.claims import reserves
from webapp.services.claims.recording import ClaimStateError
from webapp.services.covers.claims import Entry
from webapp.services.covers.decisions import Decision, Outcome
from webapp.services.covers.terms import NOTHING


@dataclass(frozen=True)
class Sums:
    """What the ledger of one claim comes to, in euros."""

    reserve: Decimal = NOTHING
    covered: Decimal = NOTHING
    paid: Decimal = NOTHING
    recovered: Decimal = NOTHING

    @property
    def borne(self) -> Decimal:
        """What was paid and did not come back."""
        return self.paid - self.recovered


def list_entries(claim_id: UUID) -> list[ClaimEntry]:
    """The entries of a claim, in the order in which they were written."""
    statement = select(ClaimEntry).where(ClaimEntry.claim_id == claim_id).order_by(ClaimEntry.at, ClaimEntry.id)
    with _entries_alone():
        return list(db.session.scalars(statement))


def sum_up(entries: Iterable[ClaimEntry]) -> Sums:
    """What entries of one claim come to."""
    sums = dict.fromkeys(EntryKind, NOTHING)
    for entry in entries:
        sums[entry.kind] += entry.amount
    return Sums(**{kind.value: amount for kind, amount in sums.items()})


def sums_of(claim_id: UUID) -> Sums:
    """What the ledger of a claim comes to, as it stands in the caller's transaction."""
    statement = select(ClaimEntry.kind, func.sum(ClaimEntry.amount)).where(ClaimEntry.claim_id == claim_id)
    with _entries_alone():
        sums = {kind.value: amount for kind, amount in db.session.execute(statement.group_by(ClaimEntry.kind))}
    return Sums(**sums)


@contextmanager
def _entries_alone() -> Iterator[None]:
    """Entries that are made and not written yet are written before some are read; what else is pending may wait."""
    if any(isinstance(each, ClaimEntry) for each in db.session.new):
        db.session.flush()
    with db.session.no_autoflush:
        yield


def expected_cost(decision: Decision, covered: Decimal) -> Decimal:
    """What a claim is expected to cost: what is covered of it; while nobody knows, what its trade usually costs."""
    if covered or decision.claim.asked is not None:
        return covered or decision.covered
    usual, most = reserves.usual_cost(decision.claim.trade), decision.up_to
    return usual if most is None or decision.outcome is Outcome.REFUSED else min(usual, most)


def set_covered(
    claim: Claim,
    use: Entry | None,
    *,
    by: User | None,
    at: datetime,
    of: ClaimDecision | None,
    entries: Sequence[ClaimEntry] | None = None,
) -> None:
    """Let the ledger say that the claim uses that of its cover (None: nothing), by one further entry at most.

    ``entries`` are those of the claim, where the caller knows.
    """
    entries = list_entries(claim.id) if entries is None else entries
    standing = [entry for entry in entries if entry.kind is EntryKind.COVERED]
    last = standing[-1] if standing else None
    if use is None:
        if last is None:
            return
        use = Entry(
            claim_id=claim.id,
            event_on=last.event_on,
            option=last.option_code,
            draws_on_main=last.draws_on_main,
            counts=last.counts,
        )
    covered = sum_up(standing).covered
    is_said = last is not None and covered == use.covered and _place_of(last) == _place(use)
    if not is_said:
        entry = _entry(claim, EntryKind.COVERED, use.covered - covered, by=by, at=at, of=of)
        entry.option_code, entry.draws_on_main, entry.counts, entry.holds_place = _place(use)
    claim.covered = use.covered


def give_back(claim: Claim, *, by: User | None, at: datetime) -> None:
    """Let the file use nothing of its cover any more, and its decision hold no more."""
    set_covered(claim, None, by=by, at=at, of=None)
    claim.deductible = claim.over = NOTHING
    claim.doubt = None


def check_nothing_paid(claim: Claim) -> None:
    """What was paid and did not come back keeps a file from being canceled. Raises ClaimStateError."""
    borne = sums_of(claim.id).borne
    if borne:
        paid = french.short_money(borne)
        raise ClaimStateError(f"{paid} sont déjà payés\u202f: notez d’abord ce qui a été récupéré.")


def _place(use: Entry) -> tuple[str | None, bool, bool, bool]:
    return use.option, use.draws_on_main, use.counts, use.holds_place


def _place_of(row: ClaimEntry) -> tuple[str | None, bool, bool, bool]:
    return row.option_code, row.draws_on_main, row.counts, row.holds_place


def set_reserve(
    claim: Claim,
    amount: Decimal,
    *,
    by: User | None,
    at: datetime,
    note: str | None = None,
    of: ClaimDecision | None = None,
    standing: Sums | None = None,
) -> Decimal:
    """Let that be what the claim is still expected to cost; returns by how much it changes.

    ``standing`` is what its ledger comes to, where the caller knows.
    """
    change = max(amount, NOTHING) - (standing or sums_of(claim.id)).reserve
    if change:
        _entry(claim, EntryKind.RESERVE, change, by=by, at=at, note=note, of=of)
    return change


def add_entry(
    claim: Claim, kind: EntryKind, amount: Decimal, *, note: str | None, by: User | None, at: datetime
) -> None:
    """Write that something was paid or recovered."""
    _entry(claim, kind, amount, by=by, at=at, note=note)


def _entry(
    claim: Claim,
    kind: EntryKind,
    amount: Decimal,
    *,
    by: User | None,
    at: datetime,
    note: str | None = None,
    of: ClaimDecision | None = None,
) -> ClaimEntry:
    entry = ClaimEntry(
        id=new_id(),
        claim_id=claim.id,
        cover_id=claim.cover_id,
        decision_id=of.id if of else None,
        kind=kind,
        amount=amount,
        event_on=claim.event_on,
        option_code=None,
        draws_on_main=True,
        counts=True,
        holds_place=False,
        note=note,
        at=at,
        user_id=by.id if by else None,
    )
    db.session.add(entry)
    return entry
