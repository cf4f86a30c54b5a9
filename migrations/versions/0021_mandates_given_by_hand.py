"""Mandates and accounts that people add, complete, revoke and put away.

Revision: 0021, after 0020

New columns without a value, or with a constant one: no row is rewritten.
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("mandates", sa.Column("signed_in", sa.String(70)))
    op.add_column("mandates", sa.Column("revoked_on", sa.Date()))
    op.add_column("bank_accounts", sa.Column("archived_at", sa.DateTime(timezone=True)))
    op.add_column("companies", sa.Column("umr_pattern", sa.String(35), nullable=False, server_default="MD-{numero}"))
    op.add_column("companies", sa.Column("umr_count", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("companies", "umr_count")
    op.drop_column("companies", "umr_pattern")
    op.drop_column("bank_accounts", "archived_at")
    op.drop_column("mandates", "revoked_on")
    op.drop_column("mandates", "signed_in")
