"""The lines of a file in PostgreSQL while its plan is made: who each is about is found by sets.

Clients are matched as the synchronisation does: by their own identifier, else by e-mail, else by telephone. Lines about
one client are joined: the first one leads, and what a later one says otherwise refuses that later one.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, LiteralString
from uuid import UUID

from psycopg import sql

from webapp.models.operations import Operation
from webapp.services.imports.rows import StagedRow
from webapp.services.winleadplus.copying import copying_rows, driver_connection

_GROUP = """WITH keyed AS MATERIALIZED (
    SELECT line, phone, coalesce(wanted_id::text, email) AS strong,
      concat(client->>'last_name', ' ', client->>'first_name') AS name,
      CASE WHEN client <> '{}' AND wanted_id IS NULL AND email IS NULL AND phone IS NULL
        THEN md5(client::text) END AS weak
    FROM import_rows WHERE organisation_id = %(organisation_id)s AND operation_id = %(operation_id)s AND fault IS NULL
  ), strong AS (
    SELECT strong, min(line) AS leader FROM keyed WHERE strong IS NOT NULL GROUP BY strong HAVING count(*) > 1
  ), weak AS (
    SELECT weak, min(line) AS leader FROM keyed WHERE weak IS NOT NULL GROUP BY weak HAVING count(*) > 1
  ), phones AS (
    SELECT DISTINCT ON (phone) phone, fold(name) AS name, coalesce(strong.leader, line) AS leader
    FROM keyed LEFT JOIN strong USING (strong)
    WHERE phone IN (SELECT phone FROM keyed WHERE strong IS NULL)
    ORDER BY phone, line
  ), grouped AS (
    SELECT keyed.line, coalesce(strong.leader, phones.leader, weak.leader, keyed.line) AS leader
    FROM keyed LEFT JOIN strong USING (strong) LEFT JOIN weak USING (weak)
    LEFT JOIN phones ON keyed.strong IS NULL AND phones.phone = keyed.phone
      AND (phones.name = fold(keyed.name) OR '' IN (phones.name, fold(keyed.name)))  -- a family has one telephone, too
  )
  UPDATE import_rows r SET leader = grouped.leader FROM grouped
  WHERE r.organisation_id = %(organisation_id)s AND r.operation_id = %(operation_id)s AND r.line = grouped.line
    AND grouped.leader <> grouped.line"""

# A client who was merged leads to the one that was kept, however often that one was merged since.
_KEPT = """CASE WHEN c.merged_into_id IS NULL THEN c.id ELSE (
            WITH RECURSIVE up AS (
              SELECT k.id, k.merged_into_id FROM clients k
              WHERE k.organisation_id = c.organisation_id AND k.id = c.merged_into_id
              UNION ALL
              SELECT k.id, k.merged_into_id FROM up JOIN clients k
                ON k.organisation_id = c.organisation_id AND k.id = up.merged_into_id)
            SELECT up.id FROM up WHERE up.merged_into_id IS NULL) END"""
# A whole name may have been taken apart in another way than the client's was.
_SAME_NAME = """fold(r.label) IN (fold(c.last_name || ' ' || c.first_name), fold(c.first_name || ' ' || c.last_name))"""
# Archived clients are found by their own identifier alone, as by their mapping in a synchronisation.
_PRESENT = "(c.archived_at IS NULL OR c.merged_into_id IS NOT NULL)"

# Whatever says who a client is, is looked for where what says it better found nobody. Who is not found stays new.
_FIND = """WITH chosen AS MATERIALIZED (
    SELECT r.line, r.wanted_id, CASE WHEN owner.erased_at IS NULL THEN owner.id END AS owner_id,
      r.client <> '{}' AND r.wanted_id IS NULL AND r.email IS NULL AND r.phone IS NULL AS is_by_name,
      CASE WHEN r.wanted_id IS NOT NULL THEN ARRAY(
          SELECT {kept} FROM clients c
          WHERE c.organisation_id = r.organisation_id AND c.id = r.wanted_id AND c.erased_at IS NULL)
      ELSE coalesce(
        CASE WHEN r.email IS NOT NULL THEN nullif(ARRAY(
          SELECT DISTINCT {kept} FROM clients c
          WHERE c.organisation_id = r.organisation_id AND c.email = r.email AND {present}
          ORDER BY 1 LIMIT 20), '{}') END,
        CASE WHEN r.phone IS NOT NULL THEN nullif(ARRAY(
          SELECT DISTINCT {kept} FROM clients c
          WHERE c.organisation_id = r.organisation_id AND c.phone = r.phone AND {present}
          ORDER BY 1 LIMIT 20), '{}') END,
        CASE WHEN r.email IS NULL AND r.phone IS NULL THEN coalesce(
          (SELECT ARRAY[c.id] FROM clients c
            WHERE c.organisation_id = r.organisation_id AND c.id = owner.id AND ({same_name})),
          CASE WHEN r.client ?| '{last_name,first_name}' THEN ARRAY(
            SELECT DISTINCT {kept} FROM clients c
            WHERE c.organisation_id = r.organisation_id AND {present}
              AND c.name_key IN (fold(r.label), fold(concat(r.client->>'last_name', ' ', r.client->>'first_name')),
                fold(concat(r.client->>'first_name', ' ', r.client->>'last_name')))
            ORDER BY 1 LIMIT 20) END,
          CASE WHEN owner.erased_at IS NULL AND owner.id IS NOT NULL THEN ARRAY[owner.id] END) END,
        '{}') END AS ids
    FROM import_rows r
    LEFT JOIN LATERAL (
      SELECT c.id, c.erased_at FROM contracts k
      JOIN clients c ON c.organisation_id = k.organisation_id AND c.id = k.client_id
      WHERE k.organisation_id = r.organisation_id AND k.reference = r.reference
    ) owner ON true
    WHERE r.organisation_id = %(organisation_id)s AND r.operation_id = %(operation_id)s
      AND r.line > %(after)s AND r.line <= %(upto)s AND r.fault IS NULL AND r.leader = r.line
  ), sure AS (
    SELECT line, ids, wanted_id, CASE WHEN owner_id = ANY(ids) THEN owner_id
      WHEN cardinality(ids) = 1 AND NOT is_by_name THEN ids[1] END AS client_id
    FROM chosen
    WHERE ids <> '{}' OR wanted_id IS NOT NULL
  )
  UPDATE import_rows r SET
    client_id = coalesce(sure.client_id, r.new_id), is_new = sure.client_id IS NULL,
    is_undecided = sure.client_id IS NULL AND sure.ids <> '{}',
    candidate_ids = CASE WHEN sure.client_id IS NULL AND cardinality(sure.ids) > 1 THEN ARRAY(
      SELECT c.id FROM clients c
      WHERE c.organisation_id = r.organisation_id AND c.id = ANY(sure.ids) ORDER BY ({same_name}) DESC, c.id)
      ELSE sure.ids END,
    fault = CASE WHEN sure.ids = '{}' THEN %(no_such_client)s END
  FROM sure
  WHERE r.organisation_id = %(organisation_id)s AND r.operation_id = %(operation_id)s AND r.line = sure.line"""

# Two groups that turn out to be one client become one.
_JOIN = """WITH known AS (
    SELECT line, min(line) OVER (PARTITION BY client_id) AS leader FROM import_rows
    WHERE organisation_id = %(organisation_id)s AND operation_id = %(operation_id)s
      AND fault IS NULL AND leader = line AND NOT is_new
  ), moved AS MATERIALIZED (SELECT line, leader FROM known WHERE leader <> line)
  UPDATE import_rows r SET leader = moved.leader FROM moved
  WHERE r.organisation_id = %(organisation_id)s AND r.operation_id = %(operation_id)s AND r.leader = moved.line"""

_FOLLOW = """UPDATE import_rows r SET client_id = l.client_id, is_new = l.is_new, is_undecided = l.is_undecided,
    candidate_ids = l.candidate_ids, fault = l.fault
  FROM import_rows l
  WHERE r.organisation_id = %(organisation_id)s AND r.operation_id = %(operation_id)s AND r.fault IS NULL
    AND r.leader <> r.line
    AND l.organisation_id = r.organisation_id AND l.operation_id = r.operation_id AND l.line = r.leader"""

_MERGED = """SELECT r.leader, jsonb_object_agg(said.key, said.value ORDER BY r.line DESC) AS client
    FROM import_rows r CROSS JOIN LATERAL jsonb_each(r.client) said
    WHERE r.organisation_id = %(organisation_id)s AND r.operation_id = %(operation_id)s AND r.fault IS NULL
      AND r.leader IN (
        SELECT f.leader FROM import_rows f
        WHERE f.organisation_id = %(organisation_id)s AND f.operation_id = %(operation_id)s AND f.leader <> f.line)
    GROUP BY r.leader"""

_CONTRADICT = """WITH merged AS ({merged})
  UPDATE import_rows r SET fault = format(%(contradicts)s, r.leader)
  FROM merged
  WHERE r.organisation_id = %(organisation_id)s AND r.operation_id = %(operation_id)s AND r.fault IS NULL
    AND r.leader = merged.leader AND r.line <> r.leader AND NOT merged.client @> r.client"""

_MERGE = """WITH merged AS ({merged})
  UPDATE import_rows r SET client = merged.client
  FROM merged
  WHERE r.organisation_id = %(organisation_id)s AND r.operation_id = %(operation_id)s AND r.line = merged.leader
    AND r.client <> merged.client"""

_NOBODY = """UPDATE import_rows r SET fault = CASE WHEN has_name THEN %(no_creation)s ELSE %(no_name)s END
  FROM (
    SELECT f.line, CASE WHEN f.leader = f.line THEN f.client ELSE (
        SELECT l.client FROM import_rows l
        WHERE l.organisation_id = f.organisation_id AND l.operation_id = f.operation_id AND l.line = f.leader
      ) END ?| '{last_name,first_name}' AS has_name
    FROM import_rows f
    WHERE f.organisation_id = %(organisation_id)s AND f.operation_id = %(operation_id)s
      AND f.fault IS NULL AND f.is_new AND NOT f.is_undecided
  ) named
  WHERE r.organisation_id = %(organisation_id)s AND r.operation_id = %(operation_id)s AND r.line = named.line
    AND (NOT %(creates_clients)s OR NOT has_name)"""

_REFERENCES = """WITH same AS (
    SELECT reference, min(line) AS first FROM import_rows
    WHERE organisation_id = %(organisation_id)s AND operation_id = %(operation_id)s
      AND fault IS NULL AND reference IS NOT NULL
    GROUP BY reference HAVING count(*) > 1
  )
  UPDATE import_rows r SET fault = format(%(twice)s, same.first) FROM same
  WHERE r.organisation_id = %(organisation_id)s AND r.operation_id = %(operation_id)s AND r.fault IS NULL
    AND r.reference = same.reference AND r.line <> same.first"""

_OWNERS = """UPDATE import_rows r SET fault = %(borrowed)s FROM contracts k
  WHERE r.organisation_id = %(organisation_id)s AND r.operation_id = %(operation_id)s
    AND r.fault IS NULL AND r.reference IS NOT NULL AND NOT r.is_undecided
    AND k.organisation_id = r.organisation_id AND k.reference = r.reference AND k.client_id <> r.client_id"""

# What was given by another line, or is there already, is pointed at; the line's own id stays where it is new.
_ACCOUNTS = """WITH own AS (
    SELECT r.line, coalesce(
      (SELECT a.id FROM bank_accounts a WHERE a.organisation_id = r.organisation_id AND a.client_id = r.client_id
        AND a.iban_index = ANY(r.account_indexes) LIMIT 1),
      first_value(r.account_id) OVER (PARTITION BY r.client_id, r.account_indexes[1] ORDER BY r.line)) AS account_id
    FROM import_rows r
    WHERE r.organisation_id = %(organisation_id)s AND r.operation_id = %(operation_id)s
      AND r.fault IS NULL AND NOT r.is_undecided AND r.account_indexes IS NOT NULL
  )
  UPDATE import_rows r SET account_id = own.account_id, secrets = NULL FROM own
  WHERE r.organisation_id = %(organisation_id)s AND r.operation_id = %(operation_id)s AND r.line = own.line
    AND own.account_id <> r.account_id"""

_ACCOUNTS_OF_MANDATES = """WITH held AS (
    SELECT r.line, (SELECT array_agg(a.id) FROM bank_accounts a
      WHERE a.organisation_id = r.organisation_id AND a.client_id = r.client_id AND a.archived_at IS NULL) AS ids
    FROM import_rows r
    WHERE r.organisation_id = %(organisation_id)s AND r.operation_id = %(operation_id)s
      AND r.fault IS NULL AND NOT r.is_undecided AND r.mandate IS NOT NULL AND r.account_indexes IS NULL
  )
  UPDATE import_rows r
  SET account_id = ids[1], fault = CASE WHEN cardinality(ids) = 1 THEN NULL ELSE %(no_account)s END
  FROM held
  WHERE r.organisation_id = %(organisation_id)s AND r.operation_id = %(operation_id)s AND r.line = held.line"""

_UMR_TWICE = """WITH same AS (
    SELECT line, min(line) OVER (PARTITION BY mandate->>'company_id', upper(mandate->>'umr')) AS first
    FROM import_rows
    WHERE organisation_id = %(organisation_id)s AND operation_id = %(operation_id)s
      AND fault IS NULL AND mandate IS NOT NULL
  )
  UPDATE import_rows r SET fault = format(%(umr_twice)s, same.first) FROM same
  WHERE r.organisation_id = %(organisation_id)s AND r.operation_id = %(operation_id)s AND r.line = same.line
    AND same.first <> same.line"""

_PRESENT_MANDATES = """WITH wanted AS (
    SELECT line, upper(mandate->>'umr') AS umr, (mandate->>'signed_on')::date AS signed_on, client_id,
      (mandate->>'company_id')::uuid AS company_id
    FROM import_rows
    WHERE organisation_id = %(organisation_id)s AND operation_id = %(operation_id)s
      AND fault IS NULL AND NOT is_undecided AND mandate IS NOT NULL
  )
  UPDATE import_rows r SET
    mandate_id = m.id,
    fault = CASE WHEN m.client_id <> w.client_id OR m.status = 'revoked' THEN %(umr_taken)s
      WHEN w.signed_on IS DISTINCT FROM m.signed_on AND m.signed_on IS NOT NULL THEN %(umr_differs)s END
  FROM wanted w JOIN mandates m ON upper(m.umr) = w.umr AND m.company_id = w.company_id
  WHERE r.organisation_id = %(organisation_id)s AND r.operation_id = %(operation_id)s AND r.line = w.line
    AND m.organisation_id = %(organisation_id)s"""

_DECLARED_MANDATES = """UPDATE import_rows r SET mandate_id = m.id FROM mandates m
  WHERE r.organisation_id = %(organisation_id)s AND r.operation_id = %(operation_id)s
    AND r.fault IS NULL AND NOT r.is_undecided AND r.mandate IS NOT NULL
    AND m.organisation_id = r.organisation_id AND m.bank_account_id = r.account_id AND m.status = 'declared'
    AND NOT EXISTS (SELECT FROM mandates n WHERE n.organisation_id = r.organisation_id AND n.id = r.mandate_id)"""

# Who is called so already keeps the two parts of the name.
_WHOLE_NAMES = """UPDATE import_rows r SET client = r.client - '{last_name,first_name}'::text[]
  FROM clients c
  WHERE r.organisation_id = %(organisation_id)s AND r.operation_id = %(operation_id)s
    AND r.fault IS NULL AND NOT r.is_undecided AND NOT r.is_new AND r.leader = r.line
    AND c.organisation_id = r.organisation_id AND c.id = r.client_id AND ({same_name})"""

_INACTIVE = """UPDATE import_rows r SET fault = %(inactive)s
  WHERE r.organisation_id = %(organisation_id)s AND r.operation_id = %(operation_id)s
    AND r.fault IS NULL AND NOT r.is_undecided
    AND (((r.client->>'commercial_id')::uuid = ANY(%(inactive_ids)s::uuid[]) AND NOT EXISTS (
        SELECT FROM clients c WHERE c.organisation_id = r.organisation_id AND c.id = r.client_id
          AND c.commercial_id = (r.client->>'commercial_id')::uuid))
      OR ((r.contract->>'commercial_id')::uuid = ANY(%(inactive_ids)s::uuid[]) AND NOT EXISTS (
        SELECT FROM contracts k WHERE k.organisation_id = r.organisation_id AND k.reference = r.reference
          AND k.commercial_id = (r.contract->>'commercial_id')::uuid)))"""

# Where the first line of a client is refused, the next one leads.
_LEAD_ANEW = """WITH heirs AS (
    SELECT r.leader, min(r.line) AS line FROM import_rows r
    JOIN import_rows l ON l.organisation_id = r.organisation_id AND l.operation_id = r.operation_id
      AND l.line = r.leader AND l.fault IS NOT NULL
    WHERE r.organisation_id = %(organisation_id)s AND r.operation_id = %(operation_id)s AND r.fault IS NULL
    GROUP BY r.leader
  )
  UPDATE import_rows r SET leader = heirs.line FROM heirs
  WHERE r.organisation_id = %(organisation_id)s AND r.operation_id = %(operation_id)s AND r.leader = heirs.leader"""


_COMMERCIALS = ("client.commercial", "contract.commercial")
_WHOLE = ("client.full_name", "client.full_name_first")

SENTENCES = {
    "no_such_client": "Cet identifiant ne correspond à aucun client, ou à un client effacé.",
    "contradicts": "Cette ligne contredit la ligne %s, qui parle du même client.",
    "inactive": "Ce commercial n’est plus actif.",
    "no_name": "Ce client n’existe pas encore\u202f: indiquez au moins un nom ou un prénom.",
    "no_creation": "Ce client n’existe pas, et les clients inconnus ne sont pas créés.",
    "twice": "Cette référence de contrat est déjà à la ligne %s.",
    "borrowed": "Cette référence de contrat appartient déjà à un autre client.",
    "no_account": "Indiquez l’IBAN du compte que débite ce mandat.",
    "umr_twice": "Cette référence de mandat (RUM) est déjà à la ligne %s.",
    "umr_taken": "Cette référence de mandat (RUM) est déjà prise.",
    "umr_differs": "Ce mandat existe déjà avec une autre date de signature\u202f: corrigez-le sur la page du client.",
}


class Stage:
    """The lines of one operation; ``inactive_ids`` are the commercials who left."""

    def __init__(self, operation: Operation, *, inactive_ids: Iterable[UUID] = ()) -> None:
        settings = operation.settings
        self.columns = frozenset(filter(None, settings["columns"]))
        self.has_followers = False
        self.parameters = {
            "organisation_id": operation.organisation_id,
            "operation_id": operation.id,
            "creates_clients": settings["rules"].get("creates_clients", True),
            "inactive_ids": list(inactive_ids),
            **SENTENCES,
        }

    def execute(self, statement: LiteralString, **more: Any) -> int:
        """One of the statements above, in the current transaction. Returns how many rows it changed."""
        return driver_connection().execute(sql.SQL(statement), {**self.parameters, **more}).rowcount

    def clear(self) -> None:
        """Forget the lines."""
        self.execute(
            "DELETE FROM import_rows WHERE organisation_id = %(organisation_id)s AND operation_id = %(operation_id)s"
        )

    def adding(self, rows: Sequence[StagedRow]) -> AbstractContextManager[None]:
        """Further lines, by COPY. They are there when the block ends."""
        return copying_rows("import_rows", StagedRow._fields, rows)

    def group(self) -> None:
        """Lines about the same client have one leader. Called once all lines are there: statistics are made of them."""
        self.execute("SELECT analyze_import_rows()")
        self.has_followers = self.execute(_GROUP) > 0

    def find(self, after: int, upto: int) -> None:
        """Who the leaders behind line ``after``, up to ``upto``, are."""
        named = _FIND.replace("{same_name}", _SAME_NAME)
        self.execute(named.replace("{kept}", _KEPT).replace("{present}", _PRESENT), after=after, upto=upto)

    def decide(self, everyone: str | None, decisions: Iterable[tuple[int, str]]) -> None:
        """What a person said of undecided lines: « new », « skip », « first », or the id of a client."""
        said = dict(decisions)
        self.execute(
            """UPDATE import_rows r SET
                client_id = CASE WHEN said.what = 'new' THEN r.new_id WHEN said.what = 'first' THEN r.candidate_ids[1]
                  WHEN said.what = 'skip' THEN r.new_id ELSE said.what::uuid END,
                is_new = said.what IN ('new', 'skip'), is_undecided = said.what = 'skip'
              FROM (
                SELECT u.line, coalesce(d.what, %(everyone)s) AS what FROM import_rows u
                LEFT JOIN unnest(%(lines)s::int[], %(whats)s::text[]) AS d(line, what) ON d.line = u.line
                WHERE u.organisation_id = %(organisation_id)s AND u.operation_id = %(operation_id)s
                  AND u.is_undecided AND u.leader = u.line
              ) said
              WHERE r.organisation_id = %(organisation_id)s AND r.operation_id = %(operation_id)s
                AND r.line = said.line AND said.what IS NOT NULL
                AND (said.what IN ('new', 'skip', 'first') OR said.what = ANY(r.candidate_ids::text[]))""",
            everyone=everyone,
            lines=list(said),
            whats=list(said.values()),
        )

    def settle(self) -> None:
        """What follows for the lines once it is known who they are about."""
        self.execute("SELECT analyze_import_rows()")
        self.has_followers |= self.execute(_JOIN) > 0
        for is_needed, statement in self._what_follows():
            if is_needed:
                self.execute(statement)

    def _what_follows(self) -> Sequence[tuple[bool, LiteralString]]:
        """The statements in their order, and whether this file can need them."""
        columns, follows = self.columns, self.has_followers
        has_mandates = "mandate.umr" in columns
        names_commercials = bool(self.parameters["inactive_ids"] and {*_COMMERCIALS} & columns)
        return (
            (follows, _FOLLOW),
            (names_commercials, _INACTIVE),
            (follows, _CONTRADICT.replace("{merged}", _MERGED)),
            ("contract.reference" in columns, _REFERENCES),
            ("contract.reference" in columns, _OWNERS),
            (has_mandates, _UMR_TWICE),
            (has_mandates, _PRESENT_MANDATES),
            (follows, _LEAD_ANEW),
            (follows, _MERGE.replace("{merged}", _MERGED)),
            (True, _NOBODY),
            ("account.iban" in columns, _ACCOUNTS),
            (has_mandates, _ACCOUNTS_OF_MANDATES),
            (has_mandates, _DECLARED_MANDATES),
            (bool({*_WHOLE} & columns), _WHOLE_NAMES.replace("{same_name}", _SAME_NAME)),
        )
