"""Covers and claims: plans with their versions, homes, covers, claim files with decisions and their ledger.

Revision: 0051, after 0050

New tables alone: nobody waits. What was published, and what only ever grows, is kept by triggers.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0051"
down_revision = "0050"
branch_labels = None
depends_on = None


KEEP_PUBLISHED = """
CREATE FUNCTION keep_published_plan() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE free text[] := '{retired_at, created_by_id}';
BEGIN
  IF TG_TABLE_NAME = 'cover_plan_versions' THEN
    IF OLD.published_at IS NULL OR (TG_OP = 'UPDATE' AND to_jsonb(OLD) - free = to_jsonb(NEW) - free) THEN
      RETURN coalesce(NEW, OLD);
    END IF;
  ELSIF NOT EXISTS (
    SELECT FROM cover_plan_versions v WHERE v.published_at IS NOT NULL
      AND (v.organisation_id, v.id) IN ((NEW.organisation_id, NEW.version_id), (OLD.organisation_id, OLD.version_id))
  ) THEN
    RETURN coalesce(NEW, OLD);
  END IF;
  RAISE EXCEPTION 'a published version of a plan never changes';
END $$
"""
KEEP_ROWS = """
CREATE FUNCTION keep_cover_rows() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE words text[] := '{user_id, note, reason, content}';
BEGIN
  IF TG_OP = 'DELETE' AND pg_trigger_depth() > 1 THEN
    RETURN OLD;  -- with a subscription that never began
  END IF;
  IF TG_OP = 'UPDATE' AND to_jsonb(OLD) - 'user_id' = to_jsonb(NEW) - 'user_id' THEN
    RETURN NEW;
  END IF;
  IF TG_OP = 'UPDATE' AND is_erasing(OLD.organisation_id) AND to_jsonb(OLD) - words = to_jsonb(NEW) - words THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION '% is only ever added to', TG_TABLE_NAME;
