"""All that is known of a client, section by section: what the list of personal data names, read and opened."""
# ruff: noqa: S608  put together from names and expressions of ours

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import Column, Table, text

from webapp import crypto, tenancy
from webapp.crypto import DecryptionError
from webapp.extensions import db
from webapp.models.base import Base

MINE = "t.client_id = ANY(:ids)"


class Section(NamedTuple):
    """A part of what is handed out: its title, the table that it is read from, and which rows."""

    title: str
    table: str
    whose: str = MINE


def _of(parent: str, column: str, *, through: str = MINE) -> str:
    """Rows that belong to rows of ``parent``."""
    mine = through.replace("t.", "p.")
    return f"t.{column} IN (SELECT p.id FROM {parent} p WHERE p.organisation_id = :organisation_id AND {mine})"


SECTIONS = (
    Section("Identité et coordonnées", "clients", "t.id = ANY(:ids)"),
    Section("Comptes bancaires", "bank_accounts"),
    Section("Mandats de prélèvement", "mandates"),
    Section("Avenants aux mandats", "mandate_amendments", _of("mandates", "mandate_id")),
    Section("Moyens de paiement enregistrés", "saved_payment_methods"),
    Section("Demandes de moyen de paiement", "means_requests"),
    Section("Contrats", "contracts"),
    Section("Lignes des contrats", "contract_lines", _of("contracts", "contract_id")),
    Section("Abonnements", "subscriptions"),
    Section("Lignes des abonnements", "subscription_lines", _of("subscriptions", "subscription_id")),
    Section("Préférences", "preference_values", _of("subscriptions", "subscription_id")),
    Section("Changements de préférences", "preference_changes", _of("subscriptions", "subscription_id")),
    Section("Vie des abonnements", "subscription_history"),
    Section("Ajustements", "subscription_adjustments", _of("subscriptions", "subscription_id")),
    Section("Couvertures", "covers"),
    Section("Logements couverts", "covered_homes"),
    Section("Souscriptions", "cover_sales"),
    Section("Vie des couvertures", "cover_facts", _of("covers", "cover_id")),
    Section("Résiliations", "cover_terminations", _of("covers", "cover_id")),
    Section(
        "Résiliations retirées",
        "cover_termination_withdrawals",
        _of("cover_terminations", "termination_id", through=_of("covers", "cover_id")),
    ),
    Section("Dossiers de sinistre", "claims"),
    Section("Décisions sur les sinistres", "claim_decisions", _of("claims", "claim_id")),
    Section("Comptes des sinistres", "claim_entries", _of("claims", "claim_id")),
    Section("Suivi des sinistres", "claim_changes", _of("claims", "claim_id")),
    Section("Interventions sur les sinistres", "claim_interventions", _of("claims", "claim_id")),
    Section("Réponses de satisfaction", "claim_satisfactions"),
    Section("Prélèvements", "charges"),
    Section("Tentatives de prélèvement", "charge_attempts", _of("charges", "charge_id")),
    Section("Paiements", "payments"),
    Section("Remboursements", "refunds", _of("charges", "charge_id")),
    Section("Factures et avoirs", "invoices"),
    Section("Lignes des factures", "invoice_lines", _of("invoices", "invoice_id")),
    Section("Dossiers de relance", "dunning_cases"),
    Section("Étapes de relance", "dunning_steps", _of("dunning_cases", "case_id")),
    Section("Contenu des lots", "fulfilment_batch_lines"),
    Section("Expéditions", "shipments"),
    Section("Colis", "parcels", _of("shipments", "shipment_id")),
    Section("Suivi des colis", "tracking_events", _of("parcels", "parcel_id", through=_of("shipments", "shipment_id"))),
    Section("Messages", "messages"),
    Section("Suites des messages", "message_events", _of("messages", "message_id")),
    Section("Consentements", "consents"),
    Section("Tâches", "tasks"),
    Section("Documents", "documents"),
    Section("Historique", "timeline_events"),
    Section("Ce que WinLeadPlus dit de vous", "sync_mappings"),
    Section("Ce que les synchronisations ont changé", "sync_items"),
    Section("Ce que les boutiques disent de vous", "woocommerce_resources"),
    Section("Liens avec les boutiques", "woocommerce_mappings"),
)
NOT_GIVEN = {
    "allocations": "which payment pays which invoice: sums that stand in both",
    "bank_files": "many people's debits; this client's are among the attempts",
    "batch_documents": "many people's labels; the addresses stand in the shipments",
    "batch_totals": "sums over many clients",
    "contract_changes": "told in the timeline",
    "contract_status_changes": "the contract's page by another name: told in the timeline",
    "cover_cap_alerts": "which years were told of: a task tells it",
    "cover_homes": "which home when: told in the timeline",
    "cover_options": "which option when: told in the timeline",
    "cover_periods": "which version of a plan when: told in the timeline",
    "cover_withdrawn_periods": "which version of a plan was not to come after all: told in the timeline",
    "cover_revenue_months": "what the covers bring, by month: sums over the history of their subscriptions",
    "default_means": "which of the means is taken first",
    "dunning_claims": "which charge stands in which case",
    "dunning_instalments": "become charges",
    "dunning_suspensions": "told in the history of the subscription",
    "figure_entries": "what counts in which month: sums that stand in payments, invoices and claims",
    "duplicate_pairs": "compares with other people",
    "exports": "others' lists",
    "hosted_pages": "pages of a provider, for a quarter of an hour",
    "import_rows": "lines of a file while its plan is made; what came of it stands in the timeline",
    "imports": "files that name many people, for thirty days",
    "journal_entries": "nobody's data",
    "last_contacts": "the newest of the timeline",
    "mandate_imports": "lists that name many people, for thirty days",
    "operation_items": "what stands in the timeline, too",
    "operations": "nobody's data but a name",
    "operator_deliveries": "which file an operator was told of; the file stands among the claims",
    "operator_documents": "links to files that stand among the documents",
    "operator_events": "what came of it stands in the claims",
    "planned_changes": "become lines of the subscription",
    "present_consents": "the last of the consents",
    "saved_views": "searches of colleagues",
    "shipment_events": "what colleagues corrected of a shipment",
    "suppressions": "the address stands in the messages",
    "webhook_events": "what became of it stands in the attempts",
    "woocommerce_events": "the latest word stands in the resources",
}
"""Tables that are not read, and why."""
TECHNICAL = {
    "organisation_id", "version", "fence", "lease_until", "attempts", "next_attempt_at", "token", "token_hash",
    "iban_index", "to_index", "email_index", "hash", "fingerprint", "dedupe_key", "stored_as", "candidate_ids", "rank",
    "name_key", "city_key", "search_text", "reference_key", "signed_key", "ends_key", "pick_key", "box_key", "key",
    "label_file", "merged_into_id", "first_id", "second_id", "related_ids", "run_id", "operation_id",
    "tell_on", "window_ends_on",
}  # fmt: skip
"""Columns that say nothing of the person, or are secrets of ours."""
NAMES_OTHERS = ("client_merged", "client_unmerged")
"""Events that name another client."""


