"""Writes the items of a plan from staged lines, by sets: what is there beside what the file says."""

from collections.abc import Sequence
from uuid import UUID

from psycopg import sql

from webapp.models.imports import Policy
from webapp.models.operations import ItemTarget
from webapp.services.imports.staging import Stage
from webapp.services.operations.targets import LINE_COLUMNS, TARGETS, line_of
from webapp.services.winleadplus.copying import driver_connection

# What the columns of a file are called in the table, where it is not the same.
_WHOLE_NAME = ("civility", "last_name", "first_name")
_NAMES = {"full_name": _WHOLE_NAME, "full_name_first": _WHOLE_NAME}
_POINTING = {"commercial": "commercial_id", "company": "company_id"}
_INSTANTS = {"signed_on": "signed_at", "validated_on": "validated_at"}

_STATEMENT = """
WITH r AS NOT MATERIALIZED (
  SELECT * FROM import_rows
  WHERE organisation_id = %(organisation_id)s AND operation_id = %(operation_id)s
    AND line > %(after)s AND line <= %(upto)s
), good AS MATERIALIZED (
  SELECT r.line, r.leader, r.label, r.client_id, r.is_new, r.client, r.reference, r.contract, r.contract_id, r.account,
    r.account_id, r.secrets, r.mandate, r.mandate_id,
    CASE WHEN r.leader = r.line THEN r.client ELSE (
      SELECT l.client FROM import_rows l
      WHERE l.organisation_id = r.organisation_id AND l.operation_id = r.operation_id AND l.line = r.leader
    ) END AS led
  FROM r
  WHERE r.fault IS NULL AND NOT r.is_undecided
), items AS (
  SELECT line, 0 AS rank, 'client' AS target, NULL::uuid AS row_id, NULL::uuid AS client_id, label,
    CASE WHEN fault IS NULL THEN 'undecided' ELSE 'error' END AS action, NULL AS seen, '{{}}'::jsonb AS before,
    '{{}}'::jsonb AS after, coalesce(fault, %(same_person)s) AS reason,
    CASE WHEN fault IS NULL THEN candidate_ids ELSE '{{}}' END AS candidate_ids
  FROM r WHERE fault IS NOT NULL OR is_undecided
  UNION ALL
  SELECT line, 1, 'client', client_id, client_id, label, 'create', NULL, '{{}}', client, NULL, '{{}}'
  FROM good WHERE is_new AND leader = line
  UNION ALL
  SELECT line, 1, 'client', client_id, client_id, name, CASE WHEN after = '{{}}' THEN 'nothing' ELSE 'update' END,
    version::text, before, after, NULL, '{{}}'
  FROM (
    SELECT g.line, g.client_id, c.version,
      coalesce(nullif(trim(c.last_name || ' ' || c.first_name), ''), g.label) AS name, d.*
    FROM good g
    JOIN clients c ON c.organisation_id = %(organisation_id)s AND c.id = g.client_id
    CROSS JOIN LATERAL (SELECT {client_image} AS image OFFSET 0) i
    {client_difference}
    WHERE NOT g.is_new AND g.leader = g.line
  ) compared
  UNION ALL
  SELECT line, 2, 'contract', contract_id, client_id, reference, 'create', NULL, '{{}}',
    jsonb_build_object('client_id', client_id, 'company_id', %(company_id)s::uuid, 'currency', currency,
      'commercial_id', coalesce(led->>'commercial_id', CASE WHEN NOT is_new THEN (
        SELECT c.commercial_id::text FROM clients c
        WHERE c.organisation_id = %(organisation_id)s AND c.id = client_id) END))
      || {line_of_new} || {instants},
    NULL, '{{}}'
  FROM (
    SELECT g.*, g.contract AS said,
      coalesce(CASE WHEN g.contract ? 'company_id' THEN (
        SELECT o.currency FROM companies o WHERE o.organisation_id = %(organisation_id)s
          AND o.id = (g.contract->>'company_id')::uuid) END, %(currency)s) AS currency
    FROM good g
    WHERE g.contract IS NOT NULL AND NOT EXISTS (
      SELECT FROM contracts k WHERE k.organisation_id = %(organisation_id)s AND k.reference = g.reference)
  ) g
  UNION ALL
  SELECT line, 2, 'contract', id, client_id, reference, CASE WHEN after = '{{}}' THEN 'nothing' ELSE 'update' END,
    seen, before, after, reason, '{{}}'
  FROM (
    SELECT g.line, k.id, k.client_id, g.reference,
      (extract(epoch from k.changed_at) * 1000000)::bigint::text AS seen, {contract_before} AS before,
      {line_added} || {contract_after} AS after, {reason} AS reason
    FROM good g
    JOIN contracts k ON k.organisation_id = %(organisation_id)s AND k.reference = g.reference
    CROSS JOIN LATERAL (SELECT {contract_image} AS image OFFSET 0) i
    {contract_difference}
    WHERE g.contract IS NOT NULL
  ) compared
  UNION ALL
  SELECT line, 3, 'bank_account', account_id, client_id, account->>'iban_masked',
    CASE WHEN secrets IS NULL THEN 'nothing' ELSE 'create' END, NULL, '{{}}',
    CASE WHEN secrets IS NULL THEN '{{}}' ELSE account || secrets
      || jsonb_build_object('client_id', client_id) END,
    NULL, '{{}}'
  FROM good WHERE account IS NOT NULL
  UNION ALL
  SELECT line, 4, 'mandate', g.mandate_id, g.client_id, g.mandate->>'umr',
    CASE WHEN m.id IS NULL THEN 'create' WHEN m.status = 'declared' THEN 'update' ELSE 'nothing' END,
    m.seen,
    CASE WHEN m.status = 'declared' THEN jsonb_build_object('status', m.status, 'umr', m.umr, 'signed_on', m.signed_on,
      'company_id', m.company_id) ELSE '{{}}' END,
    CASE WHEN m.id IS NULL THEN g.mandate || jsonb_build_object('client_id', g.client_id, 'status', 'active',
        'bank_account_id', g.account_id)
      WHEN m.status = 'declared' THEN g.mandate || jsonb_build_object('status', 'active')
        || CASE WHEN m.company_id IS NULL THEN '{{}}' ELSE jsonb_build_object('company_id', m.company_id) END
      ELSE '{{}}' END,
    NULL, '{{}}'
  FROM good g
  LEFT JOIN LATERAL (
    SELECT t.id, t.status, t.umr, t.signed_on, t.company_id, {mandate_version} AS seen FROM mandates t
    WHERE t.organisation_id = %(organisation_id)s AND t.id = g.mandate_id
  ) m ON true
  WHERE g.mandate IS NOT NULL
)
INSERT INTO operation_items (organisation_id, operation_id, position, target, row_id, client_id, line, label, action,
  seen, before, after, reason, candidate_ids)
SELECT %(organisation_id)s, %(operation_id)s, %(position)s + row_number() OVER (ORDER BY line, rank), target, row_id,
  client_id, line, left(label, 200), action, seen, before, after, reason, candidate_ids
FROM items"""

