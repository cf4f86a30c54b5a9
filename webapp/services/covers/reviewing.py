"""Which decisions a later correction makes doubtful. Nothing is decided anew: a person looks at them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from webapp import french
from webapp.services.covers.claims import Entry
from webapp.services.covers.deciding import decide
from webapp.services.covers.decisions import Decision, Outcome
from webapp.services.covers.lifetime import CoverLife


@dataclass(frozen=True)
class Decided:
    """The last decision of a claim, and what the ledger holds of that claim by now.

    ``since`` is when it was first decided, where that was earlier.
    """

    decision: Decision
    entries: tuple[Entry, ...] = ()
    since: datetime | None = None


@dataclass(frozen=True)
class Doubt:
    """A claim whose decision would be another one by what is known now."""

    claim_id: UUID
    decided: Decision
    would_be: Decision

    @property
    def sentence(self) -> str:
        """What would be different, in French."""
        return f"Décidé\u202f: {_tell(self.decided)}. Serait aujourd’hui\u202f: {_tell(self.would_be)}."


def left_to_review(life: CoverLife, decided: Sequence[Decided]) -> tuple[Doubt, ...]:
    """The claims that are doubtful by the cover's life and the ledger as they are known now.

    ``decided`` are the claims of a cover in the order in which they were first decided. Each is looked at beside what
    the ledger now holds of those before it, and of those that had been decided when it was decided anew.
    """
    doubts = []
    for place, each in enumerate(decided):
        was = each.decision
        ledger = [
            entry
            for other_place, other in enumerate(decided)
            if other_place < place or (other.since is not None and other is not each and other.since < was.at)
            for entry in other.entries
        ]
        would_be = decide(life, was.claim, ledger, was.at)
        if was.claim.claim_id is not None and _is_different(was, would_be):
            doubts.append(Doubt(was.claim.claim_id, was, would_be))
    return tuple(doubts)


def _is_different(was: Decision, would_be: Decision) -> bool:
    return (was.outcome, was.covered, was.deductible, was.over) != (
        would_be.outcome,
        would_be.covered,
        would_be.deductible,
        would_be.over,
    )


def _tell(decision: Decision) -> str:
    if decision.outcome is Outcome.REFUSED:
        return f"refusé ({decision.reason.step.label.lower()})"
    amount = french.short_money(decision.covered)
    return f"{decision.outcome.label.lower()}, {amount} pris en charge"
