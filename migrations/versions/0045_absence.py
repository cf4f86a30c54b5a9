"""Synchronisations: absences too many to believe, and the wish to stop one.

Revision: 0045, after 0039
"""

import sqlalchemy as sa
from alembic import op

revision = "0045"
down_revision = "0039"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sync_runs", sa.Column("absent", sa.Integer(), server_default="0", nullable=False))
    for name in ("absence_confirmed_at", "stop_requested_at"):
        op.add_column("sync_runs", sa.Column(name, sa.DateTime(timezone=True)))
    with op.get_context().autocommit_block():
        op.create_index(
            "ix_sync_mappings_missing",
            "sync_mappings",
            ["organisation_id", "client_id"],
            postgresql_where=sa.text("missing_since IS NOT NULL"),
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    op.drop_index("ix_sync_mappings_missing", "sync_mappings")
    op.execute("DELETE FROM sync_items WHERE kind = 'absent'")
    for name in ("stop_requested_at", "absence_confirmed_at", "absent"):
        op.drop_column("sync_runs", name)
