"""Subscriptions, preferences, charges, payments, invoices and the outbox.

Revision: 0003, after 0002; 2026-11-20
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# The ledger of money is only ever added to: what was wrong is righted by another row.
REFUSE_CHANGE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is only ever added to', TG_TABLE_NAME;
END $$
"""
PAYMENTS_KEPT = """
CREATE TRIGGER payments_kept BEFORE UPDATE OR DELETE ON payments
FOR EACH ROW EXECUTE FUNCTION refuse_change()
"""


def upgrade() -> None:
    op.create_table(
        "outbox_events",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "subscription.created",
                "subscription.activated",
                "subscription.paused",
                "subscription.resumed",
                "subscription.past_due",
                "subscription.recovered",
                "subscription.canceled",
                "subscription.expired",
                "subscription.changed",
                "subscription.charged",
                "subscription.charge_failed",
                "charge.reversed",
                "sepa.prenotification",
                name="outboxkind",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column(
            "payload", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), server_default="{}", nullable=False
        ),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_outbox_events_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_outbox_events")),
    )
    op.create_index(
        "ix_outbox_events_occurred", "outbox_events", ["organisation_id", "occurred_at", "id"], unique=False
    )
    op.create_index("ix_outbox_events_subject", "outbox_events", ["organisation_id", "subject_id", "id"], unique=False)
    op.create_table(
        "preference_schemas",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.String(length=50), nullable=False),
        sa.Column("label", sa.String(length=100), nullable=False),
        sa.Column(
            "value_type",
            sa.Enum("string", "number", "enum", "boolean", name="valuetype", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("allowed_values", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("required", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("default", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("position", sa.Integer(), server_default="0", nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_preference_schemas_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_preference_schemas")),
        sa.UniqueConstraint("organisation_id", "code", name=op.f("uq_preference_schemas_organisation_id_code")),
    )
    op.create_table(
        "charge_runs",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "trigger",
            sa.Enum("manual", "scheduled", "command", name="runtrigger", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column(
            "status",
            sa.Enum("running", "success", "partial", "failed", name="runstatus", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("due_before", sa.DateTime(timezone=True), nullable=False),
        sa.Column("total", sa.Integer(), server_default="0", nullable=False),
        sa.Column("charged", sa.Integer(), server_default="0", nullable=False),
        sa.Column("processing", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("unknown", sa.Integer(), server_default="0", nullable=False),
        sa.Column("skipped", sa.Integer(), server_default="0", nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("requested_by_id", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id", "requested_by_id"],
            ["users.organisation_id", "users.id"],
            name=op.f("fk_charge_runs_organisation_id_requested_by_id"),
            ondelete="SET NULL (requested_by_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_charge_runs_organisation_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_charge_runs")),
    )
    op.create_index(
        "ix_charge_runs_lease",
        "charge_runs",
        ["lease_until"],
        unique=False,
        postgresql_where=sa.text("status = 'running'"),
    )
    op.create_index("ix_charge_runs_started", "charge_runs", ["organisation_id", "started_at", "id"], unique=False)
    op.create_index(
        "uq_charge_runs_running",
        "charge_runs",
        ["organisation_id"],
        unique=True,
        postgresql_where=sa.text("status = 'running'"),
    )
    op.create_table(
        "cut_offs",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("company_id", sa.Uuid(), nullable=False),
        sa.Column("weekday", sa.Integer(), server_default="0", nullable=False),
        sa.Column("at", sa.Time(), server_default="12:00", nullable=False),
        sa.Column("timezone", sa.String(length=64), server_default="Europe/Paris", nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.CheckConstraint("weekday BETWEEN 0 AND 6", name=op.f("ck_cut_offs_weekday")),
        sa.ForeignKeyConstraint(
            ["organisation_id", "company_id"],
            ["companies.organisation_id", "companies.id"],
            name=op.f("fk_cut_offs_organisation_id_company_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_cut_offs_organisation_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("organisation_id", "company_id", name=op.f("pk_cut_offs")),
    )
    op.create_table(
        "invoice_counters",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("company_id", sa.Uuid(), nullable=False),
        sa.Column("series", sa.String(length=20), nullable=False),
        sa.Column("last_number", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_issued_on", sa.Date(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id", "company_id"],
            ["companies.organisation_id", "companies.id"],
            name=op.f("fk_invoice_counters_organisation_id_company_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_invoice_counters_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "company_id", "series", name=op.f("pk_invoice_counters")),
    )
    op.create_table(
        "outbox_deliveries",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("subscriber", sa.String(length=100), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id", "event_id"],
            ["outbox_events.organisation_id", "outbox_events.id"],
            name=op.f("fk_outbox_deliveries_organisation_id_event_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_outbox_deliveries_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "event_id", "subscriber", name=op.f("pk_outbox_deliveries")),
    )
    op.create_index(
        "ix_outbox_deliveries_open",
        "outbox_deliveries",
        ["organisation_id", "next_attempt_at", "event_id"],
        unique=False,
        postgresql_where=sa.text("delivered_at IS NULL"),
    )
    op.create_table(
        "provider_accounts",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("company_id", sa.Uuid(), nullable=False),
        sa.Column(
            "provider",
            sa.Enum("sandbox", "stripe", "sepa_file", name="provider", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("credentials", sa.LargeBinary(), nullable=True),
        sa.Column("ics", sa.String(length=35), nullable=True),
        sa.Column(
            "ship_at",
            sa.Enum("processing", "succeeded", name="milestone", native_enum=False, length=32),
            server_default="succeeded",
            nullable=False,
        ),
        sa.Column(
            "invoice_at",
            sa.Enum("processing", "succeeded", name="milestone", native_enum=False, length=32),
            server_default="succeeded",
            nullable=False,
        ),
        sa.Column("rate_per_second", sa.Integer(), server_default="50", nullable=False),
        sa.Column("max_concurrency", sa.Integer(), server_default="16", nullable=False),
        sa.Column("longest_delay_seconds", sa.Integer(), server_default="300", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "rate_per_second > 0 AND max_concurrency > 0", name=op.f("ck_provider_accounts_limits_are_positive")
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "company_id"],
            ["companies.organisation_id", "companies.id"],
            name=op.f("fk_provider_accounts_organisation_id_company_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_provider_accounts_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_provider_accounts")),
        sa.UniqueConstraint(
            "organisation_id",
            "company_id",
            "provider",
            name=op.f("uq_provider_accounts_organisation_id_company_id_provider"),
        ),
    )
    op.create_index("ix_provider_accounts_provider", "provider_accounts", ["provider"], unique=False)
    op.create_table(
        "bank_files",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("provider_account_id", sa.Uuid(), nullable=False),
        sa.Column("message_id", sa.String(length=35), nullable=False),
        sa.Column("collected_on", sa.Date(), nullable=False),
        sa.Column(
            "status",
            sa.Enum("prepared", "sent", "confirmed", name="bankfilestatus", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.Column("number_of_debits", sa.Integer(), server_default="0", nullable=False),
        sa.Column("total", sa.Numeric(precision=14, scale=2), server_default="0", nullable=False),
        sa.Column("exported_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id", "provider_account_id"],
            ["provider_accounts.organisation_id", "provider_accounts.id"],
            name=op.f("fk_bank_files_organisation_id_provider_account_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_bank_files_organisation_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_bank_files")),
        sa.UniqueConstraint("organisation_id", "message_id", name=op.f("uq_bank_files_organisation_id_message_id")),
    )
    op.create_index("ix_bank_files_date", "bank_files", ["organisation_id", "collected_on", "id"], unique=False)
    op.create_table(
        "webhook_events",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("provider_account_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.String(length=255), nullable=False),
        sa.Column("kind", sa.String(length=100), server_default="", nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("handled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id", "provider_account_id"],
            ["provider_accounts.organisation_id", "provider_accounts.id"],
            name=op.f("fk_webhook_events_organisation_id_provider_account_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_webhook_events_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_webhook_events")),
        sa.UniqueConstraint(
            "organisation_id",
            "provider_account_id",
            "event_id",
            name=op.f("uq_webhook_events_organisation_id_provider_account_id_event_id"),
        ),
    )
    op.create_index(
        "ix_webhook_events_open",
        "webhook_events",
        ["next_attempt_at"],
        unique=False,
        postgresql_where=sa.text("handled_at IS NULL"),
    )
    op.create_index(
        "ix_webhook_events_received", "webhook_events", ["organisation_id", "received_at", "id"], unique=False
    )
    op.create_table(
        "saved_payment_methods",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("provider_account_id", sa.Uuid(), nullable=False),
        sa.Column(
            "method",
            sa.Enum("sepa", "card", "transfer", "cheque", name="paymentmethod", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("customer_reference", sa.String(length=255), server_default="", nullable=False),
        sa.Column("method_reference", sa.String(length=255), nullable=False),
        sa.Column("label", sa.String(length=100), server_default="", nullable=False),
        sa.Column("expires_on", sa.Date(), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id", "client_id"],
            ["clients.organisation_id", "clients.id"],
            name=op.f("fk_saved_payment_methods_organisation_id_client_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "provider_account_id"],
            ["provider_accounts.organisation_id", "provider_accounts.id"],
            name=op.f("fk_saved_payment_methods_organisation_id_provider_account_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_saved_payment_methods_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_saved_payment_methods")),
        sa.UniqueConstraint(
            "organisation_id",
            "provider_account_id",
            "method_reference",
            name=op.f("uq_saved_payment_methods_organisation_id_provider_account_id_method_reference"),
        ),
    )
    op.create_index(
        "ix_saved_payment_methods_client", "saved_payment_methods", ["organisation_id", "client_id"], unique=False
    )
    op.create_table(
        "subscriptions",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("company_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("contract_id", sa.Uuid(), nullable=True),
        sa.Column(
            "status",
            sa.Enum(
                "pending",
                "active",
                "paused",
                "past_due",
                "canceled",
                "expired",
                name="subscriptionstatus",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column(
            "frequency",
            sa.Enum(
                "weekly",
                "biweekly",
                "monthly",
                "bimonthly",
                "quarterly",
                "annual",
                name="frequency",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("anchor_date", sa.Date(), nullable=False),
        sa.Column("charge_time", sa.Time(), server_default="00:00", nullable=False),
        sa.Column("timezone", sa.String(length=64), server_default="Europe/Paris", nullable=False),
        sa.Column("cycle_no", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_charge_on", sa.Date(), nullable=True),
        sa.Column("next_charge_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("current_period_start", sa.Date(), nullable=True),
        sa.Column("current_period_end", sa.Date(), nullable=True),
        sa.Column("cancels_on", sa.Date(), nullable=True),
        sa.Column("ends_on", sa.Date(), nullable=True),
        sa.Column("resume_on", sa.Date(), nullable=True),
        sa.Column("currency", sa.String(length=3), server_default="EUR", nullable=False),
        sa.Column("recurring_amount", sa.Numeric(precision=14, scale=2), server_default="0", nullable=False),
        sa.Column(
            "payment_method",
            sa.Enum("sepa", "card", "transfer", "cheque", name="paymentmethod", native_enum=False, length=32),
            nullable=True,
        ),
        sa.Column("provider_account_id", sa.Uuid(), nullable=True),
        sa.Column("saved_method_id", sa.Uuid(), nullable=True),
        sa.Column("mandate_id", sa.Uuid(), nullable=True),
        sa.Column(
            "source", sa.Enum("WinLeadPlus", "WooCommerce", name="source", native_enum=False, length=32), nullable=True
        ),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column(
            "annual_amount",
            sa.Numeric(precision=16, scale=2),
            sa.Computed(
                "recurring_amount * CASE frequency WHEN 'weekly' THEN 52 WHEN 'biweekly' THEN 26 WHEN 'monthly' THEN 12"
                " WHEN 'bimonthly' THEN 6 WHEN 'quarterly' THEN 4 WHEN 'annual' THEN 1 END",
                persisted=True,
            ),
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "next_charge_at IS NULL OR status IN ('pending', 'active', 'past_due')",
            name=op.f("ck_subscriptions_only_scheduled_fall_due"),
        ),
        sa.CheckConstraint(
            "(next_charge_at IS NULL) = (next_charge_on IS NULL)", name=op.f("ck_subscriptions_next_charge_is_whole")
        ),
        sa.CheckConstraint("recurring_amount >= 0", name=op.f("ck_subscriptions_amount_is_positive")),
        sa.ForeignKeyConstraint(
            ["organisation_id", "client_id"],
            ["clients.organisation_id", "clients.id"],
            name=op.f("fk_subscriptions_organisation_id_client_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "company_id"],
            ["companies.organisation_id", "companies.id"],
            name=op.f("fk_subscriptions_organisation_id_company_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "contract_id"],
            ["contracts.organisation_id", "contracts.id"],
            name=op.f("fk_subscriptions_organisation_id_contract_id"),
            ondelete="SET NULL (contract_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "mandate_id"],
            ["mandates.organisation_id", "mandates.id"],
            name=op.f("fk_subscriptions_organisation_id_mandate_id"),
            ondelete="SET NULL (mandate_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "provider_account_id"],
            ["provider_accounts.organisation_id", "provider_accounts.id"],
            name=op.f("fk_subscriptions_organisation_id_provider_account_id"),
            ondelete="SET NULL (provider_account_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "saved_method_id"],
            ["saved_payment_methods.organisation_id", "saved_payment_methods.id"],
            name=op.f("fk_subscriptions_organisation_id_saved_method_id"),
            ondelete="SET NULL (saved_method_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_subscriptions_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_subscriptions")),
    )
    op.create_index(
        "ix_subscriptions_cancel",
        "subscriptions",
        ["cancels_on"],
        unique=False,
        postgresql_where=sa.text("cancels_on IS NOT NULL"),
    )
    op.create_index("ix_subscriptions_client", "subscriptions", ["organisation_id", "client_id", "id"], unique=False)
    op.create_index("ix_subscriptions_contract", "subscriptions", ["organisation_id", "contract_id"], unique=False)
    op.create_index(
        "ix_subscriptions_due",
        "subscriptions",
        ["organisation_id", "next_charge_at", "id"],
        unique=False,
        postgresql_where=sa.text("next_charge_at IS NOT NULL"),
    )
    op.create_index(
        "ix_subscriptions_end",
        "subscriptions",
        ["ends_on"],
        unique=False,
        postgresql_where=sa.text("ends_on IS NOT NULL AND status = 'active'"),
    )
    op.create_index(
        "ix_subscriptions_resume",
        "subscriptions",
        ["resume_on"],
        unique=False,
        postgresql_where=sa.text("resume_on IS NOT NULL"),
    )
    op.create_index("ix_subscriptions_status", "subscriptions", ["organisation_id", "status", "id"], unique=False)
    op.create_table(
        "charges",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subscription_id", sa.Uuid(), nullable=False),
        sa.Column("cycle_no", sa.Integer(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("company_id", sa.Uuid(), nullable=False),
        sa.Column("reference", sa.String(length=80), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("period_start", sa.Date(), nullable=False),
        sa.Column("period_end", sa.Date(), nullable=False),
        sa.Column("amount_before_tax", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.Column("vat", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("amount", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.Column("currency", sa.String(length=3), server_default="EUR", nullable=False),
        sa.Column("lines", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column(
            "payment_method",
            sa.Enum("sepa", "card", "transfer", "cheque", name="paymentmethod", native_enum=False, length=32),
            nullable=True,
        ),
        sa.Column("provider_account_id", sa.Uuid(), nullable=True),
        sa.Column(
            "status",
            sa.Enum(
                "scheduled",
                "sending",
                "processing",
                "unknown",
                "retrying",
                "authenticating",
                "succeeded",
                "failed",
                "reversed",
                "skipped",
                "canceled",
                name="chargestatus",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("attempts_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("first_refused_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fence", sa.Integer(), server_default="0", nullable=False),
        sa.Column(
            "attention",
            sa.Enum(
                "no_payment_method",
                "unknown",
                "refused",
                "authentication",
                "reversed",
                "mismatch",
                name="attention",
                native_enum=False,
                length=32,
            ),
            nullable=True,
        ),
        sa.Column("attention_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("explanation", sa.Text(), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_charges_amount_is_positive")),
        sa.ForeignKeyConstraint(
            ["organisation_id", "client_id"],
            ["clients.organisation_id", "clients.id"],
            name=op.f("fk_charges_organisation_id_client_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "company_id"],
            ["companies.organisation_id", "companies.id"],
            name=op.f("fk_charges_organisation_id_company_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "provider_account_id"],
            ["provider_accounts.organisation_id", "provider_accounts.id"],
            name=op.f("fk_charges_organisation_id_provider_account_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "subscription_id"],
            ["subscriptions.organisation_id", "subscriptions.id"],
            name=op.f("fk_charges_organisation_id_subscription_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_charges_organisation_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_charges")),
        sa.UniqueConstraint(
            "organisation_id",
            "subscription_id",
            "cycle_no",
            name=op.f("uq_charges_organisation_id_subscription_id_cycle_no"),
        ),
    )
    op.create_index(
        "ix_charges_attention",
        "charges",
        ["organisation_id", "attention_at", "id"],
        unique=False,
        postgresql_where=sa.text("attention IS NOT NULL"),
    )
    op.create_index("ix_charges_client", "charges", ["organisation_id", "client_id", "due_on", "id"], unique=False)
    op.create_index("ix_charges_due", "charges", ["organisation_id", "due_on", "id"], unique=False)
    op.create_index(
        "ix_charges_lease",
        "charges",
        ["lease_until"],
        unique=False,
        postgresql_where=sa.text("lease_until IS NOT NULL"),
    )
    op.create_index(
        "ix_charges_next_attempt",
        "charges",
        ["organisation_id", "next_attempt_at", "id"],
        unique=False,
        postgresql_where=sa.text("next_attempt_at IS NOT NULL"),
    )
    op.create_index("ix_charges_status", "charges", ["organisation_id", "status", "due_on", "id"], unique=False)
    op.create_table(
        "preference_changes",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subscription_id", sa.Uuid(), nullable=False),
        sa.Column("schema_id", sa.Uuid(), nullable=False),
        sa.Column("effective_from_cycle", sa.Integer(), nullable=False),
        sa.Column("old_value", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("new_value", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id", "schema_id"],
            ["preference_schemas.organisation_id", "preference_schemas.id"],
            name=op.f("fk_preference_changes_organisation_id_schema_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "subscription_id"],
            ["subscriptions.organisation_id", "subscriptions.id"],
            name=op.f("fk_preference_changes_organisation_id_subscription_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "user_id"],
            ["users.organisation_id", "users.id"],
            name=op.f("fk_preference_changes_organisation_id_user_id"),
            ondelete="SET NULL (user_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_preference_changes_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_preference_changes")),
    )
    op.create_index(
        "ix_preference_changes_subscription",
        "preference_changes",
        ["organisation_id", "subscription_id", "at", "id"],
        unique=False,
    )
    op.create_table(
        "preference_values",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subscription_id", sa.Uuid(), nullable=False),
        sa.Column("schema_id", sa.Uuid(), nullable=False),
        sa.Column("effective_from_cycle", sa.Integer(), nullable=False),
        sa.Column("value", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id", "schema_id"],
            ["preference_schemas.organisation_id", "preference_schemas.id"],
            name=op.f("fk_preference_values_organisation_id_schema_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "subscription_id"],
            ["subscriptions.organisation_id", "subscriptions.id"],
            name=op.f("fk_preference_values_organisation_id_subscription_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_preference_values_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_preference_values")),
        sa.UniqueConstraint(
            "organisation_id",
            "subscription_id",
            "schema_id",
            "effective_from_cycle",
            name=op.f("uq_preference_values_organisation_id_subscription_id_schema_id_effective_from_cycle"),
        ),
    )
    op.create_index("ix_preference_values_schema", "preference_values", ["organisation_id", "schema_id"], unique=False)
    op.create_table(
        "subscription_history",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subscription_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column(
            "old_status",
            sa.Enum(
                "pending",
                "active",
                "paused",
                "past_due",
                "canceled",
                "expired",
                name="subscriptionstatus",
                native_enum=False,
                length=32,
            ),
            nullable=True,
        ),
        sa.Column(
            "new_status",
            sa.Enum(
                "pending",
                "active",
                "paused",
                "past_due",
                "canceled",
                "expired",
                name="subscriptionstatus",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column(
            "changes", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), server_default="{}", nullable=False
        ),
        sa.Column("annual_before", sa.Numeric(precision=16, scale=2), server_default="0", nullable=False),
        sa.Column("annual_after", sa.Numeric(precision=16, scale=2), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id", "subscription_id"],
            ["subscriptions.organisation_id", "subscriptions.id"],
            name=op.f("fk_subscription_history_organisation_id_subscription_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "user_id"],
            ["users.organisation_id", "users.id"],
            name=op.f("fk_subscription_history_organisation_id_user_id"),
            ondelete="SET NULL (user_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_subscription_history_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_subscription_history")),
    )
    op.create_index(
        "ix_subscription_history_revenue",
        "subscription_history",
        ["organisation_id", "at"],
        unique=False,
        postgresql_where=sa.text("annual_before <> annual_after"),
    )
    op.create_index(
        "ix_subscription_history_subscription",
        "subscription_history",
        ["organisation_id", "subscription_id", "at", "id"],
        unique=False,
    )
    op.create_table(
        "subscription_lines",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subscription_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("product_id", sa.Uuid(), nullable=True),
        sa.Column("label", sa.String(length=200), nullable=False),
        sa.Column("quantity", sa.Numeric(precision=12, scale=3), server_default="1", nullable=False),
        sa.Column("unit_price", sa.Numeric(precision=14, scale=4), nullable=False),
        sa.Column("vat_rate", sa.Numeric(precision=4, scale=2), server_default="20", nullable=False),
        sa.Column("discount", sa.Numeric(precision=14, scale=2), server_default="0", nullable=False),
        sa.CheckConstraint(
            "quantity > 0 AND unit_price >= 0 AND discount >= 0",
            name=op.f("ck_subscription_lines_amounts_are_positive"),
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "product_id"],
            ["products.organisation_id", "products.id"],
            name=op.f("fk_subscription_lines_organisation_id_product_id"),
            ondelete="SET NULL (product_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "subscription_id"],
            ["subscriptions.organisation_id", "subscriptions.id"],
            name=op.f("fk_subscription_lines_organisation_id_subscription_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_subscription_lines_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_subscription_lines")),
        sa.UniqueConstraint(
            "organisation_id",
            "subscription_id",
            "position",
            name=op.f("uq_subscription_lines_organisation_id_subscription_id_position"),
        ),
    )
    op.create_table(
        "charge_attempts",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("charge_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("provider_account_id", sa.Uuid(), nullable=False),
        sa.Column(
            "provider",
            sa.Enum("sandbox", "stripe", "sepa_file", name="provider", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("saved_method_id", sa.Uuid(), nullable=True),
        sa.Column("mandate_id", sa.Uuid(), nullable=True),
        sa.Column("bank_file_id", sa.Uuid(), nullable=True),
        sa.Column("amount", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.Column("currency", sa.String(length=3), server_default="EUR", nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "sending",
                "unknown",
                "processing",
                "authenticating",
                "succeeded",
                "refused",
                "canceled",
                "reversed",
                name="attemptstatus",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("provider_payment_id", sa.String(length=255), nullable=True),
        sa.Column("end_to_end_id", sa.String(length=35), nullable=True),
        sa.Column(
            "refusal",
            sa.Enum("hard", "soft", "authentication", "technical", name="refusalclass", native_enum=False, length=32),
            nullable=True,
        ),
        sa.Column("provider_code", sa.String(length=100), nullable=True),
        sa.Column("provider_message", sa.Text(), nullable=True),
        sa.Column("authentication_url", sa.Text(), nullable=True),
        sa.Column("first_sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sends", sa.Integer(), server_default="0", nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id", "bank_file_id"],
            ["bank_files.organisation_id", "bank_files.id"],
            name=op.f("fk_charge_attempts_organisation_id_bank_file_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "charge_id"],
            ["charges.organisation_id", "charges.id"],
            name=op.f("fk_charge_attempts_organisation_id_charge_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "mandate_id"],
            ["mandates.organisation_id", "mandates.id"],
            name=op.f("fk_charge_attempts_organisation_id_mandate_id"),
            ondelete="SET NULL (mandate_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "provider_account_id"],
            ["provider_accounts.organisation_id", "provider_accounts.id"],
            name=op.f("fk_charge_attempts_organisation_id_provider_account_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "saved_method_id"],
            ["saved_payment_methods.organisation_id", "saved_payment_methods.id"],
            name=op.f("fk_charge_attempts_organisation_id_saved_method_id"),
            ondelete="SET NULL (saved_method_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_charge_attempts_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_charge_attempts")),
        sa.UniqueConstraint(
            "organisation_id", "charge_id", "number", name=op.f("uq_charge_attempts_organisation_id_charge_id_number")
        ),
    )
    op.create_index(
        "ix_charge_attempts_bank_file",
        "charge_attempts",
        ["organisation_id", "bank_file_id"],
        unique=False,
        postgresql_where=sa.text("bank_file_id IS NOT NULL"),
    )
    op.create_index(
        "ix_charge_attempts_provider_payment",
        "charge_attempts",
        ["organisation_id", "provider_payment_id"],
        unique=False,
        postgresql_where=sa.text("provider_payment_id IS NOT NULL"),
    )
    op.create_index(
        "uq_charge_attempts_end_to_end",
        "charge_attempts",
        ["organisation_id", "end_to_end_id"],
        unique=True,
        postgresql_where=sa.text("end_to_end_id IS NOT NULL"),
    )
    op.create_index(
        "uq_charge_attempts_open",
        "charge_attempts",
        ["organisation_id", "charge_id"],
        unique=True,
        postgresql_where=sa.text("status IN ('sending', 'unknown', 'processing', 'authenticating')"),
    )
    op.create_table(
        "invoices",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("company_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("charge_id", sa.Uuid(), nullable=True),
        sa.Column(
            "status",
            sa.Enum("draft", "issued", "paid", name="invoicestatus", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("series", sa.String(length=20), nullable=False),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("reference", sa.String(length=40), nullable=True),
        sa.Column("issued_on", sa.Date(), nullable=True),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column("period_start", sa.Date(), nullable=True),
        sa.Column("period_end", sa.Date(), nullable=True),
        sa.Column("currency", sa.String(length=3), server_default="EUR", nullable=False),
        sa.Column("amount_before_tax", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.Column("vat", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("total", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.Column("paid", sa.Numeric(precision=14, scale=2), server_default="0", nullable=False),
        sa.Column(
            "seller", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), server_default="{}", nullable=False
        ),
        sa.Column(
            "buyer", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), server_default="{}", nullable=False
        ),
        sa.Column("finalised_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("(number IS NULL) = (status = 'draft')", name=op.f("ck_invoices_numbered_once_final")),
        sa.ForeignKeyConstraint(
            ["organisation_id", "charge_id"],
            ["charges.organisation_id", "charges.id"],
            name=op.f("fk_invoices_organisation_id_charge_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "client_id"],
            ["clients.organisation_id", "clients.id"],
            name=op.f("fk_invoices_organisation_id_client_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "company_id"],
            ["companies.organisation_id", "companies.id"],
            name=op.f("fk_invoices_organisation_id_company_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_invoices_organisation_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_invoices")),
        sa.UniqueConstraint(
            "organisation_id",
            "company_id",
            "series",
            "number",
            name=op.f("uq_invoices_organisation_id_company_id_series_number"),
        ),
    )
    op.create_index("ix_invoices_client", "invoices", ["organisation_id", "client_id", "id"], unique=False)
    op.create_index(
        "ix_invoices_drafts", "invoices", ["created_at"], unique=False, postgresql_where=sa.text("status = 'draft'")
    )
    op.create_index("ix_invoices_issued", "invoices", ["organisation_id", "issued_on", "id"], unique=False)
    op.create_index("ix_invoices_status", "invoices", ["organisation_id", "status", "due_on", "id"], unique=False)
    op.create_index(
        "uq_invoices_charge",
        "invoices",
        ["organisation_id", "charge_id"],
        unique=True,
        postgresql_where=sa.text("charge_id IS NOT NULL"),
    )
    op.create_table(
        "invoice_lines",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("invoice_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("label", sa.String(length=200), nullable=False),
        sa.Column("quantity", sa.Numeric(precision=12, scale=3), server_default="1", nullable=False),
        sa.Column("unit_price", sa.Numeric(precision=14, scale=4), nullable=False),
        sa.Column("discount", sa.Numeric(precision=14, scale=2), server_default="0", nullable=False),
        sa.Column("vat_rate", sa.Numeric(precision=4, scale=2), nullable=False),
        sa.Column("amount", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id", "invoice_id"],
            ["invoices.organisation_id", "invoices.id"],
            name=op.f("fk_invoice_lines_organisation_id_invoice_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_invoice_lines_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_invoice_lines")),
        sa.UniqueConstraint(
            "organisation_id",
            "invoice_id",
            "position",
            name=op.f("uq_invoice_lines_organisation_id_invoice_id_position"),
        ),
    )
    op.create_table(
        "payments",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("company_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("charge_id", sa.Uuid(), nullable=True),
        sa.Column("attempt_id", sa.Uuid(), nullable=True),
        sa.Column(
            "kind",
            sa.Enum("capture", "reversal", "refund", name="paymentkind", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("amount", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.Column("currency", sa.String(length=3), server_default="EUR", nullable=False),
        sa.Column(
            "method",
            sa.Enum("sepa", "card", "transfer", "cheque", name="paymentmethod", native_enum=False, length=32),
            nullable=True,
        ),
        sa.Column(
            "provider",
            sa.Enum("sandbox", "stripe", "sepa_file", name="provider", native_enum=False, length=32),
            nullable=True,
        ),
        sa.Column("external_id", sa.String(length=255), server_default="", nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("happened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(kind = 'capture' AND amount >= 0) OR (kind <> 'capture' AND amount <= 0)", name=op.f("ck_payments_sign")
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "attempt_id"],
            ["charge_attempts.organisation_id", "charge_attempts.id"],
            name=op.f("fk_payments_organisation_id_attempt_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "charge_id"],
            ["charges.organisation_id", "charges.id"],
            name=op.f("fk_payments_organisation_id_charge_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "client_id"],
            ["clients.organisation_id", "clients.id"],
            name=op.f("fk_payments_organisation_id_client_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "company_id"],
            ["companies.organisation_id", "companies.id"],
            name=op.f("fk_payments_organisation_id_company_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_payments_organisation_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_payments")),
    )
    op.create_index("ix_payments_charge", "payments", ["organisation_id", "charge_id"], unique=False)
    op.create_index(
        "ix_payments_client", "payments", ["organisation_id", "client_id", "happened_at", "id"], unique=False
    )
    op.create_index("ix_payments_happened", "payments", ["organisation_id", "happened_at", "id"], unique=False)
    op.create_index(
        "uq_payments_attempt_kind",
        "payments",
        ["organisation_id", "attempt_id", "kind"],
        unique=True,
        postgresql_where=sa.text("kind <> 'refund'"),
    )
    op.create_index(
        "uq_payments_refund",
        "payments",
        ["organisation_id", "attempt_id", "external_id"],
        unique=True,
        postgresql_where=sa.text("kind = 'refund'"),
    )
    op.create_table(
        "allocations",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("payment_id", sa.Uuid(), nullable=False),
        sa.Column("invoice_id", sa.Uuid(), nullable=False),
        sa.Column("amount", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id", "invoice_id"],
            ["invoices.organisation_id", "invoices.id"],
            name=op.f("fk_allocations_organisation_id_invoice_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "payment_id"],
            ["payments.organisation_id", "payments.id"],
            name=op.f("fk_allocations_organisation_id_payment_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_allocations_organisation_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_allocations")),
        sa.UniqueConstraint(
            "organisation_id",
            "payment_id",
            "invoice_id",
            name=op.f("uq_allocations_organisation_id_payment_id_invoice_id"),
        ),
    )
    op.create_index("ix_allocations_invoice", "allocations", ["organisation_id", "invoice_id"], unique=False)
    op.add_column("companies", sa.Column("vat_number", sa.String(length=20), nullable=True))
    op.add_column("companies", sa.Column("legal_form", sa.String(length=100), nullable=True))
    op.add_column("companies", sa.Column("share_capital", sa.Numeric(precision=16, scale=2), nullable=True))
    op.add_column("companies", sa.Column("registry_city", sa.String(length=100), nullable=True))
    op.add_column("companies", sa.Column("address_line1", sa.String(length=200), nullable=True))
    op.add_column("companies", sa.Column("address_line2", sa.String(length=200), nullable=True))
    op.add_column("companies", sa.Column("postcode", sa.String(length=20), nullable=True))
    op.add_column("companies", sa.Column("city", sa.String(length=100), nullable=True))
    op.add_column("companies", sa.Column("country", sa.String(length=2), server_default="FR", nullable=False))
    op.add_column("companies", sa.Column("email", sa.String(length=320), nullable=True))
    op.add_column("companies", sa.Column("phone", sa.String(length=20), nullable=True))
    op.add_column("mandates", sa.Column("last_used_on", sa.Date(), nullable=True))
    op.execute(REFUSE_CHANGE)
    op.execute(PAYMENTS_KEPT)


def downgrade() -> None:
    op.drop_column("mandates", "last_used_on")
    op.drop_column("companies", "phone")
    op.drop_column("companies", "email")
    op.drop_column("companies", "country")
    op.drop_column("companies", "city")
    op.drop_column("companies", "postcode")
    op.drop_column("companies", "address_line2")
    op.drop_column("companies", "address_line1")
    op.drop_column("companies", "registry_city")
    op.drop_column("companies", "share_capital")
    op.drop_column("companies", "legal_form")
    op.drop_column("companies", "vat_number")
    op.drop_index("ix_allocations_invoice", table_name="allocations")
    op.drop_table("allocations")
    op.drop_index("uq_payments_refund", table_name="payments", postgresql_where=sa.text("kind = 'refund'"))
    op.drop_index("uq_payments_attempt_kind", table_name="payments", postgresql_where=sa.text("kind <> 'refund'"))
    op.drop_index("ix_payments_happened", table_name="payments")
    op.drop_index("ix_payments_client", table_name="payments")
    op.drop_index("ix_payments_charge", table_name="payments")
    op.drop_table("payments")
    op.drop_table("invoice_lines")
    op.drop_index("uq_invoices_charge", table_name="invoices", postgresql_where=sa.text("charge_id IS NOT NULL"))
    op.drop_index("ix_invoices_status", table_name="invoices")
    op.drop_index("ix_invoices_issued", table_name="invoices")
    op.drop_index("ix_invoices_drafts", table_name="invoices", postgresql_where=sa.text("status = 'draft'"))
    op.drop_index("ix_invoices_client", table_name="invoices")
    op.drop_table("invoices")
    op.drop_index(
        "uq_charge_attempts_open",
        table_name="charge_attempts",
        postgresql_where=sa.text("status IN ('sending', 'unknown', 'processing', 'authenticating')"),
    )
    op.drop_index(
        "uq_charge_attempts_end_to_end",
        table_name="charge_attempts",
        postgresql_where=sa.text("end_to_end_id IS NOT NULL"),
    )
    op.drop_index(
        "ix_charge_attempts_provider_payment",
        table_name="charge_attempts",
        postgresql_where=sa.text("provider_payment_id IS NOT NULL"),
    )
    op.drop_index(
        "ix_charge_attempts_bank_file",
        table_name="charge_attempts",
        postgresql_where=sa.text("bank_file_id IS NOT NULL"),
    )
    op.drop_table("charge_attempts")
    op.drop_table("subscription_lines")
    op.drop_index("ix_subscription_history_subscription", table_name="subscription_history")
    op.drop_index(
        "ix_subscription_history_revenue",
        table_name="subscription_history",
        postgresql_where=sa.text("annual_before <> annual_after"),
    )
    op.drop_table("subscription_history")
    op.drop_index("ix_preference_values_schema", table_name="preference_values")
    op.drop_table("preference_values")
    op.drop_index("ix_preference_changes_subscription", table_name="preference_changes")
    op.drop_table("preference_changes")
    op.drop_index("ix_charges_status", table_name="charges")
    op.drop_index(
        "ix_charges_next_attempt", table_name="charges", postgresql_where=sa.text("next_attempt_at IS NOT NULL")
    )
    op.drop_index("ix_charges_lease", table_name="charges", postgresql_where=sa.text("lease_until IS NOT NULL"))
    op.drop_index("ix_charges_due", table_name="charges")
    op.drop_index("ix_charges_client", table_name="charges")
    op.drop_index("ix_charges_attention", table_name="charges", postgresql_where=sa.text("attention IS NOT NULL"))
    op.drop_table("charges")
    op.drop_index("ix_subscriptions_status", table_name="subscriptions")
    op.drop_index(
        "ix_subscriptions_resume", table_name="subscriptions", postgresql_where=sa.text("resume_on IS NOT NULL")
    )
    op.drop_index(
        "ix_subscriptions_end",
        table_name="subscriptions",
        postgresql_where=sa.text("ends_on IS NOT NULL AND status = 'active'"),
    )
    op.drop_index(
        "ix_subscriptions_due", table_name="subscriptions", postgresql_where=sa.text("next_charge_at IS NOT NULL")
    )
    op.drop_index("ix_subscriptions_contract", table_name="subscriptions")
    op.drop_index("ix_subscriptions_client", table_name="subscriptions")
    op.drop_index(
        "ix_subscriptions_cancel", table_name="subscriptions", postgresql_where=sa.text("cancels_on IS NOT NULL")
    )
    op.drop_table("subscriptions")
    op.drop_index("ix_saved_payment_methods_client", table_name="saved_payment_methods")
    op.drop_table("saved_payment_methods")
    op.drop_index("ix_webhook_events_received", table_name="webhook_events")
    op.drop_index("ix_webhook_events_open", table_name="webhook_events", postgresql_where=sa.text("handled_at IS NULL"))
    op.drop_table("webhook_events")
    op.drop_index("ix_bank_files_date", table_name="bank_files")
    op.drop_table("bank_files")
    op.drop_index("ix_provider_accounts_provider", table_name="provider_accounts")
    op.drop_table("provider_accounts")
    op.drop_index(
        "ix_outbox_deliveries_open", table_name="outbox_deliveries", postgresql_where=sa.text("delivered_at IS NULL")
    )
    op.drop_table("outbox_deliveries")
    op.drop_table("invoice_counters")
    op.drop_table("cut_offs")
    op.drop_index("uq_charge_runs_running", table_name="charge_runs", postgresql_where=sa.text("status = 'running'"))
    op.drop_index("ix_charge_runs_started", table_name="charge_runs")
    op.drop_index("ix_charge_runs_lease", table_name="charge_runs", postgresql_where=sa.text("status = 'running'"))
    op.drop_table("charge_runs")
    op.drop_table("preference_schemas")
    op.drop_index("ix_outbox_events_subject", table_name="outbox_events")
    op.drop_index("ix_outbox_events_occurred", table_name="outbox_events")
    op.drop_table("outbox_events")
    op.execute("DROP FUNCTION refuse_change")
