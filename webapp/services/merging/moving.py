"""Rows change hands, by sets: a few statements for each table, whatever it holds; and go back where they were.

What moved is written down row by row (MergeMove). Callers hold the clients' locks; their transaction is the merge's.
"""
# ruff: noqa: S608  put together from names and expressions of ours

from typing import Any
from uuid import UUID

from sqlalchemy import text

from webapp import tenancy
from webapp.extensions import db
from webapp.services.merging.tables import BELONGINGS

_NOTE = """INSERT INTO merge_moves (organisation_id, operation_id, table_name, row_key, before, after)
  SELECT :organisation_id, :operation_id, '{table}', {key}, {before}, {after} FROM {rows}
  ON CONFLICT (organisation_id, operation_id, table_name, row_key)
  DO UPDATE SET before = EXCLUDED.before || merge_moves.before, after = merge_moves.after || EXCLUDED.after"""
_GOES = {
    # An account with the same IBAN is there already: the other one stays behind, and its mandates come to the first.
    "bank_accounts": """NOT EXISTS (SELECT FROM bank_accounts k WHERE k.organisation_id = t.organisation_id
      AND k.client_id = :kept_id AND k.iban_index = t.iban_index)""",
    "mandates": """NOT (t.status = 'declared' AND EXISTS (SELECT FROM mandates k
      JOIN bank_accounts ka ON ka.organisation_id = k.organisation_id AND ka.id = k.bank_account_id
      JOIN bank_accounts a ON a.organisation_id = k.organisation_id AND a.id = t.bank_account_id
      WHERE k.organisation_id = t.organisation_id AND k.client_id = :kept_id AND k.status = 'declared'
        AND ka.iban_index = a.iban_index))""",
}
"""Which rows of a table go along, where not all do."""
_RESTORED = {"mandates": ("bank_account_id",), "bank_accounts": ("archived_at",), "subscriptions": ("means_inherited",)}
"""Columns beside ``client_id`` that a merge may change."""


def announce() -> None:
    """Say that this transaction merges: rows that are otherwise kept as they are may change their client."""
    db.session.execute(text("SELECT set_config('crm.merging', 'on', true)"))


def move(operation_id: UUID, *, kept_id: UUID, merged_id: UUID, lost_default_ids: list[UUID]) -> int:
    """Give all that belongs to ``merged_id`` to ``kept_id``; returns how many rows.

    ``lost_default_ids`` are the default means that give way to another of the same company.
    """
    given = {"operation_id": operation_id, "kept_id": kept_id, "merged_id": merged_id}
    _take_defaults_away(operation_id, lost_default_ids)
    _reopen_accounts(**given)
    moved = sum(_move_table(table, **given) for table in BELONGINGS)
    _name_own_means(**given)
    return moved


def _move_table(table: str, **given: Any) -> int:
    also, sets, images = "", "", ("", "")
    if table == "mandates":  # those on an account whose IBAN both have come to the account that is kept
        also = """LEFT JOIN bank_accounts own ON own.organisation_id = t.organisation_id AND own.id = t.bank_account_id
          LEFT JOIN bank_accounts twin ON twin.organisation_id = t.organisation_id AND twin.client_id = :kept_id
            AND twin.iban_index = own.iban_index"""
        sets = ", bank_account_id = coalesce(o.twin_id, t.bank_account_id)"
        images = (", 'bank_account_id', t.bank_account_id", ", 'bank_account_id', coalesce(twin.id, t.bank_account_id)")
    key = BELONGINGS[table].key
    note = _NOTE.format(table=table, key=f"moved.{key}::text", before="moved.before", after="moved.after", rows="moved")
    return _count(
        f"""WITH o AS MATERIALIZED (
          SELECT t.{key}, {"twin.id AS twin_id," if also else ""}
            jsonb_build_object('client_id', t.client_id{images[0]}) AS before,
            jsonb_build_object('client_id', :kept_id{images[1]}) AS after
          FROM {table} t {also}
          WHERE t.organisation_id = :organisation_id AND t.client_id = :merged_id AND {_GOES.get(table, "true")}
        ), moved AS (
          UPDATE {table} t SET client_id = :kept_id{sets} FROM o
          WHERE t.organisation_id = :organisation_id AND t.{key} = o.{key}
          RETURNING t.{key}, o.before, o.after
        ), noted AS ({note} RETURNING 1) SELECT count(*) FROM noted""",
        **given,
    )


def _take_defaults_away(operation_id: UUID, default_ids: list[UUID]) -> None:
    note = _NOTE.format(
        table="default_means", key="gone.id::text", before="to_jsonb(gone)", after="NULL::jsonb", rows="gone"
    )
    _execute(
        f"""WITH gone AS (
          DELETE FROM default_means WHERE organisation_id = :organisation_id AND id = ANY(:ids) RETURNING *
        ) {note}""",
        operation_id=operation_id,
        ids=default_ids,
    )


def _reopen_accounts(**given: Any) -> None:
    """An archived account of the kept client is in use again where the other's, with the same IBAN, is in use."""
    note = _NOTE.format(
        table="bank_accounts", key="o.id::text", before="o.before", after="o.after", rows="opened JOIN o USING (id)"
    )
    _execute(
        f"""WITH o AS MATERIALIZED (
          SELECT k.id, jsonb_build_object('archived_at', k.archived_at) AS before,
            jsonb_build_object('archived_at', NULL) AS after
          FROM bank_accounts k JOIN bank_accounts m ON m.organisation_id = k.organisation_id
            AND m.client_id = :merged_id AND m.iban_index = k.iban_index AND m.archived_at IS NULL
          WHERE k.organisation_id = :organisation_id AND k.client_id = :kept_id AND k.archived_at IS NOT NULL
        ), opened AS (
          UPDATE bank_accounts t SET archived_at = NULL FROM o
          WHERE t.organisation_id = :organisation_id AND t.id = o.id RETURNING t.id
        ) {note}""",
        **given,
    )