END $$
"""
ADDED_TO = ("cover_facts", "cover_periods", "cover_homes", "claim_decisions", "claim_entries", "claim_changes")
NOT_FOR_ERASED = ("covers", "covered_homes", "claims")


def upgrade() -> None:
    _create_tables()
    op.execute(KEEP_PUBLISHED)
    op.execute(
        "CREATE TRIGGER cover_plan_versions_kept BEFORE UPDATE OR DELETE ON cover_plan_versions"
        " FOR EACH ROW EXECUTE FUNCTION keep_published_plan()"
    )
    op.execute(
        "CREATE TRIGGER cover_plan_options_kept BEFORE INSERT OR UPDATE OR DELETE ON cover_plan_options"
        " FOR EACH ROW EXECUTE FUNCTION keep_published_plan()"
    )
    op.execute(KEEP_ROWS)
    for table in ADDED_TO:
        op.execute(
            f"CREATE TRIGGER {table}_kept BEFORE UPDATE OR DELETE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION keep_cover_rows()"
        )
    for table in NOT_FOR_ERASED:
        op.execute(
            f"CREATE TRIGGER {table}_not_for_erased AFTER INSERT ON {table} REFERENCING NEW TABLE AS added"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_for_erased()"
        )


def _create_tables() -> None:
    op.create_table(
        "claim_counters",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("year", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_claim_counters_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "year", name=op.f("pk_claim_counters")),
    )
    op.create_table(
        "cover_plans",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("company_id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.String(length=30), nullable=False),
        sa.Column("label", sa.String(length=100), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id", "company_id"],
            ["companies.organisation_id", "companies.id"],
            name=op.f("fk_cover_plans_organisation_id_company_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_cover_plans_organisation_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_cover_plans")),
        sa.UniqueConstraint("organisation_id", "code", name=op.f("uq_cover_plans_organisation_id_code")),
    )
    op.create_table(
        "cover_plan_versions",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("plan_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("nature", sa.String(32), nullable=False),
        sa.Column("year", sa.String(32), nullable=False),
        sa.Column("trades", postgresql.ARRAY(sa.String(length=32)), nullable=False),
        sa.Column("waiting_days", sa.Integer(), nullable=False),
        sa.Column("deductible", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.Column("cap_per_claim", sa.Numeric(precision=14, scale=2), nullable=True),
        sa.Column("cap_per_year", sa.Numeric(precision=14, scale=2), nullable=True),
        sa.Column("claims_per_year", sa.Integer(), nullable=True),
        sa.Column("home_kinds", postgresql.ARRAY(sa.String(length=32)), nullable=False),
        sa.Column("postcodes", postgresql.ARRAY(sa.String(length=10)), nullable=False),
        sa.Column("price", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.Column("vat_rate", sa.Numeric(precision=4, scale=2), nullable=False),
        sa.Column("commitment_months", sa.Integer(), server_default="12", nullable=False),
        sa.Column("notice_days", sa.Integer(), server_default="30", nullable=False),
        sa.Column("created_by_id", sa.Uuid(), nullable=True),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("edits", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("cap_per_claim <= cap_per_year", name=op.f("ck_cover_plan_versions_caps")),
        sa.CheckConstraint("claims_per_year > 0", name=op.f("ck_cover_plan_versions_claims_per_year")),
        sa.CheckConstraint(
            "deductible >= 0 AND cap_per_claim > 0 AND cap_per_year > 0", name=op.f("ck_cover_plan_versions_amounts")
        ),
        sa.CheckConstraint("price >= 0", name=op.f("ck_cover_plan_versions_price")),
        sa.CheckConstraint(
            "published_at IS NOT NULL OR retired_at IS NULL",
            name=op.f("ck_cover_plan_versions_retired_after_published"),
        ),
        sa.CheckConstraint("waiting_days BETWEEN 0 AND 365", name=op.f("ck_cover_plan_versions_waiting_days")),
        sa.ForeignKeyConstraint(
            ["organisation_id", "created_by_id"],
            ["users.organisation_id", "users.id"],
            name=op.f("fk_cover_plan_versions_organisation_id_created_by_id"),
            ondelete="SET NULL (created_by_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "plan_id"],
            ["cover_plans.organisation_id", "cover_plans.id"],
            name=op.f("fk_cover_plan_versions_organisation_id_plan_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_cover_plan_versions_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_cover_plan_versions")),
        sa.UniqueConstraint(
            "organisation_id", "plan_id", "version", name=op.f("uq_cover_plan_versions_organisation_id_plan_id_version")
        ),
    )
    op.create_index(
        "uq_cover_plan_versions_draft",
        "cover_plan_versions",
        ["organisation_id", "plan_id"],
        unique=True,
        postgresql_where=sa.text("published_at IS NULL"),
    )
    op.create_index(
        "uq_cover_plan_versions_sold",
        "cover_plan_versions",
        ["organisation_id", "plan_id"],
        unique=True,
        postgresql_where=sa.text("published_at IS NOT NULL AND retired_at IS NULL"),
    )
    op.create_table(
        "cover_plan_options",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version_id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.String(length=30), nullable=False),
        sa.Column("label", sa.String(length=100), nullable=False),
        sa.Column("trades", postgresql.ARRAY(sa.String(length=32)), nullable=False),
        sa.Column("waiting_days", sa.Integer(), nullable=False),
        sa.Column("deductible", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.Column("cap_per_claim", sa.Numeric(precision=14, scale=2), nullable=True),
        sa.Column("cap_per_year", sa.Numeric(precision=14, scale=2), nullable=True),
        sa.Column("draws_on_main_cap", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("price", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.CheckConstraint("cap_per_claim <= cap_per_year", name=op.f("ck_cover_plan_options_caps")),
        sa.CheckConstraint(
            "deductible >= 0 AND cap_per_claim > 0 AND cap_per_year > 0", name=op.f("ck_cover_plan_options_amounts")
        ),
        sa.CheckConstraint("price >= 0", name=op.f("ck_cover_plan_options_price")),
        sa.CheckConstraint("waiting_days BETWEEN 0 AND 365", name=op.f("ck_cover_plan_options_waiting_days")),
        sa.ForeignKeyConstraint(
            ["organisation_id", "version_id"],
            ["cover_plan_versions.organisation_id", "cover_plan_versions.id"],
            name=op.f("fk_cover_plan_options_organisation_id_version_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_cover_plan_options_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_cover_plan_options")),
        sa.UniqueConstraint(
            "organisation_id", "version_id", "code", name=op.f("uq_cover_plan_options_organisation_id_version_id_code")
        ),
    )
    op.create_table(
        "covered_homes",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("occupancy", sa.String(32), nullable=False),
        sa.Column("occupied_since", sa.Date(), nullable=True),
        sa.Column("address_line1", sa.String(length=200), nullable=False),
        sa.Column("address_line2", sa.String(length=200), nullable=True),
        sa.Column("postcode", sa.String(length=20), nullable=False),
        sa.Column("city", sa.String(length=100), nullable=False),
        sa.Column("access_notes", sa.String(length=500), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id", "client_id"],
            ["clients.organisation_id", "clients.id"],
            name=op.f("fk_covered_homes_organisation_id_client_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_covered_homes_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_covered_homes")),
    )
    op.create_index("ix_covered_homes_client", "covered_homes", ["organisation_id", "client_id"], unique=False)
    op.create_table(
        "covers",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subscription_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("concluded_on", sa.Date(), nullable=False),
        sa.Column("effective_on", sa.Date(), nullable=False),
        sa.Column("created_by_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("number", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id", "client_id"],
            ["clients.organisation_id", "clients.id"],
            name=op.f("fk_covers_organisation_id_client_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "created_by_id"],
            ["users.organisation_id", "users.id"],
            name=op.f("fk_covers_organisation_id_created_by_id"),
            ondelete="SET NULL (created_by_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "subscription_id"],
            ["subscriptions.organisation_id", "subscriptions.id"],
            name=op.f("fk_covers_organisation_id_subscription_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_covers_organisation_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_covers")),
        sa.UniqueConstraint("organisation_id", "number", name=op.f("uq_covers_organisation_id_number")),
        sa.UniqueConstraint(
            "organisation_id", "subscription_id", name=op.f("uq_covers_organisation_id_subscription_id")
        ),
    )
    op.create_index("ix_covers_client", "covers", ["organisation_id", "client_id"], unique=False)
    op.create_table(
        "claims",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("reference", sa.String(length=20), nullable=False),
        sa.Column("cover_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("home_id", sa.Uuid(), nullable=True),
        sa.Column("trade", sa.String(32), nullable=False),
        sa.Column("event_on", sa.Date(), nullable=False),
        sa.Column("event_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("declared_on", sa.Date(), nullable=False),
        sa.Column("channel", sa.String(32), nullable=False),
        sa.Column("words", sa.Text(), server_default="", nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("asked", sa.Numeric(precision=14, scale=2), nullable=True),
        sa.Column("covered", sa.Numeric(precision=14, scale=2), server_default="0", nullable=False),
        sa.Column("deductible", sa.Numeric(precision=14, scale=2), server_default="0", nullable=False),
        sa.Column("over", sa.Numeric(precision=14, scale=2), server_default="0", nullable=False),
        sa.Column("doubt", sa.Text(), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("token", sa.Uuid(), nullable=True),
        sa.Column("created_by_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("asked BETWEEN 0 AND 1000000", name=op.f("ck_claims_asked")),
        sa.CheckConstraint(
            "covered >= 0 AND deductible >= 0 AND over >= 0", name=op.f("ck_claims_amounts_are_positive")
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "client_id"],
            ["clients.organisation_id", "clients.id"],
            name=op.f("fk_claims_organisation_id_client_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "cover_id"],
            ["covers.organisation_id", "covers.id"],
            name=op.f("fk_claims_organisation_id_cover_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "created_by_id"],
            ["users.organisation_id", "users.id"],
            name=op.f("fk_claims_organisation_id_created_by_id"),
            ondelete="SET NULL (created_by_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "home_id"],
            ["covered_homes.organisation_id", "covered_homes.id"],
            name=op.f("fk_claims_organisation_id_home_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_claims_organisation_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_claims")),
        sa.UniqueConstraint("organisation_id", "reference", name=op.f("uq_claims_organisation_id_reference")),
        sa.UniqueConstraint("organisation_id", "token", name=op.f("uq_claims_organisation_id_token")),
    )
    op.create_index("ix_claims_client", "claims", ["organisation_id", "client_id", "declared_on"], unique=False)
    op.create_index("ix_claims_cover", "claims", ["organisation_id", "cover_id", "event_on"], unique=False)
    op.create_index("ix_claims_declared", "claims", ["organisation_id", "declared_on", "id"], unique=False)
    op.create_index(
        "ix_claims_doubt",
        "claims",
        ["organisation_id", "declared_on", "id"],
        unique=False,
        postgresql_where=sa.text("doubt IS NOT NULL"),
    )
    op.create_index("ix_claims_status", "claims", ["organisation_id", "status", "declared_on", "id"], unique=False)
    op.create_index("ix_claims_trade", "claims", ["organisation_id", "trade", "declared_on", "id"], unique=False)
    op.create_table(
        "cover_facts",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("cover_id", sa.Uuid(), nullable=False),
        sa.Column("cause", sa.String(32), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("kind", sa.String(32), nullable=True),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("history_id", sa.Uuid(), nullable=True),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(cause = 'correction') = (kind IS NOT NULL)", name=op.f("ck_cover_facts_corrections_say_what")
        ),
        sa.CheckConstraint("until > since", name=op.f("ck_cover_facts_until")),
        sa.ForeignKeyConstraint(
            ["organisation_id", "cover_id"],
            ["covers.organisation_id", "covers.id"],
            name=op.f("fk_cover_facts_organisation_id_cover_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "history_id"],
            ["subscription_history.organisation_id", "subscription_history.id"],
            name=op.f("fk_cover_facts_organisation_id_history_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "user_id"],
            ["users.organisation_id", "users.id"],
            name=op.f("fk_cover_facts_organisation_id_user_id"),
            ondelete="SET NULL (user_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_cover_facts_organisation_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_cover_facts")),
        sa.UniqueConstraint(
            "organisation_id", "cover_id", "history_id", name=op.f("uq_cover_facts_organisation_id_cover_id_history_id")
        ),
    )
    op.create_index("ix_cover_facts_cover", "cover_facts", ["organisation_id", "cover_id", "at", "id"], unique=False)
    op.create_table(
        "cover_homes",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("cover_id", sa.Uuid(), nullable=False),
        sa.Column("since", sa.Date(), nullable=False),
        sa.Column("home_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id", "cover_id"],
            ["covers.organisation_id", "covers.id"],
            name=op.f("fk_cover_homes_organisation_id_cover_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "home_id"],
            ["covered_homes.organisation_id", "covered_homes.id"],
            name=op.f("fk_cover_homes_organisation_id_home_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "user_id"],
            ["users.organisation_id", "users.id"],
            name=op.f("fk_cover_homes_organisation_id_user_id"),
            ondelete="SET NULL (user_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_cover_homes_organisation_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("organisation_id", "cover_id", "since", name=op.f("pk_cover_homes")),
    )
    op.create_index("ix_cover_homes_home", "cover_homes", ["organisation_id", "home_id"], unique=False)
    op.create_table(
        "cover_options",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("cover_id", sa.Uuid(), nullable=False),
        sa.Column("option_id", sa.Uuid(), nullable=False),
        sa.Column("since", sa.Date(), nullable=False),
        sa.Column("until", sa.Date(), nullable=True),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("until > since", name=op.f("ck_cover_options_until")),
        sa.ForeignKeyConstraint(
            ["organisation_id", "cover_id"],
            ["covers.organisation_id", "covers.id"],
            name=op.f("fk_cover_options_organisation_id_cover_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "option_id"],
            ["cover_plan_options.organisation_id", "cover_plan_options.id"],
            name=op.f("fk_cover_options_organisation_id_option_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "user_id"],
            ["users.organisation_id", "users.id"],
            name=op.f("fk_cover_options_organisation_id_user_id"),
            ondelete="SET NULL (user_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_cover_options_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_cover_options")),
    )
    op.create_index("ix_cover_options_cover", "cover_options", ["organisation_id", "cover_id"], unique=False)
    op.create_table(
        "cover_periods",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("cover_id", sa.Uuid(), nullable=False),
        sa.Column("since", sa.Date(), nullable=False),
        sa.Column("version_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id", "cover_id"],
            ["covers.organisation_id", "covers.id"],
            name=op.f("fk_cover_periods_organisation_id_cover_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "user_id"],
            ["users.organisation_id", "users.id"],
            name=op.f("fk_cover_periods_organisation_id_user_id"),
            ondelete="SET NULL (user_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "version_id"],
            ["cover_plan_versions.organisation_id", "cover_plan_versions.id"],
            name=op.f("fk_cover_periods_organisation_id_version_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_cover_periods_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "cover_id", "since", name=op.f("pk_cover_periods")),
    )
    op.create_table(
        "claim_changes",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("claim_id", sa.Uuid(), nullable=False),
        sa.Column("old_status", sa.String(32), nullable=True),
        sa.Column("new_status", sa.String(32), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id", "claim_id"],
            ["claims.organisation_id", "claims.id"],
            name=op.f("fk_claim_changes_organisation_id_claim_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "user_id"],
            ["users.organisation_id", "users.id"],
            name=op.f("fk_claim_changes_organisation_id_user_id"),
            ondelete="SET NULL (user_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_claim_changes_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_claim_changes")),
    )
    op.create_index(
        "ix_claim_changes_claim", "claim_changes", ["organisation_id", "claim_id", "at", "id"], unique=False
    )
    op.create_table(
        "claim_decisions",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("claim_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("covered", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.Column("content", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("is_override", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint("NOT is_override OR reason IS NOT NULL", name=op.f("ck_claim_decisions_overrides_say_why")),
        sa.ForeignKeyConstraint(
            ["organisation_id", "claim_id"],
            ["claims.organisation_id", "claims.id"],
            name=op.f("fk_claim_decisions_organisation_id_claim_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "user_id"],
            ["users.organisation_id", "users.id"],
            name=op.f("fk_claim_decisions_organisation_id_user_id"),
            ondelete="SET NULL (user_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_claim_decisions_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_claim_decisions")),
    )
    op.create_index(
        "ix_claim_decisions_claim", "claim_decisions", ["organisation_id", "claim_id", "at", "id"], unique=False
    )
    op.create_table(
        "claim_entries",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("claim_id", sa.Uuid(), nullable=False),
        sa.Column("cover_id", sa.Uuid(), nullable=False),
        sa.Column("decision_id", sa.Uuid(), nullable=True),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("amount", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.Column("event_on", sa.Date(), nullable=False),
        sa.Column("option_code", sa.String(length=30), nullable=True),
        sa.Column("draws_on_main", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("counts", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("holds_place", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("note", sa.String(length=300), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id", "claim_id"],
            ["claims.organisation_id", "claims.id"],
            name=op.f("fk_claim_entries_organisation_id_claim_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "cover_id"],
            ["covers.organisation_id", "covers.id"],
            name=op.f("fk_claim_entries_organisation_id_cover_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "decision_id"],
            ["claim_decisions.organisation_id", "claim_decisions.id"],
            name=op.f("fk_claim_entries_organisation_id_decision_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "user_id"],
            ["users.organisation_id", "users.id"],
            name=op.f("fk_claim_entries_organisation_id_user_id"),
            ondelete="SET NULL (user_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_claim_entries_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_claim_entries")),
    )
    op.create_index(
        "ix_claim_entries_claim", "claim_entries", ["organisation_id", "claim_id", "at", "id"], unique=False
    )
    op.create_index(
        "ix_claim_entries_cover", "claim_entries", ["organisation_id", "cover_id", "kind", "event_on"], unique=False
    )


def downgrade() -> None:
    for table in (
        "claim_entries",
        "claim_decisions",
        "claim_changes",
        "cover_periods",
        "cover_options",
        "cover_homes",
        "cover_facts",
        "claims",
        "covers",
        "covered_homes",
        "cover_plan_options",
        "cover_plan_versions",
        "cover_plans",
        "claim_counters",
    ):
        op.drop_table(table)
    op.execute("DROP FUNCTION keep_cover_rows")
    op.execute("DROP FUNCTION keep_published_plan")