# Of both images, what is the same goes, and with it what the file does not say, or may not change. ``OFFSET 0`` keeps
# PostgreSQL from making an image anew for each column.
_DIFFERENCE = """CROSS JOIN LATERAL (SELECT ARRAY[{same}] AS keys OFFSET 0) same
    CROSS JOIN LATERAL (SELECT i.image - same.keys AS before, {said} - same.keys AS after) d"""
_SAME = """CASE WHEN {said} ? {key} AND {said}->{key} <> i.image->{key} AND {applies} THEN NULL ELSE {key} END"""
_APPLIES = {
    Policy.FILE: "true",
    Policy.FILL: "coalesce(i.image->>{key}, '') = ''",
    Policy.OURS: "false",
}
_ONCE = "i.image->>{key} IS NULL"
_SET_ONCE = {("contract", "commercial_id")}
"""The commercial of a contract is that of its signature: once there, it stays."""
_LINE = ("product", "quantity", "unit_price")
_NEW_LINE = """CASE WHEN {condition} THEN '{{"quantity": 1, "unit_price": null}}' ELSE '{{}}' END::jsonb"""
"""A line that is new is there whole: nobody has set its price where the file gives none."""
_SAME_IN_LINE = """CASE WHEN g.contract ? {told} AND g.contract->{told} <> i.image->{told} AND {applies}
  THEN NULL ELSE {name} END"""
_NO_LINE = "i.image->>'lines' = '0'"
_SEVERAL_LINES = "CASE WHEN g.contract ? 'product_id' AND (i.image->>'lines')::int > 1 THEN %(several_lines)s END"
_LINE_APPLIES = {Policy.FILE: "(i.image->>'lines')::int < 2", Policy.FILL: _NO_LINE, Policy.OURS: "false"}
# A price that is blank is filled for the product that the file prices, not for another one.
_PRICE_FILLS = f"({_NO_LINE} OR i.image->'product_id' = g.contract->'product_id' AND i.image->>'unit_price' IS NULL)"
SEVERAL_LINES = "Ce contrat a plusieurs lignes\u202f: le produit, la quantité et le prix du fichier ne sont pas repris."
SAME_PERSON = "Même personne\u202f? Plusieurs clients, ou un client du même nom, peuvent être celui de cette ligne."


