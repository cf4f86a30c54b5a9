"""What was charged before there were batches: taken up by hand, into an open batch that is empty."""

from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import select

from webapp import clock
from webapp.clock import PARIS
from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.charges import Charge, ChargeStatus
from webapp.models.fulfilment import BatchStatus, FulfilmentBatch, FulfilmentBatchLine, LineStatus
from webapp.models.organisations import Company
from webapp.services.fulfilment import gathering
from webapp.services.preferences.cut_offs import find_cut_off

FARTHEST_BACK = timedelta(days=366)
LONGEST_UNPAID = timedelta(days=120)
"""How long before it was paid a charge may have fallen due."""
AT_ONCE = 500
MOST = 5_000


class NotEmptyError(DomainError):
    """The company's open batch has lines already."""


def take_up(company_id: UUID, *, since: date | None, at: datetime) -> int:
    """Have what was paid since a day join the company's open batch; returns how many lines. Safe to repeat.

    Raises NotFoundError, NotEmptyError; InvalidInputError (field « since »).
    """
    today = at.astimezone(PARIS).date()
    if since is None or not today - FARTHEST_BACK <= since <= today:
        raise InvalidInputError("Indiquez une date des douze derniers mois.", field="since")
    _check_company(company_id)
    charges = _find_paid(company_id, since)
    if len(charges) > MOST:
        raise InvalidInputError(
            f"Plus de {MOST} prélèvements ont été payés depuis\u202f: choisissez une date plus récente.", field="since"
        )
    chunks = (charges[start : start + AT_ONCE] for start in range(0, len(charges), AT_ONCE))
    return sum(gathering.review(chunk, charged_at=None, at=at) for chunk in chunks)


def _check_company(company_id: UUID) -> None:
    if db.session.scalar(select(Company.id).where(Company.id == company_id)) is None:
        raise NotFoundError("Cette société n’existe pas ou plus.")
    if not find_cut_off(company_id).is_active:
        raise NotEmptyError("Cette société ne prépare pas de lots\u202f: activez d’abord son heure limite.")
    waiting = (
        select(FulfilmentBatchLine.id)
        .join(FulfilmentBatch, FulfilmentBatch.id == FulfilmentBatchLine.batch_id)
        .where(
            FulfilmentBatch.company_id == company_id,
            FulfilmentBatch.status == BatchStatus.OPEN,
            FulfilmentBatchLine.status == LineStatus.PENDING,
        )
    )
    if db.session.scalar(waiting.limit(1)) is not None:
        raise NotEmptyError("Le lot ouvert a déjà des lignes\u202f: rien n’a été repris.")


def _find_paid(company_id: UUID, since: date) -> list[UUID]:
    statement = (
        select(Charge.id)
        .where(
            Charge.company_id == company_id,
            Charge.status == ChargeStatus.SUCCEEDED,
            Charge.cycle_no.is_not(None),
            Charge.due_on >= since - LONGEST_UNPAID,
            Charge.settled_at >= clock.start_of(since),
        )
        .order_by(Charge.id)
        .limit(MOST + 1)
    )
    return list(db.session.scalars(statement))
