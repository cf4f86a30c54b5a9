"""What changed, field by field, before and after: kept encrypted on items, told without secrets on pages.

A key is a client's column, ``iban``, ``commercial``, or ``contract.REFERENCE.column``.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from webapp import crypto
from webapp.models.banking import mask_iban
from webapp.models.clients import ClientStatus
from webapp.models.contracts import ContractStatus, PaymentMethod
from webapp.models.winleadplus import SyncItem

Changes = dict[str, tuple[Any, Any]]

LABELS = {
    "last_name": "Nom",
    "first_name": "Prénom",
    "email": "E-mail",
    "phone": "Téléphone",
    "address_line1": "Adresse",
    "address_line2": "Complément d’adresse",
    "postcode": "Code postal",
    "city": "Ville",
    "country": "Pays",
    "status": "Statut",
    "commercial": "Commercial",
    "identity_card": "Pièce d’identité",
    "iban": "IBAN",
    "bic": "BIC",
    "mandate": "Mandat SEPA",
}
CONTRACT_LABELS = {
    "reference": "référence",
    "status": "statut",
    "status_raw": "statut dans WinLeadPlus",
    "description": "description",
    "contract_type": "type",
    "supplier": "fournisseur",
    "amount": "montant",
    "signed_at": "signature",
    "validated_at": "validation",
    "starts_on": "début",
    "payment_method": "moyen de paiement",
    "document_url": "document",
    "audit_trail_url": "preuve de signature",
    "lines": "lignes",
    "missing_since": "absent de WinLeadPlus",
}
HIDDEN = "••••"


@dataclass(frozen=True)
class Change:
    """One field as a page shows it; None where there was, or is, nothing."""

    label: str
    before: str | None
    after: str | None


def as_json(value: object) -> str:
    """JSON text, for a jsonb column or for sealing."""
    return orjson.dumps(value, default=str).decode()


def seal(value: object, *, organisation_id: UUID, table_column: str, row_id: object) -> bytes:
    """JSON, encrypted for its place."""
    place = place_of(organisation_id, table_column, row_id)
    return crypto.keyring().encrypt(orjson.dumps(value, default=str), place=place)


def unseal(sealed: bytes, *, organisation_id: UUID, table_column: str, row_id: object) -> Any:
    """What ``seal`` was given, as JSON knows it."""
    return orjson.loads(crypto.keyring().decrypt(sealed, place=place_of(organisation_id, table_column, row_id)))


def place_of(organisation_id: UUID, table_column: str, row_id: object) -> str:
    """Where an encrypted value belongs (associated data)."""
    return f"{organisation_id}|{table_column}|{row_id}"


def without_secrets(changes: Changes) -> dict[str, list[Any]]:
    """The same as ``[before, after]``, fit for the timeline: no IBAN, BIC or identity card in clear."""
    return {key: [_shown(key, before), _shown(key, after)] for key, (before, after) in changes.items()}


def changes_of(item: SyncItem) -> list[Change]:
    """What the item's run changed, or a dry run would change."""
    before, after = _image(item, "before"), _image(item, "after")
    keys = list(dict.fromkeys([*before, *after]))
    return [Change(label_of(key), _worded(key, before.get(key)), _worded(key, after.get(key))) for key in keys]


def label_of(key: str) -> str:
    """The field's name on the screen."""
    if not key.startswith("contract."):
        return LABELS.get(key.partition("#")[0], key)
    reference, _, column = key.removeprefix("contract.").rpartition(".")
    return f"Contrat {reference}\u202f: {CONTRACT_LABELS.get(column, column)}"


def _image(item: SyncItem, column: str) -> dict[str, Any]:
    sealed = getattr(item, column)
    if sealed is None:
        return {}
    image: dict[str, Any] = unseal(
        sealed, organisation_id=item.organisation_id, table_column=f"sync_items.{column}", row_id=item.id
    )
    return image


def _shown(key: str, value: Any) -> Any:
    """JSON-able, with secrets masked."""
    if value is None:
        return None
    kind = key.partition("#")[0]
    if kind == "iban":
        return mask_iban(value)
    if kind in ("bic", "identity_card"):
        return HIDDEN
    return orjson.loads(orjson.dumps(value, default=str))


def _worded(key: str, value: Any) -> str | None:
    """As a person reads it."""
    shown = _shown(key, value)
    if shown is None or shown in ("", []):
        return None
    column = key.rpartition(".")[2]
    if column == "status":
        return (ContractStatus(shown) if key.startswith("contract.") else ClientStatus(shown)).label
    if column == "payment_method":
        return PaymentMethod(shown).label
    if column == "lines":
        return ", ".join(f"{line['label']} {line['unit_price'] or ''}".strip() for line in shown)
    if column == "mandate":
        return "déclaré"
    return str(shown)