class Comparison:
    """Compares with what there is, under a policy; ``keys`` are the columns of the file."""

    def __init__(self, policy: Policy, keys: Sequence[str | None], *, company_id: UUID, currency: str) -> None:
        self.policy = policy
        self.parameters = {
            "company_id": company_id,
            "currency": currency,
            "same_person": SAME_PERSON,
            "several_lines": SEVERAL_LINES,
        }
        self.statement = self._statement([key for key in keys if key])

    def _statement(self, keys: Sequence[str]) -> sql.Composed:
        clients = _columns_of(keys, "client", without=("id",))
        contracts = _columns_of(keys, "contract", without=("reference", *_LINE))
        sells = "contract.product" in keys
        image = _image("k", contracts)
        return sql.SQL(_STATEMENT).format(
            client_image=_image("c", clients),
            client_difference=self._difference("client", clients),
            contract_image=sql.SQL("{} || {}").format(image, sql.SQL(line_of("k"))) if sells else image,
            contract_difference=self._difference("contract", contracts, self._same_line() if sells else ()),
            line_of_new=sql.SQL(_NEW_LINE.format(condition="g.said ? 'product_id'") if sells else "'{}'"),
            line_added=sql.SQL(
                _NEW_LINE.format(condition=f"d.after ? 'product_id' AND {_NO_LINE}") if sells else "'{}'"
            ),
            reason=sql.SQL(_SEVERAL_LINES if sells and self.policy is not Policy.OURS else "NULL"),
            contract_before=sql.SQL(_with_instants("d.before", contracts, of="k")),
            contract_after=sql.SQL(_with_instants("d.after", contracts)),
            instants=sql.SQL(_with_instants("g.said", contracts)),
            mandate_version=sql.SQL(TARGETS[ItemTarget.MANDATE].version),
        )

    def _same_line(self) -> Sequence[sql.Composable]:
        """What stays of a contract's one line; ``lines`` only counts them. A product takes its name along."""
        same: list[sql.Composable] = [sql.SQL("'lines'")]
        for name in LINE_COLUMNS:
            told = "product_id" if name == "product" else name
            fills_price = name == "unit_price" and self.policy is Policy.FILL
            applies = sql.SQL(_PRICE_FILLS if fills_price else _LINE_APPLIES[self.policy])
            same.append(sql.SQL(_SAME_IN_LINE).format(told=sql.Literal(told), name=sql.Literal(name), applies=applies))
        return same

    def _difference(self, part: str, columns: Sequence[str], beside: Sequence[sql.Composable] = ()) -> sql.Composed:
        said = sql.Identifier("g", part)
        same: list[sql.Composable] = [sql.SQL("'reference'"), *beside]  # it says which contract it is
        for name in columns:
            only = _ONCE if (part, name) in _SET_ONCE else "true"
            condition = sql.SQL(f"({_APPLIES[self.policy]}) AND {only}").format(key=sql.Literal(name))
            same.append(sql.SQL(_SAME).format(said=said, key=sql.Literal(name), applies=condition))
        return sql.SQL(_DIFFERENCE).format(same=sql.SQL(", ").join(same), said=said)

    def write(self, stage: Stage, after: int, upto: int, *, position: int) -> int:
        """The items of the lines behind ``after``, up to ``upto``, behind ``position``. Returns how many."""
        parameters = {**stage.parameters, **self.parameters, "after": after, "upto": upto, "position": position}
        return driver_connection().execute(self.statement, parameters).rowcount


def _columns_of(keys: Sequence[str], part: str, *, without: Sequence[str]) -> list[str]:
    """The columns of the table that a file says something of."""
    found: dict[str, None] = {}
    for key in keys:
        of, _, name = key.partition(".")
        if of == part and name not in without:
            found |= dict.fromkeys(_NAMES.get(name, (_POINTING.get(name, name),)))
    return list(found)


def _image(alias: str, columns: Sequence[str]) -> sql.Composed:
    """What a row holds of these columns, as JSON; days of instants as days in Paris."""
    values = [sql.SQL("{}, {}").format(sql.Literal(name), _value(alias, name)) for name in columns]
    return sql.SQL("jsonb_build_object({})").format(sql.SQL(", ").join(values))


def _value(alias: str, name: str) -> sql.Composable:
    if name in _INSTANTS:
        column = sql.Identifier(alias, _INSTANTS[name])
        return sql.SQL("(timezone('Europe/Paris', {}))::date").format(column)
    return sql.Identifier(alias, name)


def _with_instants(said: str, columns: Sequence[str], *, of: str | None = None) -> str:
    """The same JSON, with instants in the place of days: when they begin in Paris, or as the row ``of`` has them.

    Of a file that names no such day it is the JSON itself: each step would copy it.
    """
    days = [day for day in _INSTANTS if day in columns]
    parts = [f"({said} - '{{{','.join(days)}}}'::text[])" if days else said]
    for day in days:
        value = f"{of}.{_INSTANTS[day]}" if of else f"({said}->>'{day}')::timestamp AT TIME ZONE 'Europe/Paris'"
        parts.append(f"CASE WHEN {said} ? '{day}' THEN jsonb_build_object('{_INSTANTS[day]}', {value}) ELSE '{{}}' END")
    return "(" + " || ".join(parts) + ")"
