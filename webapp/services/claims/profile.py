"""What the page of a claim file shows: its decisions line by line, its money, its history, what can be done."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload

from webapp import french
from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.models.claims import Claim, ClaimChange, ClaimDecision, ClaimEntry
from webapp.models.identity import User
from webapp.services.claims.accounts import Sums, sum_up
from webapp.services.claims.actions import ClaimAction, actions_of
from webapp.services.covers.decisions import Decision, Left


@dataclass(frozen=True)
class ShownDecision:
    """A decision as it was stored; ``decision``, what the rules said, is None once it was erased with its client."""

    row: ClaimDecision
    decision: Decision | None

    @property
    def left(self) -> list[tuple[str, str, str]]:
        """What was left of the cover year, before and after: what, from, to."""
        if self.decision is None:
            return []
        before, after = self.decision.before, self.decision.after
        option = self.decision.inputs.option
        rows = {
            "Interventions": (before.claims, after.claims),
            "Plafond annuel": (_money(before), _money(after)),
            f"Option {option.label}" if option else "Option": (_option(before), _option(after)),
        }
        return [(name, str(was), str(left)) for name, (was, left) in rows.items() if was is not None]


def _money(left: Left) -> str | None:
    return None if left.amount is None else french.short_money(left.amount)


def _option(left: Left) -> str | None:
    return None if left.option is None else french.short_money(left.option)


@dataclass(frozen=True)
class ClaimProfile:
    """A file with all that hangs on it; decisions with the latest first."""

    claim: Claim
    decisions: list[ShownDecision]
    sums: Sums
    actions: list[ClaimAction]

    @property
    def decided(self) -> ShownDecision | None:
        """The decision that holds."""
        return self.decisions[0] if self.decisions else None


def find_profile(claim_id: UUID, *, by: User, at: datetime) -> ClaimProfile:
    """What the page shows. Raises NotFoundError."""
    statement = (
        select(Claim)
        .where(Claim.id == claim_id)
        .options(
            joinedload(Claim.client),
            joinedload(Claim.cover),
            joinedload(Claim.home),
            selectinload(Claim.decisions).joinedload(ClaimDecision.user),
            selectinload(Claim.entries).joinedload(ClaimEntry.user),
            selectinload(Claim.changes).joinedload(ClaimChange.user),
        )
        .execution_options(populate_existing=True)
    )
    claim = db.session.scalar(statement)
    if claim is None:
        raise NotFoundError("Ce dossier n’existe pas ou plus.")
    decisions = [
        ShownDecision(row, Decision.from_json(row.content) if row.content else None)
        for row in reversed(claim.decisions)
    ]
    return ClaimProfile(claim, decisions, sum_up(claim.entries), actions_of(claim, by=by, at=at))
