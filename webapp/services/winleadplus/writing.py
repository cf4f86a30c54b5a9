"""Turns plans into rows, and writes the rows of a whole batch in a handful of statements."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from webapp import crypto
from webapp.extensions import db
from webapp.iban import iban_purpose, mask_iban
from webapp.models.banking import BankAccount, MandateStatus
from webapp.models.base import new_id
from webapp.models.clients import Source
from webapp.models.timeline import EventKind
from webapp.models.winleadplus import ItemKind
from webapp.services.winleadplus import field_changes
from webapp.services.winleadplus.commercials import Directory
from webapp.services.winleadplus.copying import Row, copy_rows, update_rows
from webapp.services.winleadplus.differences import snapshot_of
from webapp.services.winleadplus.existing import Standing
from webapp.services.winleadplus.payload import Prospect, ProspectAccount, ProspectLine
from webapp.services.winleadplus.plans import CLIENT_FIELDS, CONTRACT_FIELDS, SNAPSHOT, ContractPlan, Plan
from webapp.services.winleadplus.products import Catalogue
from webapp.transactions import writing_as

WINLEADPLUS = Source.WINLEADPLUS.value
DEFAULTS: dict[str, Any] = {"last_name": "", "first_name": "", "country": "FR"}

CLIENT_COLUMNS = (
    "organisation_id", "id", *CLIENT_FIELDS, "source", "commercial_id", "commercial_external_id", "identity_card",
    "contracts_count", "contract_references", "created_at", "changed_at",
)  # fmt: skip
CLIENT_CHANGES = (*CLIENT_FIELDS, "commercial_id", "commercial_external_id", "identity_card", "version", "changed_at")
CONTRACT_COLUMNS = (
    "organisation_id", "id", "client_id", "company_id", "currency", "commercial_id", "commercial_external_id",
    "reference", *CONTRACT_FIELDS, "product_ids", "source", "created_at", "changed_at",
)  # fmt: skip
CONTRACT_CHANGES = (*CONTRACT_FIELDS, "missing_since", "changed_at")
LINE_COLUMNS = ("organisation_id", "id", "contract_id", "position", "product_id", "label", "unit_price", "details")
ACCOUNT_COLUMNS = (
    "organisation_id", "id", "client_id", "iban", "iban_index", "iban_masked", "bic", "source", "created_at",
)  # fmt: skip
MANDATE_COLUMNS = (
    "organisation_id", "id", "client_id", "bank_account_id", "company_id", "status", "source", "created_at",
)  # fmt: skip
MAPPING_COLUMNS = (
    "organisation_id", "external_id", "client_id", "run_id", "hash", "fingerprint", "snapshot", "synced_at",
    "missing_since",
)  # fmt: skip
EVENT_COLUMNS = ("organisation_id", "id", "client_id", "kind", "at", "user_id", "run_id", "changes")
ITEM_COLUMNS = (
    "organisation_id", "id", "run_id", "external_id", "kind", "label", "reason", "client_id", "candidate_ids",
    "before", "after", "payload", "created_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Digests:
    """What a prospect is recognised by next time."""

    hash: bytes
    fingerprint: bytes


@dataclass(slots=True)
class Author:
    """On whose behalf rows are written, when, and into what. ``by`` is a user's id where a person decided."""

    organisation_id: UUID
    run_id: UUID
    company_id: UUID
    currency: str
    at: datetime
    by: UUID | None = None


