"""The reference of a mandate (RUM): made from the pattern of its creditor, or typed; one creditor has it once."""

from uuid import UUID

from sqlalchemy import func, select, update

from webapp import sepa
from webapp.extensions import db
from webapp.models.banking import Mandate
from webapp.models.organisations import Company


def next_reference(company_id: UUID) -> str:
    """A reference that the creditor has not used; the company’s row is locked until the caller’s transaction ends."""
    while True:
        statement = (
            update(Company)
            .where(Company.id == company_id)
            .values(umr_count=Company.umr_count + 1)
            .returning(Company.umr_pattern, Company.umr_count)
        )
        pattern, count = db.session.execute(statement).one()
        reference = sepa.fill_pattern(pattern, count)
        if not is_taken(reference, company_id=company_id):
            return reference


def is_taken(reference: str, *, company_id: UUID, besides: UUID | None = None) -> bool:
    """Whether another mandate of the creditor bears the reference, revoked ones included."""
    same = func.upper(Mandate.umr) == reference.upper()  # the rulebook makes no difference between abc and ABC
    statement = select(Mandate.id).where(Mandate.company_id == company_id, same)
    if besides is not None:
        statement = statement.where(Mandate.id != besides)
    return db.session.scalar(statement.limit(1)) is not None
