"""Creating and changing contracts by hand, without anybody overwriting what they have not seen."""

from collections.abc import Iterator
from dataclasses import fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import selectinload

from webapp import french
from webapp.clock import PARIS, start_of
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.commercials import Commercial
from webapp.models.contracts import Contract, ContractLine, ContractStatus, PaymentMethod
from webapp.models.identity import User
from webapp.models.organisations import Company
from webapp.models.products import Product
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.clients.editing import find_client
from webapp.services.clients.fields import find_commercial
from webapp.services.concurrent_edits import Difference, EditConflictError
from webapp.services.contracts.fields import ContractFields, ContractLineFields, find_company
from webapp.transactions import transaction, writing_as

LABELS = {
    "reference": "référence",
    "status": "statut",
    "company_id": "société",
    "commercial_id": "commercial à la signature",
    "contract_type": "type",
    "supplier": "fournisseur",
    "description": "description",
    "amount": "montant",
    "signed_on": "signature",
    "validated_on": "validation",
    "starts_on": "début",
    "ends_on": "fin",
    "payment_method": "mode de paiement",
    "withdrawal_day": "jour de prélèvement",
    "lines": "lignes",
}


def find_contract(contract_id: UUID) -> Contract:
    """The contract with its lines. Raises NotFoundError."""
    wanted = select(Contract).where(Contract.id == contract_id).options(selectinload(Contract.lines))
    contract = db.session.scalar(wanted)
    if contract is None:
        raise NotFoundError("Ce contrat n’existe pas ou plus.")
    return contract


def create_contract(client_id: UUID, written: ContractFields, *, by: User, at: datetime) -> Contract:
    """Create a contract of a client. Raises NotFoundError; InvalidInputError, naming the field."""
    new = written.normalised(today=at.astimezone(PARIS).date())
    with transaction():
        client = find_client(client_id)
        if client.erased_at is not None:
            raise NotFoundError("Ce client n’existe pas ou plus.")
        contract = Contract(id=new_id(), client_id=client.id, created_at=at)
        company = _find_parties(new, before=None)
        contract.currency = company.currency
        _write(contract, ContractFields(), new, by=by, at=at)
        changes = {"Référence": [None, new.reference]}
        event = TimelineEvent(
            client_id=client.id, kind=EventKind.CONTRACT_CREATED, at=at, user_id=by.id, changes=changes
        )
        db.session.add(event)
    return contract


def edit_contract(contract_id: UUID, written: ContractFields, *, seen: datetime, by: User, at: datetime) -> Contract:
    """Change a contract that its editor saw as it stood since ``seen`` (its ``changed_at``).

    Raises NotFoundError; InvalidInputError, naming the field; EditConflictError, before anything is written.
    """
    new = written.normalised(today=at.astimezone(PARIS).date())
    with transaction():
        lock = select(Contract.id).where(Contract.id == contract_id).with_for_update()
        if db.session.scalar(lock) is None:
            raise NotFoundError("Ce contrat n’existe pas ou plus.")
        contract = find_contract(contract_id)
        db.session.refresh(contract)
        before = ContractFields.of(contract)
        if contract.changed_at != seen:
            raise EditConflictError("Ce contrat a été modifié entre-temps.", theirs=before, version=contract.changed_at)
        changed = before.differing(new)
        if changed:
            _find_parties(new, before=before)
            worded_changes = _told(before, new, changed)
            _write(contract, before, new, by=by, at=at)
            event = TimelineEvent(
                client_id=contract.client_id,
                kind=EventKind.CONTRACT_UPDATED,
                at=at,
                user_id=by.id,
                changes=worded_changes,
            )
            db.session.add(event)
    return contract


def worded_differences(differences: list[Difference]) -> list[Difference]:
    """The same in words."""
    return [
        Difference(
            LABELS[difference.field],
            *(worded(difference.field, value) for value in (difference.base, difference.theirs, difference.mine)),
        )
        for difference in differences
    ]