@dataclass(slots=True)
class Rows:
    """The rows of a batch, per table."""

    author: Author
    directory: Directory
    catalogue: Catalogue
    clients: list[Row] = field(default_factory=list)
    client_changes: list[Row] = field(default_factory=list)
    contracts: list[Row] = field(default_factory=list)
    contract_changes: list[Row] = field(default_factory=list)
    emptied_contracts: list[UUID] = field(default_factory=list)
    lines: list[Row] = field(default_factory=list)
    accounts: list[Row] = field(default_factory=list)
    bics: list[Row] = field(default_factory=list)
    mandates: list[Row] = field(default_factory=list)
    mappings: list[Row] = field(default_factory=list)
    mapping_changes: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    items: list[Row] = field(default_factory=list)

    # ---- Plans

    def add_created(self, plan: Plan, digests: Digests) -> UUID:
        """A new client with all that hangs on it. Returns its id."""
        author, prospect, client_id = self.author, plan.prospect, new_id()
        commercial_id, awaited = self.directory.commercial_of(prospect)
        references = sorted(contract.reference for contract in prospect.contracts)
        self.clients.append(
            (
                author.organisation_id,
                client_id,
                *(getattr(prospect, name) for name in CLIENT_FIELDS),
                WINLEADPLUS,
                commercial_id,
                awaited,
                self._sealed_card(prospect.identity_card, client_id),
                len(references),
                " ".join(references),
                author.at,
                author.at,
            )
        )
        self._add_belongings(plan, client_id)
        self._add_event(client_id, EventKind.CLIENT_IMPORTED, {})
        self._add_mapping(prospect, client_id, snapshot_of(prospect), digests)
        return client_id

    def add_updated(self, plan: Plan, digests: Digests, standing: Standing) -> None:
        """What changes about a client that exists."""
        client_id = plan.client_id
        assert client_id is not None  # noqa: S101  for mypy: plans that update name their client
        self._change_client(plan, standing.clients[client_id])
        self._add_belongings(plan, client_id)
        for account_id, bic in plan.bics:
            sealed = crypto.seal(bic, place=BankAccount.place(self.author.organisation_id, account_id, "bic"))
            self.bics.append((self.author.organisation_id, account_id, sealed))
        self.mandates += [self._declared_mandate(client_id, account_id) for account_id in plan.mandates]
        self._change_contracts(plan, standing)
        self._tell(plan, client_id)
        if plan.is_first_link:
            self._add_mapping(plan.prospect, client_id, plan.snapshot, digests)
        else:
            self._change_mapping(plan, client_id, digests, self._counting_run)

    def add_refreshed(self, plan: Plan, digests: Digests, standing: Standing) -> None:
        """A prospect that differs in nothing that we keep: only its digests and snapshot are renewed."""
        mapping = standing.mappings[plan.prospect.external_id]
        self._change_mapping(plan, mapping.client_id, digests, mapping.run_id)

    def add_item(
        self,
        kind: ItemKind,
        external_id: str,
        *,
        label: str,
        reason: str | None = None,
        client_id: UUID | None = None,
        candidates: Sequence[UUID] = (),
        changes: field_changes.Changes | None = None,
        payload: str | None = None,
    ) -> None:
        """What the run has to say about a prospect."""
        author, item_id = self.author, new_id()
        before = {key: value for key, (value, _) in (changes or {}).items() if value is not None}
        after = {key: value for key, (_, value) in (changes or {}).items()}
        self.items.append(
            (
                author.organisation_id,
                item_id,
                author.run_id,
                external_id,
                kind.value,
                label[:200],
                reason,
                client_id,
                list(candidates),
                self._sealed(before, "sync_items.before", item_id) if before else None,
                self._sealed(after, "sync_items.after", item_id) if after else None,
                self._sealed(payload, "sync_items.payload", item_id) if payload else None,
                author.at,
            )
        )

    # ---- Parts of a client

    def _change_client(self, plan: Plan, client: dict[str, Any]) -> None:
        values = {**client, **plan.values}
        if "identity_card" in plan.values:
            values["identity_card"] = self._sealed_card(plan.values["identity_card"], client["id"])
        if not plan.changes:
            return
        values["version"] = client["version"] + 1
        values["changed_at"] = self.author.at
        cleared = {name: default for name, default in DEFAULTS.items() if values[name] is None}
        values |= cleared
        self.client_changes.append(
            (self.author.organisation_id, client["id"], *(values[name] for name in CLIENT_CHANGES))
        )

    def _change_contracts(self, plan: Plan, standing: Standing) -> None:
        held = {row["id"]: row for row in standing.contracts.get(plan.client_id, {}).values()} if plan.client_id else {}
        changed = {change.id: change for change in plan.contracts if change.id is not None}
        vanished = {contract_id for contract_id, _ in plan.vanished}
        for contract_id in {*changed, *vanished, *plan.returned}:
            values = dict(held[contract_id])
            if contract_id in changed:
                values |= changed[contract_id].values
            if contract_id in vanished:
                values["missing_since"] = self.author.at
            elif contract_id in plan.returned:
                values["missing_since"] = None
            values["changed_at"] = self.author.at
            self.contract_changes.append(
                (self.author.organisation_id, contract_id, *(values[name] for name in CONTRACT_CHANGES))
            )

    def _add_belongings(self, plan: Plan, client_id: UUID) -> None:
        for change in plan.contracts:
            self._add_contract(change, plan.prospect, client_id)
        for account in plan.accounts:
            self._add_account(account, client_id)

    def _add_contract(self, change: ContractPlan, prospect: Prospect, client_id: UUID) -> None:
        """A contract and its lines; for one that exists, its lines, where they are replaced."""
        author, contract, contract_id = self.author, change.contract, change.id or new_id()
        products = [self.catalogue.id_of(line) for line in contract.lines]
        if change.id is None:
            self.contracts.append(
                (
                    author.organisation_id,
                    contract_id,
                    client_id,
                    author.company_id,
                    author.currency,
                    *self.directory.commercial_of(prospect),
                    contract.reference,
                    *(getattr(contract, name) for name in CONTRACT_FIELDS),
                    sorted({product for product in products if product is not None}),
                    WINLEADPLUS,
                    author.at,
                    author.at,
                )
            )
        elif change.replaces_lines:
            self.emptied_contracts.append(contract_id)
        else:
            return
        for position, (line, product_id) in enumerate(zip(contract.lines, products, strict=True)):
            self.lines.append(self._line(contract_id, position, product_id, line))

    def _line(self, contract_id: UUID, position: int, product_id: UUID | None, line: ProspectLine) -> Row:
        details = {"category": line.category, "supplier": line.supplier, "offer_id": line.offer_id}
        return (
            self.author.organisation_id,
            new_id(),
            contract_id,
            position,
            product_id,
            line.label,
            line.unit_price,
            field_changes.as_json({name: value for name, value in details.items() if value}),
        )

    def _add_account(self, account: ProspectAccount, client_id: UUID) -> None:
        organisation_id, account_id = self.author.organisation_id, new_id()
        sealed_bic = None
        if account.bic:
            sealed_bic = crypto.seal(account.bic, place=BankAccount.place(organisation_id, account_id, "bic"))
        self.accounts.append(
            (
                organisation_id,
                account_id,
                client_id,
                crypto.seal(account.iban, place=BankAccount.place(organisation_id, account_id, "iban")),
                crypto.blind_index(account.iban, purpose=iban_purpose(organisation_id)),
                mask_iban(account.iban),
                sealed_bic,
                WINLEADPLUS,
                self.author.at,
            )
        )
        if account.has_mandate:
            self.mandates.append(self._declared_mandate(client_id, account_id))

    def _declared_mandate(self, client_id: UUID, account_id: UUID) -> Row:
        author = self.author
        return (
            author.organisation_id,
            new_id(),
            client_id,
            account_id,
            author.company_id,
            MandateStatus.DECLARED.value,
            WINLEADPLUS,
            author.at,
        )

    # ---- Mapping, timeline

    def _add_mapping(self, prospect: Prospect, client_id: UUID, snapshot: object, digests: Digests) -> None:
        self.mappings.append(self._mapping(prospect, client_id, snapshot, digests, self._counting_run))

    @property
    def _counting_run(self) -> UUID | None:
        """The run that counts what is written: none where a person ended an item of it."""
        return None if self.author.by else self.author.run_id

    def _change_mapping(self, plan: Plan, client_id: UUID, digests: Digests, run_id: UUID | None) -> None:
        self.mapping_changes.append(self._mapping(plan.prospect, client_id, plan.snapshot, digests, run_id))

    def _mapping(
        self, prospect: Prospect, client_id: UUID, snapshot: object, digests: Digests, run_id: UUID | None
    ) -> Row:
        return (
            self.author.organisation_id,
            prospect.external_id,
            client_id,
            run_id,
            digests.hash,
            digests.fingerprint,
            self._sealed(snapshot, SNAPSHOT, prospect.external_id),
            self.author.at,
            None,
        )

    def _tell(self, plan: Plan, client_id: UUID) -> None:
        changes = field_changes.for_timeline(
            {key: change for key, change in plan.changes.items() if not key.endswith(".missing_since")}
        )
        if plan.is_first_link:
            self._add_event(client_id, EventKind.CLIENT_LINKED, changes)
        elif changes or plan.returned:
            self._add_event(client_id, EventKind.CLIENT_SYNCED, changes)
        for _, reference in plan.vanished:
            self._add_event(client_id, EventKind.CONTRACT_MISSING, {"reference": [None, reference]})

    def _add_event(self, client_id: UUID, kind: EventKind, changes: dict[str, list[Any]]) -> None:
        author = self.author
        self.events.append(
            (
                author.organisation_id,
                new_id(),
                client_id,
                kind.value,
                author.at,
                author.by,
                author.run_id,
                field_changes.as_json(changes) if changes else "{}",
            )
        )

    def _sealed_card(self, card: str | None, client_id: UUID) -> bytes | None:
        if card is None:
            return None
        place = field_changes.place_of(self.author.organisation_id, "clients.identity_card", client_id)
        return crypto.seal(card, place=place)

    def _sealed(self, value: object, table_column: str, row_id: object) -> bytes:
        organisation_id = self.author.organisation_id
        return field_changes.seal(value, organisation_id=organisation_id, table_column=table_column, row_id=row_id)

    # ---- Writing

    def write(self) -> None:
        """Everything, in the current transaction; what is pointed at comes before what points at it."""
        key = ("organisation_id", "id")
        copy_rows("clients", CLIENT_COLUMNS, self.clients)
        update_rows("clients", key, CLIENT_CHANGES, self.client_changes)
        if self.emptied_contracts:
            parameters = {"organisation_id": self.author.organisation_id, "ids": self.emptied_contracts}
            db.session.execute(_EMPTY_CONTRACTS, parameters)
        self._update_contracts()
        copy_rows("contracts", CONTRACT_COLUMNS, self.contracts)
        copy_rows("contract_lines", LINE_COLUMNS, self.lines)
        copy_rows("bank_accounts", ACCOUNT_COLUMNS, self.accounts)
        update_rows("bank_accounts", key, ("bic",), self.bics)
        copy_rows("mandates", MANDATE_COLUMNS, self.mandates)
        update_rows("sync_mappings", MAPPING_COLUMNS[:2], MAPPING_COLUMNS[2:], self.mapping_changes)
        copy_rows("sync_mappings", MAPPING_COLUMNS, self.mappings)
        copy_rows("timeline_events", EVENT_COLUMNS, self.events)
        self.write_items()

    def _update_contracts(self) -> None:
        if self.contract_changes:
            with writing_as(at=self.author.at, user_id=self.author.by, run_id=self.author.run_id):
                update_rows("contracts", ("organisation_id", "id"), CONTRACT_CHANGES, self.contract_changes)

    def write_items(self) -> None:
        """The items alone: all that a dry run writes."""
        copy_rows("sync_items", ITEM_COLUMNS, self.items)


_EMPTY_CONTRACTS = text(
    "DELETE FROM contract_lines WHERE organisation_id = :organisation_id AND contract_id = ANY(:ids)"
)