def gather(ids: Sequence[UUID]) -> Iterator[tuple[Section, list[dict[str, Any]]]]:
    """Each section with its rows, the oldest first; sealed values opened, people named as authors alone."""
    people = _people()
    for section in SECTIONS:
        yield section, [_plain(section.table, row, people) for row in _rows(section, ids)]


def _rows(section: Section, ids: Sequence[UUID]) -> list[Mapping[str, Any]]:
    table = Base.metadata.tables[section.table]
    order = ", ".join(f"t.{each.name}" for each in table.primary_key)
    statement = text(
        f"SELECT * FROM {section.table} t WHERE t.organisation_id = :organisation_id AND ({section.whose}) "
        f"ORDER BY {order}"
    )
    given = {"organisation_id": tenancy.current_organisation_id(), "ids": list(ids)}
    return [dict(row) for row in db.session.execute(statement, given).mappings()]


def _people() -> dict[UUID, str]:
    """Colleagues by id: whoever wrote something is named."""
    rows = db.session.execute(
        text("SELECT id, first_name || ' ' || last_name AS name FROM users WHERE organisation_id = :organisation_id"),
        {"organisation_id": tenancy.current_organisation_id()},
    )
    return {row.id: row.name.strip() for row in rows}


def _plain(table_name: str, row: Mapping[str, Any], people: Mapping[UUID, str]) -> dict[str, Any]:
    table = Base.metadata.tables[table_name]
    values: dict[str, Any] = {}
    for column in table.columns:
        value = row[column.name]
        if column.name in TECHNICAL or value is None or value in ("", {}, []):
            continue
        if _refers_to(column, "users"):
            values[column.name.removesuffix("_id")] = people.get(value, "")
        elif isinstance(value, bytes | memoryview):
            values[column.name] = _opened(table, column, row)
        else:
            values[column.name] = value
    if table_name == "timeline_events" and row["kind"] in NAMES_OTHERS:
        values.pop("changes", None)
    return values


def _refers_to(column: Column[Any], table: str) -> bool:
    return any(
        constraint.referred_table.name == table and column.name in constraint.column_keys
        for constraint in column.table.foreign_key_constraints
        if column.name != "organisation_id"
    )


def _opened(table: Table, column: Column[Any], row: Mapping[str, Any]) -> Any:
    """A sealed value in clear, as JSON where it is JSON; nothing where nobody can read it any more."""
    _, *key = table.primary_key
    row_id = "/".join(str(row[each.name]) for each in key)
    try:
        opened = crypto.unseal(bytes(row[column.name]), place=f"{row['organisation_id']}|{column}|{row_id}")
    except (DecryptionError, UnicodeDecodeError):
        return None
    try:
        return orjson.loads(opened)
    except orjson.JSONDecodeError:
        return opened
