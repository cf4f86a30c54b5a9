"""How the values of a plan read: on its page, in its CSV, and in a client's timeline."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import select

from webapp import french
from webapp.clock import PARIS
from webapp.extensions import db
from webapp.models.banking import MandateStatus
from webapp.models.commercials import Commercial
from webapp.models.contracts import ContractStatus, PaymentMethod
from webapp.models.operations import ItemTarget, OperationItem
from webapp.models.organisations import Company
from webapp.services.clients.fields import ClientFields
from webapp.services.contracts.editing import LABELS as CONTRACT_LABELS

_CONTRACT_WORDS = {
    **CONTRACT_LABELS,
    "signed_at": "signature",
    "validated_at": "validation",
    "currency": "devise",
    "status_raw": "statut dans WinLeadPlus",
    "document_url": "document",
    "audit_trail_url": "preuve de signature",
    "product": "produit",
    "quantity": "quantité",
    "unit_price": "prix unitaire HT",
}
HIDDEN = frozenset(
    {
        "client_id", "source", "user_id", "commercial_external_id", "bank_account_id", "iban", "iban_index", "bic",
        "product_id",
    }
)  # fmt: skip
"""Columns whose values tell nobody anything."""
_NAMED = {"commercial_id": "commercial", "company_id": "company"}


class Change(NamedTuple):
    """A field that changes. ``key`` names it in a timeline: a client's column, or words."""

    key: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Names:
    """The commercials and companies that values name, by id as text."""

    by_id: dict[str, str] = field(default_factory=dict)

    @classmethod
    def among(cls, values: Iterable[tuple[str, Any]]) -> "Names":
        """Those among columns and values, in two statements at most."""
        wanted: dict[str, set[UUID]] = {"commercial_id": set(), "company_id": set()}
        for column, value in values:
            if value and column in wanted:
                wanted[column].add(UUID(value))
        found: dict[str, str] = {}
        if ids := wanted["commercial_id"]:
            commercials = db.session.scalars(select(Commercial).where(Commercial.id.in_(ids)))
            found |= {str(each.id): each.full_name for each in commercials}
            if planned := ids - {UUID(each) for each in found}:
                found |= _of_plans(planned)
        if ids := wanted["company_id"]:
            companies = select(Company.id, Company.name).where(Company.id.in_(ids))
            found |= {str(row.id): row.name for row in db.session.execute(companies)}
        return cls(found)


def _of_plans(ids: set[UUID]) -> dict[str, str]:
    """The names of commercials that a plan creates, who are there only once it is applied."""
    created = select(OperationItem.row_id, OperationItem.label).where(
        OperationItem.row_id.in_(ids), OperationItem.target == ItemTarget.COMMERCIAL
    )
    return {str(row.row_id): row.label for row in db.session.execute(created)}


def changes_of(
    target: ItemTarget, before: dict[str, Any], after: dict[str, Any], names: Names, *, contract: str = ""
) -> list[Change]:
    """What an item changes, field by field. ``contract`` is the reference by which a client's timeline tells it."""
    changes = []
    for column in dict.fromkeys([*_ORDERS.get(target, ()), *after, *before]):
        if column in HIDDEN or not (column in after or column in before):
            continue
        old, new = (_worded(target, column, image.get(column), names) for image in (before, after))
        if old != new:
            changes.append(Change(_key(target, column, contract), old, new))
    return changes


def told_of_client(before: dict[str, Any], after: dict[str, Any]) -> dict[str, list[str | None]]:
    """The same of a client's columns, as their timeline tells it: commercials by their names."""
    names = Names.among([*before.items(), *after.items()])
    told = changes_of(ItemTarget.CLIENT, before, after, names)
    return {change.key: [change.before, change.after] for change in told}


def _key(target: ItemTarget, column: str, contract: str) -> str:
    if target is ItemTarget.CONTRACT:
        word = _CONTRACT_WORDS.get(column, column)
        return f"Contrat {contract}\u202f: {word}" if contract else f"{word[:1].upper()}{word[1:]}"
    if target in _OWN_WORDS:
        return _OWN_WORDS[target].get(column, column)
    return _NAMED.get(column, column)


_OWN_WORDS = {
    ItemTarget.TASK: {"title": "Tâche", "due_on": "Échéance"},
    ItemTarget.BANK_ACCOUNT: {"iban_masked": "Compte bancaire", "holder": "Titulaire du compte"},
    ItemTarget.MANDATE: {
        "umr": "Mandat SEPA (RUM)",
        "status": "Statut du mandat",
        "signed_on": "Mandat signé le",
        "signed_in": "Mandat signé à",
        "company_id": "Créancier du mandat",
    },
    ItemTarget.COMMERCIAL: {"last_name": "Nom", "first_name": "Prénom", "email": "E-mail"},
}
_ORDERS: dict[ItemTarget, Iterable[str]] = {
    ItemTarget.CLIENT: [each.name for each in fields(ClientFields)],
    ItemTarget.CONTRACT: _CONTRACT_WORDS,
    **_OWN_WORDS,
}
"""The columns in the order in which people read them; JSON comes from the database by the length of its keys."""


def _worded(target: ItemTarget, column: str, value: Any, names: Names) -> str | None:
    if value in (None, "", []):
        return None
    if column in _NAMED:
        return names.by_id.get(value, "inconnu")
    if target is ItemTarget.MANDATE and column == "status":
        return MandateStatus(value).label
    if column == "archived_at":
        return _day_of(value)
    word = _WORDS.get(column)
    if target is ItemTarget.CLIENT or word is None:  # pages word a client's columns themselves
        return str(value)
    return word(value)


def _day(value: str) -> str:
    return french.day(date.fromisoformat(value))


def _day_of(value: str) -> str:
    return french.day(datetime.fromisoformat(value).astimezone(PARIS).date())


_WORDS: dict[str, Callable[[Any], str]] = {
    "status": lambda value: ContractStatus(value).label,
    "payment_method": lambda value: PaymentMethod(value).label,
    "amount": lambda value: french.amount(Decimal(str(value))),
    "quantity": lambda value: french.quantity(Decimal(str(value))),
    "unit_price": lambda value: french.amount(Decimal(str(value))),
    "signed_at": _day_of,
    "validated_at": _day_of,
    "starts_on": _day,
    "ends_on": _day,
    "due_on": _day,
    "signed_on": _day,
}
