"""Who sells a subscription, and by which contract: it can change while nothing of it is open."""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, or_, select

from webapp.errors import DomainError, InvalidInputError
from webapp.extensions import db
from webapp.french import counted
from webapp.models.base import linked
from webapp.models.charges import SETTLED, Charge, ChargeStatus
from webapp.models.contracts import Contract
from webapp.models.identity import User
from webapp.models.invoices import Invoice, InvoiceStatus
from webapp.models.organisations import Company
from webapp.models.plan_changes import SubscriptionAdjustment
from webapp.models.subscriptions import Subscription
from webapp.services.subscriptions import history, means
from webapp.services.subscriptions.editing import editing, set_means
from webapp.services.subscriptions.means import Means, PaymentFields
from webapp.services.subscriptions.terms import is_open

CLOSED = SETTLED - {ChargeStatus.FAILED, ChargeStatus.REVERSED}


class StillOpenError(DomainError):
    """Something of the subscription is open: it belongs to the company that asked for it."""


def change_company(
    subscription_id: UUID,
    *,
    company_id: UUID | None,
    contract_id: UUID | None,
    version: int,
    by: User | None,
    at: datetime,
) -> Subscription:
    """Let another company sell it, or by another contract. Means of payment that do not fit are taken away.

    Raises NotFoundError, EditConflictError, EndedError, StillOpenError; InvalidInputError, naming the field.
    """
    with editing(subscription_id, version, with_means=True) as subscription:
        company = _find_company(company_id, subscription)
        _check_contract(contract_id, subscription, company)
        changes: dict[str, list[str | None]] = {}
        if company.id != subscription.company_id:
            if still := list_open(subscription_id):
                raise StillOpenError(f"La société ne peut pas changer\u202f: il reste {' et '.join(still)}.")
            old = db.session.scalars(select(Company).where(Company.id == subscription.company_id)).one()
            changes["company"] = [old.name, company.name]
            paid_by, lost = fitting_means(subscription, company.id)
            if lost:
                changes["means_lost"] = [lost, None]
            subscription.company_id = company.id
            set_means(subscription, paid_by)
        if contract_id != subscription.contract_id:
            changes["contract"] = [_reference(subscription.contract_id), _reference(contract_id)]
            subscription.contract_id = contract_id
        if not changes:
            raise InvalidInputError("Rien ne change.", field="company_id")
        history.record_change(subscription, changes=changes, by=by, at=at)
    return subscription


def _find_company(company_id: UUID | None, subscription: Subscription) -> Company:
    company = db.session.scalar(select(Company).where(Company.id == company_id))
    if company is None:
        raise InvalidInputError("Cette société n’existe pas ou plus.", field="company_id")
    if company.currency != subscription.currency:
        raise InvalidInputError(
            f"Cette société vend en {company.currency}, l’abonnement est en {subscription.currency}.",
            field="company_id",
        )
    return company


def _check_contract(contract_id: UUID | None, subscription: Subscription, company: Company) -> None:
    if contract_id is None:
        return
    contract = db.session.scalar(select(Contract).where(Contract.id == contract_id))
    if contract is None or contract.client_id != subscription.client_id:
        raise InvalidInputError("Ce contrat n’est pas celui de ce client.", field="contract_id")
    if contract.company_id != company.id:
        raise InvalidInputError("Ce contrat est signé avec une autre société.", field="contract_id")


def _reference(contract_id: UUID | None) -> str | None:
    return db.session.scalar(select(Contract.reference).where(Contract.id == contract_id)) if contract_id else None


def list_open(subscription_id: UUID) -> list[str]:
    """What of it is open, in words; nothing where all is settled."""
    return list(_open(subscription_id))


def _open(subscription_id: UUID) -> Iterator[str]:
    of_it = Charge.subscription_id == subscription_id
    charges = _count(select(Charge.id).where(of_it, or_(Charge.status.not_in(CLOSED), Charge.attention.is_not(None))))
    drafts = select(Invoice.id).join(Charge, linked(Charge, Invoice.charge_id))
    invoices = _count(drafts.where(of_it, Invoice.status == InvoiceStatus.DRAFT))
    adjustments = select(SubscriptionAdjustment.id).where(
        SubscriptionAdjustment.subscription_id == subscription_id, is_open()
    )
    if charges:
        yield f"{counted(charges, 'prélèvement')} à régler"
    if invoices:
        yield f"{counted(invoices, 'facture')} sans numéro"
    if number := _count(adjustments):
        yield f"{counted(number, 'complément ou crédit', 'compléments ou crédits')} à régler"


def _count(statement: object) -> int:
    return db.session.execute(select(func.count()).select_from(statement.subquery())).scalar_one()  # type: ignore[attr-defined]


def fitting_means(subscription: Subscription, company_id: UUID) -> tuple[Means, str | None]:
    """How it can be paid to another company, and what of its present means is lost, in words."""
    method = subscription.payment_method
    if subscription.means_inherited:
        fields = PaymentFields(follows_default=True)
        followed = means.find_means(fields, client_id=subscription.client_id, company_id=company_id)
        return followed, None if followed.method or not method else method.label
    fields = PaymentFields(
        method=method.value if method else None,
        saved_method_id=subscription.saved_method_id,
        mandate_id=subscription.mandate_id,
    )
    try:
        return means.find_means(fields, client_id=subscription.client_id, company_id=company_id), None
    except InvalidInputError:
        return Means(), method.label if method else None


def list_contracts(client_id: UUID) -> list[Contract]:
    """The client's contracts, by reference."""
    statement = select(Contract).where(Contract.client_id == client_id)
    return list(db.session.scalars(statement.order_by(Contract.reference, Contract.id)))
