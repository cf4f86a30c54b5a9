"""An operator's key before the present one still opens for a while.

Revision: 0070, after 0069
"""

import sqlalchemy as sa
from alembic import op

revision = "0070"
down_revision = "0069"
branch_labels = None
depends_on = None

TABLE = "cover_operators"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column(TABLE, sa.Column("old_key_hash", sa.LargeBinary(length=32), nullable=True))
    op.add_column(TABLE, sa.Column("old_key_start", sa.String(length=12), nullable=True))
    op.add_column(TABLE, sa.Column("old_key_until", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "uq_cover_operators_old_key_hash",
        TABLE,
        ["old_key_hash"],
        unique=True,
        postgresql_where=sa.text("old_key_hash IS NOT NULL"),
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_index("uq_cover_operators_old_key_hash", TABLE)
    for column in ("old_key_until", "old_key_start", "old_key_hash"):
        op.drop_column(TABLE, column)
