"""Search everywhere: any fragment of a contract's reference, and of a client's town.

Revision: 0008, after 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    key = sa.Column("reference_key", sa.String(collation="C"), sa.Computed("fold(reference)", persisted=True))
    op.add_column("contracts", key)
    op.execute("ALTER TABLE contracts ALTER COLUMN reference_key SET NOT NULL")
    for table, column in (("contracts", "reference_key"), ("clients", "city_key")):
        op.create_index(
            f"ix_{table}_{column}_search",
            table,
            [column],
            postgresql_using="gin",
            postgresql_ops={column: "gin_trgm_ops"},
        )


def downgrade() -> None:
    op.drop_index("ix_clients_city_key_search", table_name="clients")
    op.drop_index("ix_contracts_reference_key_search", table_name="contracts")
    op.drop_column("contracts", "reference_key")