def worded(name: str, value: Any) -> str | None:
    """A field's value as a person reads it; None where there is none."""
    if value in (None, "", ()):
        return None
    if isinstance(value, UUID):
        return _name_of(name, value)
    if isinstance(value, ContractStatus | PaymentMethod):
        return value.label
    if isinstance(value, date):
        return french.day(value)
    if isinstance(value, Decimal):
        return french.amount(value)
    return ", ".join(map(_line, value)) if name == "lines" else str(value)


def _line(line: ContractLineFields) -> str:
    """2 × Coffret à 9,90: a change of a price or a quantity is one that a person can see."""
    count = "" if line.quantity == 1 else f"{french.quantity(line.quantity)} × "
    return f"{count}{line.label}" + ("" if line.unit_price is None else f" à {french.amount(line.unit_price)}")


def _name_of(name: str, value: UUID) -> str | None:
    if name == "company_id":
        return db.session.scalar(select(Company.name).where(Company.id == value))
    commercial = db.session.scalar(select(Commercial).where(Commercial.id == value))
    return commercial.full_name if commercial else None


def _find_parties(new: ContractFields, *, before: ContractFields | None) -> Company:
    """The company; company and commercial are looked up in the organisation. Raises InvalidInputError."""
    if new.commercial_id:
        find_commercial(new.commercial_id, present=before.commercial_id if before else None)
    assert new.company_id is not None  # noqa: S101  normalised fields have one
    return find_company(new.company_id)


def _told(before: ContractFields, new: ContractFields, changed: list[str]) -> dict[str, list[str | None]]:
    """The timeline keeps words: it must still read well when a commercial or a company has gone."""
    return {
        f"Contrat {new.reference}\u202f: {LABELS[name]}": [
            worded(name, getattr(before, name)),
            worded(name, getattr(new, name)),
        ]
        for name in changed
    }


def _write(contract: Contract, before: ContractFields, new: ContractFields, *, by: User, at: datetime) -> None:
    """Write what changes, lines included. Raises InvalidInputError where another contract has the reference."""
    changed = before.differing(new)
    try:
        with db.session.begin_nested(), writing_as(at=at, user_id=by.id):
            _set_columns(contract, new, changed)
            contract.changed_at = at
            db.session.add(contract)
            db.session.flush()
    except IntegrityError as error:
        if "uq_contracts_organisation_id_reference" not in str(error.orig):
            raise
        raise InvalidInputError("Cette référence est déjà celle d’un autre contrat.", field="reference") from error
    if "lines" in changed:
        _replace_lines(contract, new.lines)


def _set_columns(contract: Contract, new: ContractFields, changed: list[str]) -> None:
    for attribute in fields(new):
        if attribute.name in changed and attribute.name not in ("signed_on", "validated_on", "lines"):
            setattr(contract, attribute.name, getattr(new, attribute.name))
    if "signed_on" in changed:
        contract.signed_at = _start_of(new.signed_on)
    if "validated_on" in changed:
        contract.validated_at = _start_of(new.validated_on)
    if "status" in changed:
        contract.status_raw = None  # upstream's word told of the status that was


def _replace_lines(contract: Contract, lines: tuple[ContractLineFields, ...]) -> None:
    """What came with a line from upstream stays with the line of the same label."""
    of_contract = ContractLine.contract_id == contract.id
    details = {line.label: line.details for line in db.session.scalars(select(ContractLine).where(of_contract))}
    db.session.execute(delete(ContractLine).where(of_contract))
    products = dict(_products_of(lines))
    for position, line in enumerate(lines):
        db.session.add(
            ContractLine(
                contract_id=contract.id,
                position=position,
                product_id=products.get(line.label),
                label=line.label,
                quantity=line.quantity,
                unit_price=line.unit_price,
                details=details.get(line.label, {}),
            )
        )
    db.session.flush()
    db.session.expire(contract, ["lines"])


def _products_of(lines: tuple[ContractLineFields, ...]) -> Iterator[tuple[str, UUID]]:
    """The products known by the lines' labels, whatever their case and accents."""
    for label in {line.label for line in lines}:
        product_id = db.session.scalar(select(Product.id).where(Product.name_key == func.fold(label)))
        if product_id:
            yield label, product_id


def _start_of(day: date | None) -> datetime | None:
    return start_of(day) if day else None
