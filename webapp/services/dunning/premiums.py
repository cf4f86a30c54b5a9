"""Which charges are premiums of an insurance: what is unpaid of them follows L113-3, whatever the sequence says."""

from decimal import Decimal
from uuid import UUID

from sqlalchemy import select

from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.charges import Charge
from webapp.models.dunning import DunningClaim
from webapp.models.money import INSURANCE_TAX


def is_premium(charge: Charge) -> bool:
    """Whether the charge bears the tax on insurance."""
    return any(Decimal(share["rate"]) == INSURANCE_TAX for share in charge.vat)


def list_subscriptions(case_id: UUID) -> set[UUID]:
    """The subscriptions of which a case holds, or held, a premium."""
    of_case = select(Charge).join(DunningClaim, linked(Charge, DunningClaim.charge_id))
    charges = db.session.scalars(of_case.where(DunningClaim.case_id == case_id))
    return {charge.subscription_id for charge in charges if is_premium(charge)}
