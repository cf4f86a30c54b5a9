"""Creating a client by hand."""

from dataclasses import asdict
from datetime import datetime

from sqlalchemy import func, select

from webapp import clock
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.clients import Client
from webapp.models.identity import User
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.clients.banking import BankDetails, add_account
from webapp.services.clients.duplicates import refuse_similar
from webapp.services.clients.fields import ClientFields, find_commercial
from webapp.tenancy import current_organisation_id
from webapp.transactions import transaction


def create_client(
    written: ClientFields, *, bank: BankDetails | None, confirmed: bool, by: User, at: datetime
) -> Client:
    """Create a CRM client, with a bank account if one is given.

    Raises InvalidInputError, naming the field; SimilarClientsError unless ``confirmed``.
    """
    fields = written.normalised(today=at.astimezone(clock.PARIS).date())
    bank = bank.normalised() if bank else None
    with transaction():
        if not confirmed:
            _one_after_the_other()
            refuse_similar(email=fields.email, phone=fields.phone)
        if fields.commercial_id:
            find_commercial(fields.commercial_id)
        client = Client(
            id=new_id(), organisation_id=current_organisation_id(), **asdict(fields), created_at=at, changed_at=at
        )
        db.session.add(client)
        db.session.flush()
        db.session.add(TimelineEvent(client_id=client.id, kind=EventKind.CLIENT_CREATED, at=at, user_id=by.id))
        if bank:
            add_account(client, bank, by=by, at=at)
    return client


def _one_after_the_other() -> None:
    """Let nobody else create a client by hand until the transaction ends: sent twice at once, the second is similar."""
    key = f"create client|{current_organisation_id()}"
    db.session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(key, 0))))
