"""What a person may write about a contract, and the form in which it is kept."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from datetime import date
from decimal import Decimal
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import select

from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.contracts import Contract, ContractStatus, PaymentMethod
from webapp.models.organisations import Company
from webapp.services.concurrent_edits import EditableFields
from webapp.services.contact import clean_text

LENGTHS = {"reference": 100, "contract_type": 100, "supplier": 200, "description": 2000}
LINE_LENGTH = 200
MOST_LINES = 50
GREATEST_AMOUNT = Decimal(10) ** 10
GREATEST_QUANTITY = Decimal(10) ** 6
YEARS = range(1950, 2200)
"""Dates outside are slips of the keyboard."""


@dataclass(frozen=True, kw_only=True)
class ContractLineFields:
    """A line: what was sold, how much of it, and the price of one, before tax, in the contract's currency."""

    label: str
    quantity: Decimal = Decimal(1)
    unit_price: Decimal | None = None


@dataclass(frozen=True, kw_only=True)
class ContractFields(EditableFields):
    """A contract's editable fields; absent is None. ``signed_on`` and ``validated_on`` are days in Paris."""

    reference: str = ""
    status: ContractStatus = ContractStatus.DRAFT
    company_id: UUID | None = None
    commercial_id: UUID | None = None
    contract_type: str | None = None
    supplier: str | None = None
    description: str | None = None
    amount: Decimal | None = None
    signed_on: date | None = None
    validated_on: date | None = None
    starts_on: date | None = None
    ends_on: date | None = None
    payment_method: PaymentMethod | None = None
    withdrawal_day: int | None = None
    lines: tuple[ContractLineFields, ...] = ()

    @classmethod
    def of(cls, contract: Contract) -> "ContractFields":
        """The fields as they stand."""
        lines = tuple(
            ContractLineFields(label=line.label, quantity=line.quantity, unit_price=line.unit_price)
            for line in contract.lines
        )
        kept = [attribute.name for attribute in fields(cls) if attribute.name not in ("validated_on", "lines")]
        return cls(**{name: getattr(contract, name) for name in kept}, validated_on=contract.validated_on, lines=lines)

    def normalised(self, *, today: date) -> "ContractFields":
        """The same in the form in which it is kept. Raises InvalidInputError, naming the field, for the first fault."""
        for fault in self.faults(today=today):
            raise fault
        return replace(self, **self._texts(), lines=self._clean_lines())

    def faults(self, *, today: date) -> Iterator[InvalidInputError]:
        """All that keeps it from being kept; each names its field."""
        texts = self._texts()
        for name, length in LENGTHS.items():
            if len(texts[name] or "") > length:
                yield InvalidInputError(f"C’est trop long\u202f: {length} caractères au plus.", field=name)
        if not texts["reference"]:
            yield InvalidInputError("Indiquez la référence du contrat.", field="reference")
        if self.company_id is None:
            yield InvalidInputError("Choisissez la société.", field="company_id")
        if self.amount is not None and not 0 <= self.amount < GREATEST_AMOUNT:
            yield InvalidInputError("Le montant doit être positif, et de dix chiffres au plus.", field="amount")
        if self.withdrawal_day is not None and self.withdrawal_day not in range(1, 32):
            yield InvalidInputError("Le jour de prélèvement va de 1 à 31.", field="withdrawal_day")
        yield from self._faults_of_dates(today)
        yield from islice(self._faults_of_lines(), 1)  # they stand in one place

    def _texts(self) -> dict[str, Any]:
        return {name: clean_text(getattr(self, name) or "") or None for name in LENGTHS}

    def _clean_lines(self) -> tuple[ContractLineFields, ...]:
        return tuple(replace(line, label=clean_text(line.label)) for line in self.lines)

    def _faults_of_dates(self, today: date) -> Iterator[InvalidInputError]:
        for name in ("signed_on", "validated_on", "starts_on", "ends_on"):
            value = getattr(self, name)
            if value and value.year not in YEARS:
                yield InvalidInputError("Vérifiez l’année de cette date.", field=name)
            elif value and value > today and name in ("signed_on", "validated_on"):
                yield InvalidInputError("Cette date est dans le futur.", field=name)
        if self.starts_on and self.ends_on and self.ends_on < self.starts_on:
            yield InvalidInputError("La fin précède le début.", field="ends_on")

    def _faults_of_lines(self) -> Iterator[InvalidInputError]:
        lines = self._clean_lines()
        if len(lines) > MOST_LINES:
            yield InvalidInputError(f"{MOST_LINES} lignes au plus.", field="lines")
        for line in lines:
            if not line.label:
                yield InvalidInputError("Une ligne a un prix ou une quantité, mais pas de produit.", field="lines")
            if len(line.label) > LINE_LENGTH:
                yield InvalidInputError(f"Un produit tient en {LINE_LENGTH} caractères.", field="lines")
            if not 0 < line.quantity < GREATEST_QUANTITY:
                yield InvalidInputError("Une quantité est plus grande que zéro.", field="lines")
            if line.unit_price is not None and not -GREATEST_AMOUNT < line.unit_price < GREATEST_AMOUNT:
                yield InvalidInputError("Un prix tient en dix chiffres.", field="lines")


def find_company(company_id: UUID) -> Company:
    """A company of the organisation. Raises InvalidInputError."""
    company = db.session.scalar(select(Company).where(Company.id == company_id))
    if company is None:
        raise InvalidInputError("Cette société n’est pas disponible.", field="company_id")
    return company
