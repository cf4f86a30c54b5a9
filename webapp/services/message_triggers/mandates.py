"""What a client reads once a mandate is revoked."""

from sqlalchemy import select

from webapp import clock
from webapp.extensions import db
from webapp.models.banking import Mandate, MandateStatus
from webapp.models.messages import MessageKind
from webapp.models.outbox import OutboxEvent
from webapp.services.messages import writing
from webapp.services.messages.writing import Draft

REVOKED = "revoked"


def tell_revoked(event: OutboxEvent) -> None:
    """Confirm a revocation. A mandate without reference, or of no company, was never used: nothing is said of it."""
    mandate = db.session.scalar(select(Mandate).where(Mandate.id == event.subject_id))
    if mandate is None or mandate.status is not MandateStatus.REVOKED or not mandate.umr or not mandate.company_id:
        return
    draft = Draft(
        kind=MessageKind.MANDATE_REVOKED,
        company_id=mandate.company_id,
        client_id=mandate.client_id,
        subject_id=mandate.id,
        occasion=REVOKED,
        variables={"rum": mandate.umr, "date_revocation": mandate.revoked_on},
    )
    writing.write(draft, at=clock.now())
