"""Figures: keys to sort contracts by, what a contract sells, and tallies kept by the statements that change rows.

Revision: 0004, after 0003; 2026-11-20
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# One statement, so that the table is written anew once.
ADD_COLUMNS = """
ALTER TABLE contracts
  ADD COLUMN product_ids uuid[] NOT NULL DEFAULT '{}',
  ADD COLUMN has_mandate boolean NOT NULL DEFAULT false,
  ADD COLUMN lacks_mandate boolean NOT NULL GENERATED ALWAYS AS (
    coalesce(payment_method = 'sepa', false) AND status IN ('pending', 'active') AND NOT has_mandate
  ) STORED,
  ADD COLUMN signed_key date NOT NULL GENERATED ALWAYS AS (
    coalesce((timezone('Europe/Paris', signed_at))::date, '0001-01-01'::date)
  ) STORED,
  ADD COLUMN ends_key date NOT NULL GENERATED ALWAYS AS (coalesce(ends_on, '9999-12-31'::date)) STORED,
  ADD COLUMN amount_key numeric(14, 2) NOT NULL GENERATED ALWAYS AS (coalesce(amount, 0::numeric)) STORED
"""
ADDED_COLUMNS = ("amount_key", "ends_key", "signed_key", "lacks_mandate", "has_mandate", "product_ids")
FILTERS = ("commercial_id", "company_id", "status", "source")

# What a contract's lines sell, on the contract itself: a figure by product then needs no lines.
REFRESH_CONTRACT_PRODUCTS = """
CREATE FUNCTION refresh_contract_products() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM changed) THEN RETURN NULL; END IF;
  WITH touched AS (
    SELECT DISTINCT organisation_id, contract_id FROM changed
  ), sold AS (
    SELECT t.organisation_id, t.contract_id,
           coalesce(array_agg(DISTINCT l.product_id) FILTER (WHERE l.product_id IS NOT NULL), '{}') AS products
    FROM touched t
    LEFT JOIN contract_lines l ON l.organisation_id = t.organisation_id AND l.contract_id = t.contract_id
    GROUP BY t.organisation_id, t.contract_id
  )
  UPDATE contracts SET product_ids = sold.products
  FROM sold
  WHERE contracts.organisation_id = sold.organisation_id AND contracts.id = sold.contract_id
    AND contracts.product_ids <> sold.products;
  RETURN NULL;
END $$
"""

# A mandate serves all contracts of its client. Triggers of statements fire for no rows, too: without its first line,
# the one on contracts would call itself for ever.
REFRESH_CONTRACT_MANDATES = """
CREATE FUNCTION refresh_contract_mandates() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM changed) THEN RETURN NULL; END IF;
  WITH touched AS (
    SELECT DISTINCT organisation_id, client_id FROM changed
  ), held AS (
    SELECT t.organisation_id, t.client_id, EXISTS (
      SELECT FROM mandates m
      WHERE m.organisation_id = t.organisation_id AND m.client_id = t.client_id AND m.status = 'active'
    ) AS has_mandate
    FROM touched t
  )
  UPDATE contracts SET has_mandate = held.has_mandate
  FROM held
  WHERE contracts.organisation_id = held.organisation_id AND contracts.client_id = held.client_id
    AND contracts.has_mandate <> held.has_mandate;
  RETURN NULL;
END $$
"""

# A contract counts once in all, and once for each of its products.
TALLY_CONTRACTS = """
  INSERT INTO contract_tallies (organisation_id, by_product, product_id, month, commercial_id, company_id, status,
                                lacks_mandate, currency, contracts, amount)
  SELECT organisation_id, axis.by_product, axis.product_id, date_trunc('month', signed_on)::date, commercial_id,
         company_id, status, lacks_mandate, currency, sum(sign), sum(sign * amount_key)
  FROM ({changes}) changed
  CROSS JOIN LATERAL (
    SELECT false AS by_product, NULL::uuid AS product_id
    UNION ALL
    SELECT true, unnest(CASE WHEN product_ids = '{{}}' THEN ARRAY[NULL::uuid] ELSE product_ids END)
  ) axis
  GROUP BY organisation_id, axis.by_product, axis.product_id, date_trunc('month', signed_on)::date, commercial_id,
           company_id, status, lacks_mandate, currency
  HAVING sum(sign) <> 0 OR sum(sign * amount_key) <> 0
"""
TALLY_CLIENTS = """
  INSERT INTO client_tallies (organisation_id, commercial_id, lacks_contact, clients)
  SELECT organisation_id, commercial_id, email IS NULL AND phone IS NULL, sum(sign)
  FROM ({changes}) changed
  GROUP BY organisation_id, commercial_id, email IS NULL AND phone IS NULL
  HAVING sum(sign) <> 0
