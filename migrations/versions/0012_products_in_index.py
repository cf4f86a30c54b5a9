"""The index on the day of signature tells products, too: days at the ends of a period are counted from it alone.

Revision: 0012, after 0011; 2026-11-20
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

NAME, TABLE = "ix_contracts_signed_key", "contracts"
COLUMNS = ["organisation_id", "signed_key", "id"]
INCLUDED = ["commercial_id", "company_id", "status", "currency", "amount"]


def upgrade() -> None:
    op.drop_index(NAME, table_name=TABLE)
    op.create_index(NAME, TABLE, COLUMNS, postgresql_include=[*INCLUDED, "product_ids"])


def downgrade() -> None:
    op.drop_index(NAME, table_name=TABLE)
    op.create_index(NAME, TABLE, COLUMNS, postgresql_include=INCLUDED)
