"""What an organisation that has just begun still has to set up, for the dashboard of its admins."""

from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import exists, select

from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.commercials import Team
from webapp.models.messages import MessageSender
from webapp.models.organisations import Company, Organisation
from webapp.models.products import Product
from webapp.models.providers import ProviderAccount

SHOWN_FOR = timedelta(days=30)
"""Whoever does without a step is not reminded of it for ever."""


class Step(StrEnum):
    """Something to set up, in the order in which it is best done."""

    COMPANY = "company"
    PRODUCTS = "products"
    TEAMS = "teams"
    PROVIDERS = "providers"
    SENDERS = "senders"
    CLIENTS = "clients"


_MADE = {
    Step.PRODUCTS: Product.id,
    Step.TEAMS: Team.id,
    Step.PROVIDERS: ProviderAccount.id,
    Step.SENDERS: MessageSender.id,
    Step.CLIENTS: Client.id,
}


def find_first_steps(organisation: Organisation, *, at: datetime) -> dict[Step, bool]:
    """Each step, and whether it is done; nothing once all are, or when the organisation is no longer new."""
    if at - organisation.created_at > SHOWN_FOR:
        return {}
    made = db.session.execute(select(*[exists(select(model_id)).label(step) for step, model_id in _MADE.items()])).one()
    company = db.session.scalar(select(Company).where(Company.is_default))
    done = {Step.COMPANY: company is not None and not company.missing} | {
        step: bool(getattr(made, step)) for step in _MADE
    }
    return {} if all(done.values()) else done
