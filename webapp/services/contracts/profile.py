"""Everything about one contract, for its page."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload

from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.contracts import Contract, ContractStatusChange
from webapp.models.products import Product


@dataclass(frozen=True)
class ContractProfile:
    """A contract, and the statuses that it went through, the first change first."""

    contract: Contract
    status_changes: Sequence[ContractStatusChange]

    @property
    def first_status(self) -> str:
        """The status that it was made with, in the words of the screen."""
        if not self.status_changes:
            return self.contract.status_label
        first = self.status_changes[0]
        return first.old_status_raw or first.old_status.label


def find_profile(contract_id: UUID) -> ContractProfile:
    """The contract with client, company, commercials and lines. Raises NotFoundError."""
    statement = (
        select(Contract)
        .where(Contract.id == contract_id)
        .options(
            joinedload(Contract.client).joinedload(Client.commercial),
            joinedload(Contract.company),
            joinedload(Contract.commercial),
            selectinload(Contract.lines),
        )
    )
    contract = db.session.scalar(statement)
    if contract is None:
        raise NotFoundError("Ce contrat n’existe pas ou plus.")
    changes = select(ContractStatusChange).where(ContractStatusChange.contract_id == contract_id)
    changes = changes.options(joinedload(ContractStatusChange.user))
    in_order = changes.order_by(ContractStatusChange.at, ContractStatusChange.id)
    return ContractProfile(contract, db.session.scalars(in_order).all())


def list_product_names() -> Sequence[str]:
    """What lines may be called, for a form to propose."""
    return db.session.scalars(select(Product.name).order_by(Product.name_key).limit(500)).all()
