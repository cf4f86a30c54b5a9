"""What there is to choose from for a subscription: companies, products, means of payment, and a contract's lines."""

from dataclasses import dataclass
from datetime import date
from uuid import UUID

from sqlalchemy import select

from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.models.banking import Mandate
from webapp.models.clients import Client
from webapp.models.contracts import Contract, ContractLine
from webapp.models.providers import SavedPaymentMethod
from webapp.services.subscriptions import means
from webapp.services.subscriptions.fields import SubscriptionLineFields


@dataclass(frozen=True)
class Origin:
    """Where a new subscription starts from: a client, and perhaps one of its contracts with what it sells."""

    client: Client
    contract: Contract | None
    lines: list[SubscriptionLineFields]


@dataclass(frozen=True)
class PaymentOffer:
    """What the client can pay by, beside transfer and cheque."""

    saved: list[SavedPaymentMethod]
    mandates: list[Mandate]


def find_origin(*, client_id: UUID | None, contract_id: UUID | None) -> Origin:
    """The contract with its client, or the client alone. Raises NotFoundError where neither is the organisation's."""
    contract = db.session.scalar(select(Contract).where(Contract.id == contract_id)) if contract_id else None
    if contract_id is not None and contract is None:
        raise NotFoundError("Ce contrat n’existe pas ou plus.")
    wanted = contract.client_id if contract else client_id
    client = db.session.scalar(select(Client).where(Client.id == wanted)) if wanted else None
    if client is None:
        raise NotFoundError("Ce client n’existe pas ou plus.")
    return Origin(client, contract, _lines_of(contract) if contract else [])


def _lines_of(contract: Contract) -> list[SubscriptionLineFields]:
    lines = db.session.scalars(
        select(ContractLine).where(ContractLine.contract_id == contract.id).order_by(ContractLine.position)
    )
    return [
        SubscriptionLineFields(
            label=line.label, unit_price=line.unit_price, quantity=line.quantity, product_id=line.product_id
        )
        for line in lines
    ]


def list_means(client_id: UUID, *, on: date) -> PaymentOffer:
    """What the client can pay by on that day."""
    return PaymentOffer(means.list_saved_methods(client_id, on=on), means.list_mandates(client_id))
