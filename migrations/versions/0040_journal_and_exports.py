"""The journal of an organisation, and exports that a worker writes.

Revision: 0040, after 0043

Two new tables: nobody waits. The journal is only ever added to, but for what foreign keys do by themselves.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0040"
down_revision = "0043"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "journal_entries",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("user_id", sa.Uuid()),
        sa.Column("details", postgresql.JSONB(), nullable=False),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(
            ["organisation_id", "user_id"], ["users.organisation_id", "users.id"], ondelete="SET NULL (user_id)"
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id"),
    )
    op.create_index("ix_journal_entries_at", "journal_entries", ["organisation_id", "at", "id"])
    op.execute(
        "CREATE TRIGGER journal_entries_kept BEFORE UPDATE OR DELETE ON journal_entries"
        " FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION refuse_change()"
    )
    op.create_table(
        "exports",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("list_key", sa.String(40), nullable=False),
        sa.Column("format", sa.String(32), nullable=False),
        sa.Column("columns", postgresql.ARRAY(sa.String(60)), nullable=False),
        sa.Column("asked", sa.LargeBinary(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("total", sa.Integer()),
        sa.Column("written", sa.Integer(), server_default="0", nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("lease_until", sa.DateTime(timezone=True)),
        sa.Column("fence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("file_key", sa.LargeBinary()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(
            ["organisation_id", "user_id"], ["users.organisation_id", "users.id"], ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id"),
    )
    op.create_index("ix_exports_user", "exports", ["organisation_id", "user_id", "created_at"])
    op.create_index("ix_exports_running", "exports", ["lease_until"], postgresql_where=sa.text("status = 'running'"))


def downgrade() -> None:
    op.drop_table("exports")
    op.drop_table("journal_entries")
