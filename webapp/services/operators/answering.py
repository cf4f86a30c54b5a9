"""What an operator is told: whether something is covered, why, what is left; and how a claim file stands.

Its phone desk asks before it sends somebody. It is told nothing of the person, and nothing of another organisation.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import and_, or_, select

from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.models.base import read_code
from webapp.models.claims import Claim
from webapp.models.covers import Cover, Trade
from webapp.services.covers import profile
from webapp.services.covers.decisions import Decision, Left, Outcome

VERSION = "1"
_UNKNOWN_COVER = "No cover has this reference."
_UNKNOWN_CLAIM = "No claim has this reference."


def answer_cover(reference: str, *, trade: Trade, on: date, at: datetime) -> dict[str, Any]:
    """Whether a claim of that trade would be covered on that day. Raises NotFoundError, InvalidInputError."""
    code = read_code(reference)
    is_cover = code is not None and code.letter == Cover.LETTER
    cover_id = db.session.scalar(select(Cover.id).where(Cover.number == code.number)) if code and is_cover else None
    if cover_id is None:
        raise NotFoundError(_UNKNOWN_COVER)
    decision = profile.would_be_covered(cover_id, trade=trade, event_on=on, asked=None, at=at, names_homes=False)
    return {
        "version": VERSION,
        "reference": f"{Cover.LETTER}-{code.number}" if code else reference,
        "trade": trade.value,
        "on": on.isoformat(),
        "outcome": decision.outcome.value,
        "covered": decision.outcome is Outcome.ACCEPTED,
        "reason": {"step": decision.reason.step.value, "sentence": decision.reason.sentence},
        "deductible": _amount(_deductible(decision)),
        "up_to": _amount(decision.up_to),
        "left": _left(decision.before),
        "lines": [
            {"step": line.step.value, "outcome": line.outcome.value, "sentence": line.sentence}
            for line in decision.lines
        ],
    }


def answer_claim(reference: str, *, operator_id: UUID) -> dict[str, Any]:
    """How a claim file stands, by that operator's number or by ours. Raises NotFoundError.

    The file of another operator is not there: our numbers are easily guessed.
    """
    is_theirs = and_(Claim.operator_id == operator_id, Claim.external_id == reference.strip())
    is_open_to_them = or_(Claim.operator_id == operator_id, Claim.operator_id.is_(None))
    is_ours = and_(is_open_to_them, Claim.reference == reference.strip().upper())
    claims = db.session.scalars(select(Claim).where(or_(is_ours, is_theirs))).all()
    claim = next(iter(sorted(claims, key=lambda each: each.operator_id != operator_id)), None)
    if claim is None:
        raise NotFoundError(_UNKNOWN_CLAIM)
    return {
        "version": VERSION,
        "reference": claim.reference,
        "status": claim.status.value,
        "trade": claim.trade.value,
        "event_on": claim.event_on.isoformat(),
        "declared_on": claim.declared_on.isoformat(),
        "asked": _amount(claim.asked),
        "covered": _amount(claim.covered),
        "deductible": _amount(claim.deductible),
        "over": _amount(claim.over),
        "changed_at": claim.changed_at.isoformat(),
    }


def _deductible(decision: Decision) -> Decimal | None:
    """What the client would bear first, where anything is covered."""
    if decision.outcome is Outcome.REFUSED:
        return None
    terms = decision.inputs.option or decision.inputs.terms
    return terms.deductible


def _left(left: Left) -> dict[str, Any]:
    return {"claims": left.claims, "amount": _amount(left.amount), "option_amount": _amount(left.option)}


def _amount(amount: Decimal | None) -> str | None:
    """An amount as JSON has it: a text with two decimals, since numbers there are not exact."""
    return None if amount is None else f"{amount:.2f}"
