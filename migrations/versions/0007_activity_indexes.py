"""Indexes for what happened lately, to any client or by one user, and for contracts that came with documents.

Revision: 0007, after 0006; 2026-11-20
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():  # people keep writing meanwhile
        op.create_index(
            "ix_timeline_events_at", "timeline_events", ["organisation_id", "at", "id"], postgresql_concurrently=True
        )
        op.create_index(
            "ix_timeline_events_user",
            "timeline_events",
            ["organisation_id", "user_id", "at", "id"],
            postgresql_where=sa.text("user_id IS NOT NULL"),
            postgresql_concurrently=True,
        )
        op.create_index(
            "ix_contracts_documents",
            "contracts",
            ["organisation_id", "commercial_id", "signed_key", "id"],
            postgresql_where=sa.text("document_url IS NOT NULL OR audit_trail_url IS NOT NULL"),
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    op.drop_index("ix_contracts_documents", table_name="contracts")
    op.drop_index("ix_timeline_events_user", table_name="timeline_events")
    op.drop_index("ix_timeline_events_at", table_name="timeline_events")
