"""How a client's contracts are paid: accounts, mandates, and what keeps money from being collected."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from sqlalchemy import bindparam, select

from webapp.extensions import db
from webapp.models.banking import BankAccount, Mandate, MandateStatus
from webapp.models.base import linked
from webapp.models.contracts import Contract, ContractStatus, PaymentMethod

LIVING = (ContractStatus.PENDING, ContractStatus.ACTIVE)
_ACCOUNTS = (
    select(BankAccount, Mandate)
    .outerjoin(
        Mandate,
        linked(BankAccount, Mandate.bank_account_id),
    )
    .where(BankAccount.client_id == bindparam("client_id"))
    .order_by(BankAccount.created_at, BankAccount.id, Mandate.created_at, Mandate.id)
)

_CONTRACTS = (
    select(Contract)
    .where(Contract.client_id == bindparam("client_id"))
    .order_by(Contract.signed_on.desc().nulls_last(), Contract.reference)
)


@dataclass(frozen=True)
class ClientAccount:
    """A bank account with the mandates given on it."""

    account: BankAccount
    mandates: list[Mandate]

    @property
    def is_free(self) -> bool:
        """Whether no mandate stands on it."""
        return all(mandate.status is MandateStatus.REVOKED for mandate in self.mandates)


def list_accounts(client_id: UUID) -> list[ClientAccount]:
    """The client's accounts, the first written down first."""
    mandates: dict[BankAccount, list[Mandate]] = {}
    for account, mandate in db.session.execute(_ACCOUNTS, {"client_id": client_id}):
        mandates.setdefault(account, []).extend([mandate] if mandate else [])
    return [ClientAccount(account, given) for account, given in mandates.items()]


def list_contracts(client_id: UUID) -> Sequence[Contract]:
    """The client's contracts, the latest signed first, those without a date last."""
    return db.session.scalars(_CONTRACTS, {"client_id": client_id}).all()


def debit_problem(contract: Contract, accounts: list[ClientAccount], *, on: date) -> str | None:
    """What keeps the contract from being debited on that day, in a sentence; None where nothing does."""
    if contract.payment_method is not PaymentMethod.SEPA or contract.status not in LIVING:
        return None
    if not accounts:
        return "Aucun compte bancaire."
    mandates = [mandate for account in accounts for mandate in account.mandates if _serves(mandate, contract)]
    if not mandates:
        return "Aucun mandat SEPA."
    return None if any(mandate.is_usable(on) for mandate in mandates) else "Aucun mandat utilisable."


def _serves(mandate: Mandate, contract: Contract) -> bool:
    """A mandate is given to one creditor, the company; one that is only declared may name none."""
    return mandate.company_id in (None, contract.company_id)
