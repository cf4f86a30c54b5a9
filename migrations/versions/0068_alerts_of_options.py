"""Somebody is told, too, when most of an option's yearly cap is used.

Revision: 0068, after 0067
"""

import sqlalchemy as sa
from alembic import op

revision = "0068"
down_revision = "0067"
branch_labels = None
depends_on = None

TABLE = "cover_cap_alerts"
KEY = "pk_cover_cap_alerts"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column(TABLE, sa.Column("option_code", sa.String(length=30), server_default="", nullable=False))
    op.drop_constraint(op.f(KEY), TABLE)
    op.create_primary_key(op.f(KEY), TABLE, ["organisation_id", "cover_id", "year_since", "option_code"])


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(f"DELETE FROM {TABLE} WHERE option_code <> ''")  # noqa: S608  a name of ours
    op.drop_constraint(op.f(KEY), TABLE)
    op.create_primary_key(op.f(KEY), TABLE, ["organisation_id", "cover_id", "year_since"])
    op.drop_column(TABLE, "option_code")
