"""Kinds of messages that a company does not want to be written: nothing of them is, until somebody switches them on."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from webapp.errors import DomainError, NotFoundError
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.messages import MessageKind, MessageSwitch
from webapp.models.organisations import Company
from webapp.services.messages.kinds import KINDS
from webapp.tenancy import current_organisation_id
from webapp.transactions import transaction

BY_HAND = frozenset({MessageKind.FREE, MessageKind.SATISFACTION, MessageKind.PROSPECTION})
"""Only a colleague writes them."""
CONFIRMED = {
    MessageKind.SALE_SIGNED: "Qui souscrit à distance",
    MessageKind.COVER_TERMINATED: "Qui résilie",
    MessageKind.COVER_RENOUNCED: "Qui renonce",
}
"""What the law wants confirmed, and to whom."""


class NotSwitchableError(DomainError):
    """This kind is always written."""


def load_switched_off(company_ids: Collection[UUID]) -> set[tuple[UUID, MessageKind]]:
    """Which kinds are off, by company."""
    wanted = select(MessageSwitch.company_id, MessageSwitch.kind).where(MessageSwitch.company_id.in_(set(company_ids)))
    return {(company_id, kind) for company_id, kind in db.session.execute(wanted)}


def why_always_on(kind: MessageKind) -> str | None:
    """The sentence for a kind that cannot be switched off; None where it can."""
    if kind is MessageKind.SEPA_NOTICE:
        return "Sans avis, aucun prélèvement SEPA ne peut être présenté\u202f: il ne s’arrête pas."
    if kind in BY_HAND:
        return "Il n’est écrit que par un collègue\u202f: rien ne part tout seul."
    if kind in CONFIRMED:
        return f"{CONFIRMED[kind]} doit en avoir la confirmation\u202f: elle ne s’arrête pas."
    if KINDS[kind].must_arrive:
        return "Une relance ne suspend ni ne résilie rien sans l’avoir écrit au client\u202f: il ne s’arrête pas."
    return None


def switch_off(kind: MessageKind, company_id: UUID, *, at: datetime) -> None:
    """Write no more of that kind for the company; twice is once. Raises NotSwitchableError, NotFoundError."""
    if reason := why_always_on(kind):
        raise NotSwitchableError(reason)
    with transaction():
        _check_company(company_id)
        db.session.execute(
            insert(MessageSwitch.__table__)  # type: ignore[arg-type]
            .values(
                organisation_id=current_organisation_id(), id=new_id(), company_id=company_id, kind=kind, created_at=at
            )
            .on_conflict_do_nothing()
        )


def switch_on(kind: MessageKind, company_id: UUID) -> None:
    """Write that kind again for the company; what was not written meanwhile stays unwritten. Raises NotFoundError."""
    with transaction():
        _check_company(company_id)
        db.session.execute(
            delete(MessageSwitch).where(MessageSwitch.company_id == company_id, MessageSwitch.kind == kind)
        )


def _check_company(company_id: UUID) -> None:
    if db.session.scalar(select(Company.id).where(Company.id == company_id)) is None:
        raise NotFoundError
