"""The index on tallies answers by itself: figures read no table.

Revision: 0011, after 0010; 2026-11-20
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

NAME, TABLE = "ix_contract_tallies_month", "contract_tallies"
COLUMNS = ["organisation_id", "by_product", "month"]
INCLUDED = [
    "product_id",
    "commercial_id",
    "company_id",
    "status",
    "lacks_mandate",
    "currency",
    "contracts",
    "amount",
]


def upgrade() -> None:
    op.drop_index(NAME, table_name=TABLE)
    op.create_index(NAME, TABLE, COLUMNS, postgresql_include=INCLUDED)


def downgrade() -> None:
    op.drop_index(NAME, table_name=TABLE)
    op.create_index(NAME, TABLE, COLUMNS)
