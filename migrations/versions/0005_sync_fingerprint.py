"""Sync: a fingerprint beside the hash, and indexes for what is looked up by prospect or awaited commercial.

Revision: 0005, after 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sync_mappings", sa.Column("fingerprint", sa.LargeBinary(), nullable=True))
    op.create_index(
        "ix_contracts_awaiting_commercial",
        "contracts",
        ["organisation_id", "commercial_external_id"],
        postgresql_where=sa.text("commercial_id IS NULL AND commercial_external_id IS NOT NULL"),
    )
    op.drop_index("ix_sync_items_open", table_name="sync_items")
    op.create_index(
        "ix_sync_items_open",
        "sync_items",
        ["organisation_id", "external_id"],
        postgresql_where=sa.text("resolved_at IS NULL AND kind IN ('error', 'conflict', 'warning')"),
    )


def downgrade() -> None:
    op.drop_index("ix_sync_items_open", table_name="sync_items")
    op.create_index(
        "ix_sync_items_open",
        "sync_items",
        ["organisation_id", "run_id"],
        postgresql_where=sa.text("resolved_at IS NULL AND kind IN ('error', 'conflict', 'warning')"),
    )
    op.drop_index("ix_contracts_awaiting_commercial", table_name="contracts")
    op.drop_column("sync_mappings", "fingerprint")
