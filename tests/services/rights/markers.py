"""A client with a row of every table that may hold something of it, full of words that stand nowhere else."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Column, LargeBinary, String, Table, text
from sqlalchemy.dialects.postgresql import JSONB

from tests.conftest import NOW
from tests.rows import make_row
from tests.services.rights.test_list import TABLES, candidates
from webapp import crypto, tenancy
from webapp.crypto import DecryptionError
from webapp.extensions import db
from webapp.models.base import Base, new_id
from webapp.models.clients import Client
from webapp.models.messages import address_purpose
from webapp.models.personal_data import HOLDINGS
from webapp.services.keys import sealed_columns

MARK = "zzmarque"
"""What every text of the client holds."""
EMAIL = f"{MARK}@example.fr"

PARTY = dict.fromkeys("name address_line1 address_line2 postcode city country email phone".split(), MARK)
ENDED: dict[str, dict[str, Any]] = {
    "subscriptions": {"status": "canceled"},
    "charges": {"status": "succeeded"},
    "refunds": {"status": "succeeded"},
    "charge_attempts": {"status": "succeeded"},
    "invoices": {
        "number": 7, "status": "issued", "issued_on": NOW.date(), "finalised_at": NOW,
        "seller": PARTY, "buyer": PARTY,
    },
    "dunning_cases": {"status": "paid", "closed_at": NOW},
    "dunning_claims": {"left_at": NOW, "outcome": "paid"},
    "means_requests": {"status": "canceled", "ended_at": NOW},
    "hosted_pages": {"status": "closed"},
    "messages": {"status": "sent"},
    "shipments": {"status": "delivered", "consignment_no": 3},
    "parcels": {"status": "delivered", "weight_g": 100},
    "batch_documents": {"consignments": [3]},
    "batch_totals": {"key": "zzpick", "kind": "picking", "content": [{"label": "Thé", "preferences": {"a": MARK}}]},
    "fulfilment_batch_lines": {
        "status": "shipped", "snapshot_at": NOW, "consignment_no": 3, "pick_key": "zzpick", "held_reason": None,
    },
    "woocommerce_mappings": {"kind": "client", "email_index": b"zz-index", "woo_id": None},
    "woocommerce_resources": {"woo_id": 77, "kind": "order", "modified_at": NOW, "rank": 1},
    "woocommerce_events": {"woo_id": 77, "kind": "order", "state": "done", "handled_at": NOW},
    "exports": {"status": "success", "fence": 1},
    "suppressions": {},
    "consents": {"state": "given"},
    "planned_changes": {"lines": []},
    "dunning_instalments": {"canceled_at": NOW},
    "mandates": {"status": "active"},
    "sync_items": {"kind": "updated"},
    "webhook_events": {"handled_at": NOW},
    "operations": {"state": "done", "kind": "erasure"},
}  # fmt: skip
"""What rows must say so that nothing is under way, and that their tables' checks hold."""
DERIVED = {"present_consents", "last_contacts", "contract_changes", "cover_revenue_months"}
"""Tables whose rows follow from others: triggers or the timetable write them."""


def mark_all(client: Client, *, with_kept: bool = True) -> dict[str, dict[str, Any]]:
    """Make the rows, their parents first; returns them by table. ``with_kept``: in JSON that stays, too."""
    made: dict[str, dict[str, Any]] = {"clients": {"id": client.id}}
    for table in Base.metadata.sorted_tables:
        if table.name in HOLDINGS and table.name not in made and table.name not in DERIVED:
            made[table.name] = _mark(table, made, client.id, with_kept=with_kept)
    _mark_client(client)
    return made


