"""Terminations of covers: asked for by a channel, on a ground, and withdrawn; cover years that were told of.

Revision: 0056, after 0055

New tables: nobody waits.
"""

import sqlalchemy as sa
from alembic import op

revision = "0056"
down_revision = "0055"
branch_labels = None
depends_on = None

ADDED_TO = ("cover_terminations", "cover_termination_withdrawals")


def upgrade() -> None:
    _create_terminations()
    op.create_table(
        "cover_cap_alerts",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("cover_id", sa.Uuid(), nullable=False),
        sa.Column("year_since", sa.Date(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id", "cover_id"],
            ["covers.organisation_id", "covers.id"],
            name=op.f("fk_cover_cap_alerts_organisation_id_cover_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_cover_cap_alerts_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "cover_id", "year_since", name=op.f("pk_cover_cap_alerts")),
    )
    for table in ADDED_TO:
        op.execute(
            f"CREATE TRIGGER {table}_kept BEFORE UPDATE OR DELETE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION keep_cover_rows()"
        )


def _create_terminations() -> None:
    op.create_table(
        "cover_terminations",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("cover_id", sa.Uuid(), nullable=False),
        sa.Column("channel", sa.String(length=32), nullable=False),
        sa.Column("ground", sa.String(length=32), nullable=False),
        sa.Column("received_on", sa.Date(), nullable=False),
        sa.Column("event_on", sa.Date(), nullable=True),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=False),
        sa.Column("explanation", sa.Text(), nullable=False),
        sa.Column("note", sa.String(length=500), nullable=True),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("due_on <= ends_on", name=op.f("ck_cover_terminations_ends_when_due_or_later")),
        sa.ForeignKeyConstraint(
            ["organisation_id", "cover_id"],
            ["covers.organisation_id", "covers.id"],
            name=op.f("fk_cover_terminations_organisation_id_cover_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "user_id"],
            ["users.organisation_id", "users.id"],
            name=op.f("fk_cover_terminations_organisation_id_user_id"),
            ondelete="SET NULL (user_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_cover_terminations_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_cover_terminations")),
    )
    op.create_index(
        "ix_cover_terminations_cover", "cover_terminations", ["organisation_id", "cover_id", "at", "id"], unique=False
    )
    op.create_table(
        "cover_termination_withdrawals",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("termination_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id", "termination_id"],
            ["cover_terminations.organisation_id", "cover_terminations.id"],
            name=op.f("fk_cover_termination_withdrawals_organisation_id_termination_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "user_id"],
            ["users.organisation_id", "users.id"],
            name=op.f("fk_cover_termination_withdrawals_organisation_id_user_id"),
            ondelete="SET NULL (user_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_cover_termination_withdrawals_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "termination_id", name=op.f("pk_cover_termination_withdrawals")),
    )


def downgrade() -> None:
    for table in ("cover_cap_alerts", *reversed(ADDED_TO)):
        op.drop_table(table)
