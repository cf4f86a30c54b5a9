"""Making a subscription, from a client or a contract."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import select

from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.clients import Client
from webapp.models.contracts import Contract
from webapp.models.identity import User
from webapp.models.organisations import Company
from webapp.models.subscriptions import Subscription, SubscriptionStatus
from webapp.services.subscriptions import coupons, history, means, scheduling
from webapp.services.subscriptions.editing import set_means
from webapp.services.subscriptions.fields import (
    SubscriptionFields,
    check_dates,
    check_frequency,
    check_lines,
    check_opening,
    check_timezone,
)
from webapp.services.subscriptions.opening import set_opening
from webapp.services.subscriptions.planning import restate
from webapp.services.subscriptions.terms import set_lines
from webapp.tenancy import current_organisation_id
from webapp.transactions import transaction


def create_subscription(written: SubscriptionFields, *, by: User | None, at: datetime) -> Subscription:
    """Create a pending subscription: its first payment, or a person, activates it.

    An import may bring an anchor that has passed: it is charged from the first cycle that has not. Raises
    NotFoundError for a client that is not the organisation's; InvalidInputError, naming the field, for the first fault.
    """
    frequency, timezone = check_frequency(written.frequency), check_timezone(written.timezone)
    today = scheduling.local_date(at, timezone)
    anchor = check_dates(written.anchor_date, written.ends_on, today=today, is_imported=written.source is not None)
    with transaction():
        present = Client.id == written.client_id, Client.erased_at.is_(None)
        if db.session.scalar(select(Client.id).where(*present)) is None:
            raise NotFoundError("Ce client n’existe pas ou plus.")
        company = _find_company(written.company_id)
        if written.currency not in (None, company.currency):
            raise InvalidInputError(
                f"La devise doit être celle de la société\u202f: {company.currency}.", field="currency"
            )
        _check_contract(written, company)
        lines, opening = check_lines(written.lines), check_opening(written.opening)
        paid_by = means.find_means(written.payment, client_id=written.client_id, company_id=company.id)
        subscription = Subscription(
            id=new_id(),
            organisation_id=current_organisation_id(),
            company_id=company.id,
            client_id=written.client_id,
            contract_id=written.contract_id,
            status=SubscriptionStatus.PENDING,
            frequency=frequency,
            anchor_date=anchor,
            charge_time=written.charge_time,
            timezone=timezone,
            ends_on=written.ends_on,
            currency=company.currency,
            source=written.source,
            created_at=at,
            version=0,
        )
        set_means(subscription, paid_by)
        set_opening(subscription, opening)
        scheduling.schedule(subscription, scheduling.first_cycle_from(subscription.anchor_date, frequency, today))
        if written.coupon.strip():
            coupons.give(subscription, written.coupon, at=at)
        db.session.add(subscription)
        db.session.flush()
        set_lines(subscription, lines)
        restate(subscription)
        history.record(
            subscription,
            history.CREATED,
            old_status=None,
            before=Decimal(0),
            reason=None,
            changes={"recurring_amount": [None, str(subscription.recurring_amount)]},
            by=by,
            at=at,
        )
    return subscription


def _find_company(company_id: UUID | None) -> Company:
    wanted = Company.id == company_id if company_id else Company.is_default
    company = db.session.scalar(select(Company).where(wanted))
    if company is None:
        raise InvalidInputError("Cette société n’existe pas ou plus.", field="company_id")
    return company


def _check_contract(written: SubscriptionFields, company: Company) -> None:
    if written.contract_id is None:
        return
    contract = db.session.scalar(select(Contract).where(Contract.id == written.contract_id))
    if contract is None or contract.client_id != written.client_id:
        raise InvalidInputError("Ce contrat n’est pas celui de ce client.", field="contract_id")
    if contract.company_id != company.id:
        raise InvalidInputError("Ce contrat est signé avec une autre société.", field="contract_id")
