"""Notes and tasks on claim files; how an organisation keeps reserves, and when somebody looked at one.

Revision: 0058, after 0057

A new table, and columns without a default whose keys are checked apart from adding them: nobody waits.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0058"
down_revision = "0057"
branch_labels = None
depends_on = None

OF_CLAIMS = ("tasks", "timeline_events")


def upgrade() -> None:
    for table in OF_CLAIMS:
        _add_claim(table)
    op.add_column("claims", sa.Column("reserve_seen_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "claim_settings",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("review_days", sa.Integer(), nullable=False),
        sa.Column("usual_costs", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_by_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint("review_days BETWEEN 1 AND 365", name=op.f("ck_claim_settings_review_days")),
        sa.ForeignKeyConstraint(
            ["organisation_id", "changed_by_id"],
            ["users.organisation_id", "users.id"],
            name=op.f("fk_claim_settings_organisation_id_changed_by_id"),
            ondelete="SET NULL (changed_by_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_claim_settings_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", name=op.f("pk_claim_settings")),
    )


def _add_claim(table: str) -> None:
    """What a person wrote down on a claim file. It is found by its client: no index."""
    op.add_column(table, sa.Column("claim_id", sa.Uuid(), nullable=True))
    name = f"fk_{table}_organisation_id_claim_id"
    op.execute(
        f"ALTER TABLE {table} ADD CONSTRAINT {name} FOREIGN KEY (organisation_id, claim_id)"
        " REFERENCES claims (organisation_id, id) ON DELETE RESTRICT NOT VALID"
    )
    op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")


def downgrade() -> None:
    op.drop_table("claim_settings")
    op.drop_column("claims", "reserve_seen_at")
    for table in OF_CLAIMS:
        op.drop_column(table, "claim_id")