def _name_own_means(**given: Any) -> None:
    """Nobody pays otherwise than before: what followed a default that is not the present one names its means itself."""
    note = _NOTE.format(
        table="subscriptions",
        key="named.id::text",
        before="""'{"means_inherited": true}'::jsonb""",
        after="""'{"means_inherited": false}'::jsonb""",
        rows="named",
    )
    _execute(
        f"""WITH named AS (
          UPDATE subscriptions t SET means_inherited = false
          WHERE t.organisation_id = :organisation_id AND t.client_id = :kept_id AND t.means_inherited
            AND NOT EXISTS (
              SELECT FROM (SELECT 1) one LEFT JOIN default_means d ON d.organisation_id = t.organisation_id
                AND d.client_id = :kept_id AND d.company_id = t.company_id
              WHERE (d.payment_method, d.saved_method_id, d.mandate_id)
                IS NOT DISTINCT FROM (t.payment_method, t.saved_method_id, t.mandate_id))
          RETURNING t.id
        ) {note}""",
        **given,
    )


# ---- Back


def move_back(operation_id: UUID, *, kept_id: UUID) -> int:
    """Give back what the merge moved, where the kept client has it still; returns how many rows went back."""
    given = {"operation_id": operation_id, "kept_id": kept_id}
    returned = sum(_move_table_back(table, **given) for table in BELONGINGS)
    _execute(
        """INSERT INTO default_means
          SELECT r.* FROM merge_moves m CROSS JOIN LATERAL jsonb_populate_record(NULL::default_means, m.before) r
          WHERE m.organisation_id = :organisation_id AND m.operation_id = :operation_id
            AND m.table_name = 'default_means' AND m.after IS NULL
          ON CONFLICT DO NOTHING""",
        operation_id=operation_id,
    )
    return returned


def _move_table_back(table: str, **given: Any) -> int:
    key = BELONGINGS[table].key
    sets = "".join(
        f""", {name} = CASE WHEN m.before ? '{name}'
          AND to_jsonb(t) -> '{name}' IS NOT DISTINCT FROM m.after -> '{name}' THEN r.{name} ELSE t.{name} END"""
        for name in _RESTORED.get(table, ())
    )
    row_key = "m.row_key::uuid" if key == "id" else "m.row_key"
    return _count(
        f"""WITH moved AS MATERIALIZED (
          SELECT * FROM merge_moves m
          WHERE organisation_id = :organisation_id AND operation_id = :operation_id AND table_name = '{table}'
            AND after IS NOT NULL
        ), returned AS (
          UPDATE {table} t SET client_id = coalesce(r.client_id, t.client_id){sets}
          FROM moved m CROSS JOIN LATERAL jsonb_populate_record(NULL::{table}, m.before) r
          WHERE t.organisation_id = :organisation_id AND t.{key} = {row_key} AND t.client_id = :kept_id
          RETURNING m.before ? 'client_id' AS has_moved
        ) SELECT count(*) FROM returned WHERE has_moved""",
        **given,
    )


# ---- Counting


def count_belongings(client_ids: list[UUID]) -> dict[UUID, dict[str, int]]:
    """How many rows of each table belong to each of the clients."""
    each = " UNION ALL ".join(
        f"""SELECT client_id, '{table}', count(*) FROM {table}
        WHERE organisation_id = :organisation_id AND client_id = ANY(:ids) GROUP BY client_id"""
        for table in BELONGINGS
    )
    counts: dict[UUID, dict[str, int]] = {client_id: {} for client_id in client_ids}
    for client_id, table, number in _execute(each, ids=client_ids):
        counts[client_id][table] = number
    return counts


def count_moved(operation_id: UUID) -> dict[tuple[UUID, str], int]:
    """How many rows of each table a merge moved, by the client that they came from."""
    rows = _execute(
        """SELECT before ->> 'client_id', table_name, count(*) FROM merge_moves
        WHERE organisation_id = :organisation_id AND operation_id = :operation_id AND before ? 'client_id'
          AND after IS NOT NULL
        GROUP BY before ->> 'client_id', table_name""",
        operation_id=operation_id,
    )
    return {(UUID(client_id), table): number for client_id, table, number in rows}


def count_added(operation_id: UUID, *, kept_id: UUID, since: Any) -> dict[str, int]:
    """How many rows of each table came to the kept client since the merge."""
    each = " UNION ALL ".join(
        f"""SELECT '{table}', count(*) FROM {table} t
        WHERE t.organisation_id = :organisation_id AND t.client_id = :kept_id AND {belonging.since} > :since
          AND NOT EXISTS (SELECT FROM merge_moves m WHERE m.organisation_id = t.organisation_id
            AND m.operation_id = :operation_id AND m.table_name = '{table}' AND m.row_key = t.{belonging.key}::text)"""
        for table, belonging in BELONGINGS.items()
        if belonging.one and belonging.since
    )
    rows = _execute(each, operation_id=operation_id, kept_id=kept_id, since=since)
    return {table: number for table, number in rows if number}


def _count(statement: str, **given: Any) -> int:
    return int(_execute(statement, **given).scalar_one())


def _execute(statement: str, **given: Any) -> Any:
    return db.session.execute(text(statement), {"organisation_id": tenancy.current_organisation_id(), **given})
