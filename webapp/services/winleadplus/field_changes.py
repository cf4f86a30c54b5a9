"""What changed, field by field, before and after: kept encrypted on items, told without secrets on pages.

A key is a client's column, ``iban``, ``commercial``, or ``contract.REFERENCE.column``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson

from webapp import crypto, french
from webapp.clock import PARIS
from webapp.iban import mask_iban
from webapp.models.clients import ClientStatus
from webapp.models.contracts import ContractStatus, PaymentMethod
from webapp.models.winleadplus import SyncItem
from webapp.services.contact import readable_phone

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


def for_timeline(changes: Changes) -> dict[str, list[Any]]:
    """The same as ``[before, after]``, with no IBAN, BIC or identity card in clear.

    Columns of the client keep their names; what a page has no name for gets its words here.
    """
    worded: dict[str, list[Any]] = {}
    for key, values in changes.items():
        kind, _, number = key.partition("#")
        if kind in LABELS:
            worded[kind if number in ("", "0") else label_of(key)] = [_shown(key, value) for value in values]
        else:
            worded[label_of(key)] = [_worded(key, value) for value in values]
    return worded


def changes_of(item: SyncItem) -> list[Change]:
    """What the item's run changed, or a dry run would change."""
    before, after = images_of(item)
    keys = list(dict.fromkeys([*before, *after]))
    return [Change(label_of(key), _worded(key, before.get(key)), _worded(key, after.get(key))) for key in keys]


def words_of(image: str) -> str:
    """The fields of an image, as JSON, one after the other, without secrets."""
    worded = ((key, _worded(key, value)) for key, value in orjson.loads(image).items())
    return " · ".join(f"{label_of(key)}\u202f: {word}" for key, word in worded if word is not None)


def images_of(item: SyncItem) -> tuple[dict[str, Any], dict[str, Any]]:
    """The values before and after, by key, with what is secret in clear: for those who undo, not for pages."""
    return _image(item, "before"), _image(item, "after")


def label_of(key: str) -> str:
    """The field's name on the screen."""
    if not key.startswith("contract."):
        name, _, number = key.partition("#")
        return LABELS.get(name, name) + (f" {int(number) + 1}" if number not in ("", "0") else "")
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
    text = _shown(key, value)
    if text is None or text in ("", []):
        return None
    word = _WORDS.get(key.partition("#")[0] if key in LABELS or "#" in key else f"contract.{key.rpartition('.')[2]}")
    return word(text) if word else str(text)


def _day(text: str) -> str:
    instant = datetime.fromisoformat(text)
    local = instant.astimezone(PARIS) if instant.tzinfo else instant
    return french.day(local)


def _euros(text: str) -> str:
    return french.unit_price(Decimal(text))


def _lines(lines: list[dict[str, Any]]) -> str:
    return ", ".join(
        f"{line['label']} ({_euros(line['unit_price'])})" if line["unit_price"] else line["label"] for line in lines
    )


_WORDS: dict[str, Callable[[Any], str]] = {
    "phone": readable_phone,
    "status": lambda text: ClientStatus(text).label,
    "contract.status": lambda text: ContractStatus(text).label,
    "contract.payment_method": lambda text: PaymentMethod(text).label,
    "contract.amount": _euros,
    "contract.signed_at": _day,
    "contract.validated_at": _day,
    "contract.starts_on": _day,
    "contract.lines": _lines,
}