"""
# What moves touches what it leaves as well as what it joins.
REFRESHES = {
    "contract_lines": ("refresh_contract_products", ("INSERT", "UPDATE NEW", "UPDATE OLD", "DELETE")),
    "mandates": ("refresh_contract_mandates", ("INSERT", "UPDATE NEW", "UPDATE OLD", "DELETE")),
    "contracts": ("refresh_contract_mandates", ("INSERT", "UPDATE NEW")),
}
GAINED, LOST = "SELECT 1 AS sign, * FROM gained", "SELECT -1 AS sign, * FROM lost"
CHANGES = {
    "INSERT": (GAINED, "NEW TABLE AS gained"),
    "UPDATE": (f"{GAINED} UNION ALL {LOST}", "OLD TABLE AS lost NEW TABLE AS gained"),
    "DELETE": (LOST, "OLD TABLE AS lost"),
}
TALLIES = {"contracts": TALLY_CONTRACTS, "clients": TALLY_CLIENTS}

# Called by this migration for the rows that are there, and by whoever wrote rows with the triggers off.
REBUILD = f"""
CREATE FUNCTION rebuild_tallies(organisation uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  LOCK TABLE contracts, clients IN SHARE MODE;
  DELETE FROM contract_tallies WHERE organisation_id = organisation;
  DELETE FROM client_tallies WHERE organisation_id = organisation;
  {TALLY_CONTRACTS.format(changes="SELECT 1 AS sign, * FROM contracts WHERE organisation_id = organisation")};
  {TALLY_CLIENTS.format(changes="SELECT 1 AS sign, * FROM clients WHERE organisation_id = organisation")};
END $$
"""  # noqa: S608  put together from what stands above


def upgrade() -> None:
    for name in ("ix_contracts_commercial", "ix_contracts_signed"):
        op.drop_index(name, table_name="contracts")
    op.execute(ADD_COLUMNS)
    for name, columns in sort_indexes():
        op.create_index(name, "contracts", columns)
    op.create_index("ix_contracts_product_ids", "contracts", ["product_ids"], postgresql_using="gin")
    op.create_index(
        "ix_contracts_lacks_mandate",
        "contracts",
        ["organisation_id", "signed_key", "id"],
        postgresql_where=sa.text("lacks_mandate"),
    )
    op.create_index(
        "ix_clients_lacks_contact",
        "clients",
        ["organisation_id", "name_key", "id"],
        postgresql_where=sa.text("email IS NULL AND phone IS NULL"),
    )
    _create_tables()
    _fill_columns()
    _create_triggers()
    op.execute(REBUILD)
    op.execute("SELECT rebuild_tallies(id) FROM organisations")


def sort_indexes() -> list[tuple[str, list[str]]]:
    """Name and columns of the indexes that the list of contracts walks."""
    sorts = [
        (f"ix_contracts_{key}", ["organisation_id", key, "id"]) for key in ("signed_key", "ends_key", "amount_key")
    ]
    filters = [(f"ix_contracts_{name}_signed_key", ["organisation_id", name, "signed_key", "id"]) for name in FILTERS]
    return sorts + filters


def _create_tables() -> None:
    op.create_table(
        "contract_tallies",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("by_product", sa.Boolean(), nullable=False),
        sa.Column("product_id", sa.Uuid(), nullable=True),
        sa.Column("month", sa.Date(), nullable=True),
        sa.Column("commercial_id", sa.Uuid(), nullable=True),
        sa.Column("company_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("lacks_mandate", sa.Boolean(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("contracts", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.Numeric(18, 2), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_contract_tallies_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_contract_tallies")),
    )
    op.create_index("ix_contract_tallies_month", "contract_tallies", ["organisation_id", "by_product", "month"])
    op.create_table(
        "client_tallies",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("commercial_id", sa.Uuid(), nullable=True),
        sa.Column("lacks_contact", sa.Boolean(), nullable=False),
        sa.Column("clients", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_client_tallies_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_client_tallies")),
    )


def _fill_columns() -> None:
    """What the triggers will keep, for the rows that are there."""
    op.execute(
        "UPDATE contracts c SET product_ids = sold.products FROM ("
        " SELECT organisation_id, contract_id, array_agg(DISTINCT product_id) AS products FROM contract_lines"
        " WHERE product_id IS NOT NULL GROUP BY organisation_id, contract_id) sold"
        " WHERE c.organisation_id = sold.organisation_id AND c.id = sold.contract_id"
    )
    op.execute(
        "UPDATE contracts c SET has_mandate = true FROM mandates m WHERE c.organisation_id = m.organisation_id"
        " AND c.client_id = m.client_id AND m.status = 'active'"
    )


def _create_triggers() -> None:
    op.execute(REFRESH_CONTRACT_PRODUCTS)
    op.execute(REFRESH_CONTRACT_MANDATES)
    for table, (function, events) in REFRESHES.items():
        for event in events:
            verb, side = [*event.split(), "OLD" if event == "DELETE" else "NEW"][:2]
            op.execute(
                f"CREATE TRIGGER {table}_{verb}_{side}_refresh AFTER {verb} ON {table}"
                f" REFERENCING {side} TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
            )
    for table, statement in TALLIES.items():
        for event, (changes, given) in CHANGES.items():
            op.execute(
                f"CREATE FUNCTION tally_{table}_{event}() RETURNS trigger LANGUAGE plpgsql AS"
                f" $$ BEGIN {statement.format(changes=changes)}; RETURN NULL; END $$"
            )
            op.execute(
                f"CREATE TRIGGER {table}_{event}_tally AFTER {event} ON {table}"
                f" REFERENCING {given} FOR EACH STATEMENT EXECUTE FUNCTION tally_{table}_{event}()"
            )


def downgrade() -> None:
    op.execute("DROP FUNCTION rebuild_tallies(uuid)")
    for table in TALLIES:
        for event in CHANGES:
            op.execute(f"DROP FUNCTION tally_{table}_{event}() CASCADE")
    op.execute("DROP FUNCTION refresh_contract_mandates() CASCADE")
    op.execute("DROP FUNCTION refresh_contract_products() CASCADE")
    op.drop_table("client_tallies")
    op.drop_table("contract_tallies")
    op.drop_index("ix_clients_lacks_contact", table_name="clients")
    for name in ("ix_contracts_lacks_mandate", "ix_contracts_product_ids", *(name for name, _ in sort_indexes())):
        op.drop_index(name, table_name="contracts")
    for column in ADDED_COLUMNS:
        op.drop_column("contracts", column)
    op.create_index("ix_contracts_signed", "contracts", ["organisation_id", "signed_on", "id"])
    op.create_index("ix_contracts_commercial", "contracts", ["organisation_id", "commercial_id", "signed_on"])
