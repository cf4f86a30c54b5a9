"""What the page of a claim file shows of its operator: how it stands there, visits, files, what the client answered."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from webapp.extensions import db
from webapp.models.claims import Claim, ClaimIntervention, ClaimSatisfaction
from webapp.models.operator_events import OperatorDocument
from webapp.models.operators import CoverOperator


@dataclass(frozen=True)
class News:
    """What an operator says of a file; ``missing`` are its files that are not here (yet), and why."""

    operator: CoverOperator
    interventions: Sequence[ClaimIntervention]
    missing: Sequence[OperatorDocument]
    satisfaction: ClaimSatisfaction | None


def news_of(claim: Claim) -> News | None:
    """The news of a file; None where nobody outside repairs. Four queries."""
    if claim.operator_id is None:
        return None
    visits = select(ClaimIntervention).where(ClaimIntervention.claim_id == claim.id)
    files = select(OperatorDocument).where(
        OperatorDocument.claim_id == claim.id, OperatorDocument.document_id.is_(None)
    )
    answer = select(ClaimSatisfaction).where(ClaimSatisfaction.claim_id == claim.id)
    return News(
        operator=db.session.scalars(select(CoverOperator).where(CoverOperator.id == claim.operator_id)).one(),
        interventions=db.session.scalars(
            visits.order_by(ClaimIntervention.scheduled_at, ClaimIntervention.external_id)
        ).all(),
        missing=db.session.scalars(files.order_by(OperatorDocument.received_at, OperatorDocument.id)).all(),
        satisfaction=db.session.scalar(answer),
    )
