"""Contracts that WinLeadPlus names no longer are found by an index.

Revision: 0050, after 0049
"""

import sqlalchemy as sa
from alembic import op

revision = "0050"
down_revision = "0049"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.create_index(
            "ix_contracts_missing",
            "contracts",
            ["organisation_id", "signed_key", "id"],
            postgresql_where=sa.text("missing_since IS NOT NULL"),
            postgresql_concurrently=True,
            if_not_exists=True,
        )


def downgrade() -> None:
    op.drop_index("ix_contracts_missing", "contracts")
