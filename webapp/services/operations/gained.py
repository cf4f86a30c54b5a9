"""What rows have gained since they were created: whatever refers to them, in any table."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

from psycopg import sql

from webapp.models.base import Base
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
WORDS = {
    "contracts": "un contrat",
    "subscriptions": "un abonnement",
    "charges": "un prélèvement",
    "documents": "un document",
    "tasks": "une tâche",
    "timeline_events": "un événement de l’historique",
    "bank_accounts": "un compte bancaire",
    "mandates": "un mandat",
    "messages": "un message",
    "invoices": "une facture",
}

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
            """SELECT DISTINCT c.{column} FROM {table} c
            WHERE c.organisation_id = %(organisation_id)s AND c.{column} = ANY(%(ids)s) {own}"""
        ).format(table=sql.Identifier(referring), column=sql.Identifier(column), own=condition)
        for (row_id,) in driver_connection().execute(statement, {**parameters, "ids": list(ids)}):
            gained.setdefault(row_id, []).append(WORDS.get(referring, "d’autres données"))
    return {row_id: list(dict.fromkeys(words)) for row_id, words in gained.items()}


@lru_cache
def _referring(table: str) -> list[tuple[str, str, bool]]:
    """Tables and columns that refer to the rows of ``table``, and whether they have ids of their own."""
    return [
        (each.name, constraint.column_keys[-1], "id" in each.columns)
        for each in Base.metadata.sorted_tables
        for constraint in each.foreign_key_constraints
        if constraint.referred_table.name == table and each.name not in PARTS
    ]