def _mark(table: Table, made: dict[str, dict[str, Any]], client_id: UUID, *, with_kept: bool) -> dict[str, Any]:
    values = _keys(table, made, client_id)
    holding = HOLDINGS[table.name]
    left = {name for name in holding.kept if not with_kept and isinstance(table.columns[name].type, JSONB)}
    for name in candidates(table) - {*holding.plain, *left}:
        values[name] = _marked(table.columns[name], values.get("id"))
    if table.name == "operation_items":
        values |= {"row_id": client_id, "position": 1, "operation_id": made["operations"]["id"]}
    if table.name == "duplicate_pairs":
        other = made.setdefault("_other", make_row(TABLES["clients"], last_name="Autre"))
        values["first_id"], values["second_id"] = sorted([client_id, other["id"]])
    if table.name == "suppressions":
        purpose = address_purpose(tenancy.current_organisation_id())
        values["to_index"] = crypto.blind_index(EMAIL, purpose=purpose)
    return make_row(table, **(values | ENDED.get(table.name, {})))


def _keys(table: Table, made: dict[str, dict[str, Any]], client_id: UUID) -> dict[str, Any]:
    """An id, and those of the rows that it belongs to."""
    is_numbered = "id" in table.columns and table.columns["id"].identity is not None
    values: dict[str, Any] = {"id": new_id()} if "id" in table.columns and not is_numbered else {}
    for key in table.foreign_key_constraints:
        column = list(key.columns)[-1]
        wants = not column.nullable or column.name in ("client_id", "message_id", "operation_id")
        if len(key.columns) > 1 and wants and key.referred_table.name in made:
            values[column.name] = made[key.referred_table.name]["id"]
    return values | ({"client_id": client_id} if "client_id" in table.columns else {})


def _marked(column: Column[Any], row_id: UUID | None) -> Any:
    if isinstance(column.type, JSONB):
        words = {"x": EMAIL}
        return [words] if column.name in ("details", "lines", "content", "review", "review_closed") else words
    if isinstance(column.type, LargeBinary):
        if column in sealed_columns().get(column.table, []):
            place = f"{tenancy.current_organisation_id()}|{column}|{row_id}"
            return crypto.seal(EMAIL, place=place)
        return EMAIL.encode() + (row_id.bytes if row_id else b"")
    if isinstance(column.type, ARRAY):
        return [EMAIL.encode() if isinstance(column.type.item_type, LargeBinary) else EMAIL]
    assert isinstance(column.type, String)
    return EMAIL[: column.type.length or 50]


def _mark_client(client: Client) -> None:
    columns = [
        each for each in candidates(TABLES["clients"]) if isinstance(TABLES["clients"].columns[each].type, String)
    ]
    for name in columns:
        column = TABLES["clients"].columns[name]
        if getattr(column.type, "enums", None) or name in ("country", "delivery_country", "commercial_external_id"):
            continue
        setattr(client, name, MARK[: column.type.length or 50])
    client.email, client.phone = EMAIL, "+33600000001"
    client.identity_card = crypto.seal(MARK, place=client.place("identity_card"))
    db.session.commit()


def find_marks() -> set[str]:
    """Where the mark stands in the whole database: « table.column », sealed values and hexadecimal included."""
    return {f"{table}.{column}" for table, column in _found()}


def _found() -> Iterator[tuple[str, str]]:
    sealed = sealed_columns()
    for table in Base.metadata.sorted_tables:
        for row in db.session.execute(text(f"SELECT * FROM {table.name}")).mappings():
            for name, value in row.items():
                if MARK in _read(value) or MARK in _opened(table, name, row, sealed):
                    yield table.name, name


def _read(value: Any) -> str:
    if isinstance(value, bytes | memoryview):
        return bytes(value).decode("latin-1")
    return str(value).lower()


def _opened(table: Table, name: str, row: Any, sealed: dict[Table, list[Column[Any]]]) -> str:
    column = table.columns[name]
    if row[name] is None or column not in sealed.get(table, []):
        return ""
    _, *key = table.primary_key
    row_id = "/".join(str(row[each.name]) for each in key)
    try:
        return crypto.unseal(bytes(row[name]), place=f"{row['organisation_id']}|{column}|{row_id}")
    except DecryptionError:
        return ""
