"""The demo organisation's account with the pretend carrier, where that runs.

Called at every start: a company that has an account already is left as it is.
"""

import os

from sqlalchemy import select

from webapp.extensions import db
from webapp.models.carriers import Carrier, CarrierAccount
from webapp.models.organisations import Company
from webapp.services.carriers.accounts import open_account, usual_fields


def add_carrier() -> None:
    """Open it for the default company of the current organisation."""
    company_id = db.session.scalars(select(Company.id).where(Company.is_default)).one()
    opened = select(CarrierAccount.id).where(CarrierAccount.company_id == company_id).limit(1)
    if os.environ.get("CARRIER_SANDBOX_URL") and db.session.scalar(opened) is None:
        open_account(company_id, Carrier.SANDBOX, usual_fields(Carrier.SANDBOX))
