"""Who sells what WinLeadPlus brings: the organisation's default company."""

from uuid import UUID

from sqlalchemy import select

from webapp.errors import DomainError
from webapp.extensions import db
from webapp.models.organisations import Company


class NoCompanyError(DomainError):
    """The organisation has no default company for its contracts to belong to."""


def seller() -> tuple[UUID, str]:
    """The id and currency of the default company. Raises NoCompanyError."""
    company = db.session.execute(select(Company.id, Company.currency).where(Company.is_default)).first()
    if company is None:
        raise NoCompanyError("Aucune société par défaut\u202f: les contrats importés n’auraient pas de vendeur.")
    return company.id, company.currency
