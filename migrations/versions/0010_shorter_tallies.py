"""Figures again: shorter tallies by product, and indexes that answer for the days at the ends of a period alone.

A tally by product no longer tells companies and missing mandates apart: nobody asks for both at once, and with them
there were fifteen times as many rows as without products.

Revision: 0010, after 0009; 2026-11-20
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

COVERED = {
    "ix_contracts_signed_key": (
        ["organisation_id", "signed_key", "id"],
        ["commercial_id", "company_id", "status", "currency", "amount"],
    ),
    "ix_contracts_ends_key": (["organisation_id", "ends_key", "id"], ["commercial_id", "status", "currency", "amount"]),
}

# A contract counts once in all, and once for each of its products.
TALLY_CONTRACTS = """
  INSERT INTO contract_tallies (organisation_id, by_product, product_id, month, commercial_id, company_id, status,
                                lacks_mandate, currency, contracts, amount)
  SELECT organisation_id, axis.by_product, axis.product_id, date_trunc('month', signed_on)::date, commercial_id,
         {company}, status, {lacks_mandate}, currency, sum(sign), sum(sign * amount_key)
  FROM ({changes}) changed
  CROSS JOIN LATERAL (
    SELECT false AS by_product, NULL::uuid AS product_id
    UNION ALL
    SELECT true, unnest(CASE WHEN product_ids = '{{}}' THEN ARRAY[NULL::uuid] ELSE product_ids END)
  ) axis
  GROUP BY organisation_id, axis.by_product, axis.product_id, date_trunc('month', signed_on)::date, commercial_id,
           {company}, status, {lacks_mandate}, currency
  HAVING sum(sign) <> 0 OR sum(sign * amount_key) <> 0
"""
TALLY_CLIENTS = """
  INSERT INTO client_tallies (organisation_id, commercial_id, lacks_contact, clients)
  SELECT organisation_id, commercial_id, email IS NULL AND phone IS NULL, sum(sign)
  FROM (SELECT 1 AS sign, * FROM clients WHERE organisation_id = organisation) changed
  GROUP BY organisation_id, commercial_id, email IS NULL AND phone IS NULL
"""
GAINED, LOST = "SELECT 1 AS sign, * FROM gained", "SELECT -1 AS sign, * FROM lost"
CHANGES = {"INSERT": GAINED, "UPDATE": f"{GAINED} UNION ALL {LOST}", "DELETE": LOST}
BEFORE = {"company": "company_id", "lacks_mandate": "lacks_mandate"}
AFTER = {
    "company": "CASE WHEN NOT axis.by_product THEN company_id END",
    "lacks_mandate": "NOT axis.by_product AND lacks_mandate",
}


def upgrade() -> None:
    op.alter_column("contract_tallies", "company_id", existing_type=sa.Uuid(), nullable=True)
    _tally(AFTER)
    for name, (columns, included) in COVERED.items():
        op.drop_index(name, table_name="contracts")
        op.create_index(name, "contracts", columns, postgresql_include=included)


def downgrade() -> None:
    for name, (columns, _) in COVERED.items():
        op.drop_index(name, table_name="contracts")
        op.create_index(name, "contracts", columns)
    op.execute("DELETE FROM contract_tallies")
    op.alter_column("contract_tallies", "company_id", existing_type=sa.Uuid(), nullable=False)
    _tally(BEFORE)


def _tally(told_apart: dict[str, str]) -> None:
    """Write the functions anew, and count again what is there."""
    for event, changes in CHANGES.items():
        statement = TALLY_CONTRACTS.format(changes=changes, **told_apart)
        op.execute(
            f"CREATE OR REPLACE FUNCTION tally_contracts_{event}() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN {statement}; RETURN NULL; END $$"
        )
    everything = "SELECT 1 AS sign, * FROM contracts WHERE organisation_id = organisation"
    op.execute(
        f"""
        CREATE OR REPLACE FUNCTION rebuild_tallies(organisation uuid) RETURNS void LANGUAGE plpgsql AS $$
        BEGIN
          LOCK TABLE contracts, clients IN SHARE MODE;
          DELETE FROM contract_tallies WHERE organisation_id = organisation;
          DELETE FROM client_tallies WHERE organisation_id = organisation;
          {TALLY_CONTRACTS.format(changes=everything, **told_apart)};
          {TALLY_CLIENTS};
        END $$
        """  # noqa: S608  put together from what stands above
    )
    op.execute("SELECT rebuild_tallies(id) FROM organisations")
