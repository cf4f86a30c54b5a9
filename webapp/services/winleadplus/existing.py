"""What the CRM holds on a batch of prospects, read in a handful of statements whatever the batch's size."""

from collections.abc import Collection, Container, Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import text

from webapp import tenancy
from webapp.extensions import db
from webapp.services.winleadplus.payload import Prospect


@dataclass(frozen=True, slots=True)
class Mapping:
    """Which client a prospect is, and what it looked like upstream when it was last applied (encrypted)."""

    client_id: UUID
    snapshot: bytes | None
    run_id: UUID | None


@dataclass(slots=True)
class Standing:
    """The rows that a batch touches. Clients among them are locked until the transaction ends."""

    mappings: dict[str, Mapping] = field(default_factory=dict)
    by_email: dict[str, list[UUID]] = field(default_factory=dict)
    by_phone: dict[str, list[UUID]] = field(default_factory=dict)
    clients: dict[UUID, dict[str, Any]] = field(default_factory=dict)
    contracts: dict[UUID, dict[str, dict[str, Any]]] = field(default_factory=dict)
    lines: dict[UUID, list[dict[str, Any]]] = field(default_factory=dict)
    owners: dict[str, UUID] = field(default_factory=dict)
    accounts: dict[UUID, dict[bytes, dict[str, Any]]] = field(default_factory=dict)

    def is_erased(self, client_id: UUID) -> bool:
        """Whether the client was erased: nothing that WinLeadPlus says of it is kept."""
        client = self.clients.get(client_id)
        return client is not None and client["erased_at"] is not None

    def candidates_for(self, prospect: Prospect, taken: Container[UUID]) -> list[UUID]:
        """Clients mapped to no prospect yet: with the same e-mail, else with the same telephone.

        ``taken`` are those that have found their prospect since this was read.
        """
        candidates: list[UUID] = []
        if prospect.email:
            candidates = [found_id for found_id in self.by_email.get(prospect.email, []) if found_id not in taken]
        if not candidates and prospect.phone:
            candidates = [found_id for found_id in self.by_phone.get(prospect.phone, []) if found_id not in taken]
        return candidates


_MAPPINGS = text(
    """SELECT external_id, client_id, snapshot, run_id FROM sync_mappings
    WHERE organisation_id = :organisation_id AND external_id = ANY(:wanted)"""
)
_UNMAPPED = """SELECT clients.{column}, clients.id FROM clients
    WHERE organisation_id = :organisation_id AND {column} = ANY(:wanted) AND archived_at IS NULL
      AND NOT EXISTS (SELECT FROM sync_mappings m
                      WHERE m.organisation_id = :organisation_id AND m.client_id = clients.id)
    ORDER BY clients.id"""
_BY_EMAIL = text(_UNMAPPED.format(column="email"))
_BY_PHONE = text(_UNMAPPED.format(column="phone"))
_CLIENTS = text(
    """SELECT id, status, commercial_id, commercial_external_id, last_name, first_name, email, phone, address_line1,
        address_line2, postcode, city, country, identity_card, version, erased_at
    FROM clients WHERE organisation_id = :organisation_id AND id = ANY(:wanted)
    ORDER BY id FOR NO KEY UPDATE"""
)
_CONTRACTS = text(
    """SELECT id, client_id, reference, status, status_raw, description, contract_type, supplier, amount, signed_at,
        validated_at, starts_on, payment_method, document_url, audit_trail_url, missing_since
    FROM contracts WHERE organisation_id = :organisation_id AND client_id = ANY(:wanted)"""
)
_LINES = text(
    """SELECT contract_id, label, unit_price, details FROM contract_lines
    WHERE organisation_id = :organisation_id AND contract_id = ANY(:wanted) ORDER BY contract_id, position"""
)
_OWNERS = text(
    """SELECT reference, client_id FROM contracts
    WHERE organisation_id = :organisation_id AND reference = ANY(:wanted)"""
)
_ACCOUNTS = text(
    """SELECT a.id, a.client_id, a.iban_index, a.bic, EXISTS (
        SELECT FROM mandates m WHERE m.organisation_id = a.organisation_id AND m.bank_account_id = a.id
    ) AS has_mandate
    FROM bank_accounts a WHERE a.organisation_id = :organisation_id AND a.client_id = ANY(:wanted)"""
)


_ERASED = text(
    """SELECT m.external_id FROM sync_mappings m
    JOIN clients c ON c.organisation_id = m.organisation_id AND c.id = m.client_id AND c.erased_at IS NOT NULL
    WHERE m.organisation_id = :organisation_id AND m.external_id = ANY(:wanted)"""
)


def list_erased(external_ids: Collection[str]) -> set[str]:
    """Of these prospects, those whose client was erased."""
    return {row["external_id"] for row in _fetch(_ERASED, external_ids)}


def load(prospects: Collection[Prospect], chosen: Iterable[UUID] = ()) -> Standing:
    """Everything needed to decide about these prospects; ``chosen`` are clients that a person named."""
    standing = Standing()
    for row in _fetch(_MAPPINGS, [prospect.external_id for prospect in prospects]):
        standing.mappings[row["external_id"]] = Mapping(row["client_id"], row["snapshot"], row["run_id"])
    unmapped = [prospect for prospect in prospects if prospect.external_id not in standing.mappings]
    for row in _fetch(_BY_EMAIL, {prospect.email for prospect in unmapped if prospect.email}):
        standing.by_email.setdefault(row["email"], []).append(row["id"])
    unmatched = [prospect for prospect in unmapped if prospect.email not in standing.by_email]
    for row in _fetch(_BY_PHONE, {prospect.phone for prospect in unmatched if prospect.phone}):
        standing.by_phone.setdefault(row["phone"], []).append(row["id"])
    for row in _fetch(_OWNERS, {contract.reference for prospect in prospects for contract in prospect.contracts}):
        standing.owners[row["reference"]] = row["client_id"]
    touched = {mapping.client_id for mapping in standing.mappings.values()} | set(chosen)
    for candidates in (*standing.by_email.values(), *standing.by_phone.values()):
        touched.update(candidates)
    _load_clients(standing, touched)
    return standing


def _load_clients(standing: Standing, client_ids: set[UUID]) -> None:
    for row in _fetch(_CLIENTS, client_ids):
        standing.clients[row["id"]] = row
    contract_ids = []
    for row in _fetch(_CONTRACTS, client_ids):
        standing.contracts.setdefault(row["client_id"], {})[row["reference"]] = row
        contract_ids.append(row["id"])
    for row in _fetch(_LINES, contract_ids):
        standing.lines.setdefault(row["contract_id"], []).append(row)
    for row in _fetch(_ACCOUNTS, client_ids):
        standing.accounts.setdefault(row["client_id"], {})[bytes(row["iban_index"])] = row


def _fetch(statement: Any, wanted: Collection[Any]) -> list[dict[str, Any]]:
    if not wanted:
        return []
    parameters = {"organisation_id": tenancy.current_organisation_id(), "wanted": list(wanted)}
    return [dict(row) for row in db.session.execute(statement, parameters).mappings()]
