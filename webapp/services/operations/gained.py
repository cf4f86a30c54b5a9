"""What rows have gained since they were created: whatever refers to them, in any table."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

from psycopg import sql

from webapp.models.base import Base
from webapp.models.timeline import EventKind
from webapp.services.winleadplus.copying import driver_connection

# Rows that come with their parent, and change its version when a person changes them; and what is found or summed by
# itself: sums are told anew, and an import of people who were there already is undone just because of its duplicates.
PARTS = frozenset(
    {
        "contract_lines",
        "contract_status_changes",
        "contract_changes",
        "cover_revenue_months",
        "duplicate_pairs",
        "operation_items",
    }
)
EVENT = "un événement de l’historique"
WORDS = {
    "bank_accounts": "un compte bancaire",
    "charges": "un prélèvement",
    "claims": "un dossier de sinistre",
    "consents": "un consentement",
    "contracts": "un contrat",
    "cover_sales": "une souscription",
    "covered_homes": "un logement couvert",
    "covers": "une couverture",
    "documents": "un document",
    "dunning_cases": "un dossier de relance",
    "invoices": "une facture",
    "mandates": "un mandat",
    "means_requests": "une demande de moyen de paiement",
    "messages": "un message",
    "payments": "un paiement",
    "saved_payment_methods": "un moyen de paiement",
    "shipments": "une expédition",
    "subscriptions": "un abonnement",
    "tasks": "une tâche",
}
_EVENT_WORD = sql.SQL("CASE c.kind WHEN {note} THEN 'une note' WHEN {call} THEN 'un appel' ELSE {event} END").format(
    note=EventKind.NOTE.value, call=EventKind.CALL.value, event=EVENT
)

Own = Callable[[str, bool], sql.SQL | None]
"""For a table, and whether it has ids: the condition on its row ``c`` that leaves out what came with the creation.

None leaves the table out.
"""


def find(table: str, ids: Sequence[UUID], *, own: Own, parameters: dict[str, Any]) -> dict[UUID, list[str]]:
    """What refers to the rows ``ids`` of ``table``, in words, by their ids.

    ``parameters`` hold ``organisation_id``, and what the conditions of ``own`` name.
    """
    gained: dict[UUID, list[str]] = {}
    for referring, column, has_id in _referring(table):
        condition = own(referring, has_id)
        if condition is None:
            continue
        statement = sql.SQL(
            """SELECT DISTINCT c.{column}, {word} FROM {table} c
            WHERE c.organisation_id = %(organisation_id)s AND c.{column} = ANY(%(ids)s) {own}"""
        ).format(table=sql.Identifier(referring), column=sql.Identifier(column), word=_word(referring), own=condition)
        for row_id, word in driver_connection().execute(statement, {**parameters, "ids": list(ids)}):
            gained.setdefault(row_id, []).append(word)
    return {row_id: _told(words) for row_id, words in gained.items()}


def _word(table: str) -> sql.Composable:
    return _EVENT_WORD if table == "timeline_events" else sql.Literal(WORDS.get(table, "d’autres données"))


def _told(words: Sequence[str]) -> list[str]:
    """Each once; that the timeline tells of something says nothing beside the thing itself."""
    told = list(dict.fromkeys(words))
    return [word for word in told if word != EVENT] or told


@lru_cache
def _referring(table: str) -> list[tuple[str, str, bool]]:
    """Tables and columns that refer to the rows of ``table``, and whether they have ids of their own."""
    return [
        (each.name, constraint.column_keys[-1], "id" in each.columns)
        for each in Base.metadata.sorted_tables
        for constraint in each.foreign_key_constraints
        if constraint.referred_table.name == table and each.name not in PARTS
    ]
