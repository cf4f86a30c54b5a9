"""Dunning: sequences of steps, cases with what they hold, plans in instalments, what was suspended.

Revision: 0028, after 0027; its steps name messages (0027)

New tables only: nobody has to stop.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "dunning_sequences",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("company_id", sa.Uuid()),
        sa.Column("product_category", sa.String(100)),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("is_insurance", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("replaced_at", sa.DateTime(timezone=True)),
        sa.Column("created_by_id", sa.Uuid()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("version > 0", name=op.f("ck_dunning_sequences_versions_begin_at_one")),
        sa.ForeignKeyConstraint(
            ["organisation_id", "company_id"],
            ["companies.organisation_id", "companies.id"],
            name=op.f("fk_dunning_sequences_organisation_id_company_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "created_by_id"],
            ["users.organisation_id", "users.id"],
            name=op.f("fk_dunning_sequences_organisation_id_created_by_id"),
            ondelete="SET NULL (created_by_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_dunning_sequences_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_dunning_sequences")),
        sa.UniqueConstraint(
            "organisation_id",
            "company_id",
            "product_category",
            "version",
            name="uq_dunning_sequences_version",
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_index(
        "uq_dunning_sequences_current",
        "dunning_sequences",
        ["organisation_id", "company_id", "product_category"],
        unique=True,
        postgresql_where=sa.text("replaced_at IS NULL"),
        postgresql_nulls_not_distinct=True,
    )
    op.create_table(
        "dunning_sequence_steps",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("sequence_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("in_working_days", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("message_kind", sa.String(32)),
        sa.Column("minimum_amount", sa.Numeric(precision=14, scale=2), server_default="0", nullable=False),
        sa.Column("title", sa.String(200), server_default="", nullable=False),
        sa.CheckConstraint("action <> 'resume'", name=op.f("ck_dunning_sequence_steps_resume_follows_from_payment")),
        sa.CheckConstraint("day BETWEEN 0 AND 1000", name=op.f("ck_dunning_sequence_steps_day_within_years")),
        sa.CheckConstraint("minimum_amount >= 0", name=op.f("ck_dunning_sequence_steps_minimum_is_positive")),
        sa.ForeignKeyConstraint(
            ["organisation_id", "sequence_id"],
            ["dunning_sequences.organisation_id", "dunning_sequences.id"],
            name=op.f("fk_dunning_sequence_steps_organisation_id_sequence_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_dunning_sequence_steps_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_dunning_sequence_steps")),
        sa.UniqueConstraint(
            "organisation_id",
            "sequence_id",
            "position",
            name=op.f("uq_dunning_sequence_steps_organisation_id_sequence_id_position"),
        ),
    )
    op.create_table(
        "dunning_cases",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("company_id", sa.Uuid(), nullable=False),
        sa.Column("sequence_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("round", sa.Integer(), server_default="1", nullable=False),
        sa.Column("since", sa.Date(), nullable=False),
        sa.Column("paused_days", sa.Integer(), server_default="0", nullable=False),
        sa.Column("pause_reason", sa.String(32)),
        sa.Column("paused_on", sa.Date()),
        sa.Column("pause_until", sa.Date()),
        sa.Column("pause_note", sa.Text()),
        sa.Column("amount", sa.Numeric(precision=14, scale=2), server_default="0", nullable=False),
        sa.Column("currency", sa.String(3), server_default="EUR", nullable=False),
        sa.Column("next_on", sa.Date()),
        sa.Column("next_step_id", sa.Uuid()),
        sa.Column("closed_at", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("number", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.CheckConstraint(
            "(closed_at IS NULL) = (status IN ('open', 'paused'))", name=op.f("ck_dunning_cases_closed_once")
        ),
        sa.CheckConstraint(
            "(status = 'paused') = (pause_reason IS NOT NULL)", name=op.f("ck_dunning_cases_paused_for_a_reason")
        ),
        sa.CheckConstraint("next_on IS NULL OR status = 'open'", name=op.f("ck_dunning_cases_only_open_ones_go_on")),
        sa.CheckConstraint(
            "amount >= 0 AND paused_days >= 0 AND round > 0", name=op.f("ck_dunning_cases_numbers_are_positive")
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "client_id"],
            ["clients.organisation_id", "clients.id"],
            name=op.f("fk_dunning_cases_organisation_id_client_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "company_id"],
            ["companies.organisation_id", "companies.id"],
            name=op.f("fk_dunning_cases_organisation_id_company_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "next_step_id"],
            ["dunning_sequence_steps.organisation_id", "dunning_sequence_steps.id"],
            name=op.f("fk_dunning_cases_organisation_id_next_step_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "sequence_id"],
            ["dunning_sequences.organisation_id", "dunning_sequences.id"],
            name=op.f("fk_dunning_cases_organisation_id_sequence_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_dunning_cases_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_dunning_cases")),
        sa.UniqueConstraint("organisation_id", "number", name=op.f("uq_dunning_cases_organisation_id_number")),
    )
    op.create_index("ix_dunning_cases_client", "dunning_cases", ["organisation_id", "client_id", "id"])
    op.create_index(
        "ix_dunning_cases_due",
        "dunning_cases",
        ["organisation_id", "next_on", "id"],
        postgresql_where=sa.text("next_on IS NOT NULL"),
    )
    op.create_index(
        "ix_dunning_cases_pause", "dunning_cases", ["pause_until"], postgresql_where=sa.text("pause_until IS NOT NULL")
    )
    op.create_index("ix_dunning_cases_status", "dunning_cases", ["organisation_id", "status", "since", "id"])
    op.create_index(
        "uq_dunning_cases_living",
        "dunning_cases",
        ["organisation_id", "client_id", "company_id"],
        unique=True,
        postgresql_where=sa.text("status IN ('open', 'paused')"),
    )
    op.create_table(
        "dunning_steps",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("case_id", sa.Uuid(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("step_id", sa.Uuid()),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("outcome", sa.String(32), nullable=False),
        sa.Column("planned_on", sa.Date(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("amount", sa.Numeric(precision=14, scale=2), server_default="0", nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("message_id", sa.Uuid()),
        sa.Column("user_id", sa.Uuid()),
        sa.ForeignKeyConstraint(
            ["organisation_id", "case_id"],
            ["dunning_cases.organisation_id", "dunning_cases.id"],
            name=op.f("fk_dunning_steps_organisation_id_case_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "step_id"],
            ["dunning_sequence_steps.organisation_id", "dunning_sequence_steps.id"],
            name=op.f("fk_dunning_steps_organisation_id_step_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "message_id"],
            ["messages.organisation_id", "messages.id"],
            name=op.f("fk_dunning_steps_organisation_id_message_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "user_id"],
            ["users.organisation_id", "users.id"],
            name=op.f("fk_dunning_steps_organisation_id_user_id"),
            ondelete="SET NULL (user_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_dunning_steps_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_dunning_steps")),
        sa.UniqueConstraint("organisation_id", "case_id", "round", "step_id", name="uq_dunning_steps_once_a_round"),
    )
    op.create_index("ix_dunning_steps_case", "dunning_steps", ["organisation_id", "case_id", "at"])
    op.create_table(
        "dunning_suspensions",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("case_id", sa.Uuid(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("subscription_id", sa.Uuid(), nullable=False),
        sa.Column("suspended_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resume_at", sa.DateTime(timezone=True)),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.ForeignKeyConstraint(
            ["organisation_id", "case_id"],
            ["dunning_cases.organisation_id", "dunning_cases.id"],
            name=op.f("fk_dunning_suspensions_organisation_id_case_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "subscription_id"],
            ["subscriptions.organisation_id", "subscriptions.id"],
            name=op.f("fk_dunning_suspensions_organisation_id_subscription_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_dunning_suspensions_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_dunning_suspensions")),
    )
    op.create_index("ix_dunning_suspensions_case", "dunning_suspensions", ["organisation_id", "case_id"])
    op.create_index(
        "ix_dunning_suspensions_resume",
        "dunning_suspensions",
        ["resume_at"],
        postgresql_where=sa.text("resume_at IS NOT NULL AND ended_at IS NULL"),
    )
    op.create_index(
        "uq_dunning_suspensions_standing",
        "dunning_suspensions",
        ["organisation_id", "subscription_id"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "dunning_claims",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("case_id", sa.Uuid(), nullable=False),
        sa.Column("charge_id", sa.Uuid(), nullable=False),
        sa.Column("since", sa.Date(), nullable=False),
        sa.Column("amount", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.Column("round", sa.Integer()),
        sa.Column("is_noticed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("joined_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("left_at", sa.DateTime(timezone=True)),
        sa.Column("outcome", sa.String(32)),
        sa.Column("after_step_id", sa.Uuid()),
        sa.CheckConstraint(
            "(left_at IS NULL) = (outcome IS NULL)", name=op.f("ck_dunning_claims_leaves_with_an_outcome")
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "after_step_id"],
            ["dunning_steps.organisation_id", "dunning_steps.id"],
            name=op.f("fk_dunning_claims_organisation_id_after_step_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "case_id"],
            ["dunning_cases.organisation_id", "dunning_cases.id"],
            name=op.f("fk_dunning_claims_organisation_id_case_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "charge_id"],
            ["charges.organisation_id", "charges.id"],
            name=op.f("fk_dunning_claims_organisation_id_charge_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_dunning_claims_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_dunning_claims")),
    )
    op.create_index("ix_dunning_claims_case", "dunning_claims", ["organisation_id", "case_id", "id"])
    op.create_index(
        "ix_dunning_claims_held_since",
        "dunning_claims",
        ["organisation_id", "since", "id"],
        postgresql_where=sa.text("left_at IS NULL"),
    )
    op.create_index(
        "ix_dunning_claims_left",
        "dunning_claims",
        ["organisation_id", "left_at", "id"],
        postgresql_where=sa.text("left_at IS NOT NULL"),
    )
    op.create_index(
        "uq_dunning_claims_held",
        "dunning_claims",
        ["organisation_id", "charge_id"],
        unique=True,
        postgresql_where=sa.text("left_at IS NULL"),
    )
    op.create_table(
        "dunning_instalments",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("case_id", sa.Uuid(), nullable=False),
        sa.Column("plan", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("subscription_id", sa.Uuid(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("period_start", sa.Date(), nullable=False),
        sa.Column("period_end", sa.Date(), nullable=False),
        sa.Column("amount", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.Column("vat", postgresql.JSONB(), nullable=False),
        sa.Column("charge_id", sa.Uuid()),
        sa.Column("canceled_at", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("ck_dunning_instalments_amount_is_positive")),
        sa.CheckConstraint(
            "charge_id IS NULL OR canceled_at IS NULL", name=op.f("ck_dunning_instalments_asked_or_canceled")
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "case_id"],
            ["dunning_cases.organisation_id", "dunning_cases.id"],
            name=op.f("fk_dunning_instalments_organisation_id_case_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "charge_id"],
            ["charges.organisation_id", "charges.id"],
            name=op.f("fk_dunning_instalments_organisation_id_charge_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "subscription_id"],
            ["subscriptions.organisation_id", "subscriptions.id"],
            name=op.f("fk_dunning_instalments_organisation_id_subscription_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_dunning_instalments_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_dunning_instalments")),
        sa.UniqueConstraint(
            "organisation_id",
            "case_id",
            "plan",
            "position",
            "subscription_id",
            name=op.f("uq_dunning_instalments_organisation_id_case_id_plan_position_subscription_id"),
        ),
    )
    op.create_index(
        "ix_dunning_instalments_due",
        "dunning_instalments",
        ["organisation_id", "due_on", "id"],
        postgresql_where=sa.text("charge_id IS NULL AND canceled_at IS NULL"),
    )


def downgrade() -> None:
    for table in (
        "dunning_instalments",
        "dunning_claims",
        "dunning_suspensions",
        "dunning_steps",
        "dunning_cases",
        "dunning_sequence_steps",
        "dunning_sequences",
    ):
        op.drop_table(table)
