"""Carriers: the accounts of companies with them, and how each company ships.

Revision: 0033, after 0032

New tables alone: nobody waits.
"""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "carrier_accounts",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("company_id", sa.Uuid(), nullable=False),
        sa.Column("carrier", sa.String(length=32), nullable=False),
        sa.Column("service", sa.String(length=32), server_default="", nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("credentials", sa.LargeBinary()),
        sa.Column("calls_per_second", sa.Integer(), server_default="10", nullable=False),
        sa.Column("longest_delay_seconds", sa.Integer(), server_default="300", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "calls_per_second > 0 AND longest_delay_seconds >= 0",
            name=op.f("ck_carrier_accounts_limits_make_sense"),
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "company_id"],
            ["companies.organisation_id", "companies.id"],
            name=op.f("fk_carrier_accounts_organisation_id_company_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_carrier_accounts_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_carrier_accounts")),
        sa.UniqueConstraint(
            "organisation_id",
            "company_id",
            "carrier",
            "service",
            name=op.f("uq_carrier_accounts_organisation_id_company_id_carrier_service"),
        ),
    )
    op.create_table(
        "shipping_settings",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("company_id", sa.Uuid(), nullable=False),
        sa.Column("default_account_id", sa.Uuid()),
        sa.Column("sender_name", sa.String(length=200)),
        sa.Column("sender_line1", sa.String(length=200)),
        sa.Column("sender_line2", sa.String(length=200)),
        sa.Column("sender_postcode", sa.String(length=20)),
        sa.Column("sender_city", sa.String(length=100)),
        sa.Column("sender_country", sa.String(length=2), server_default="FR", nullable=False),
        sa.Column("sender_phone", sa.String(length=20)),
        sa.Column("sender_email", sa.String(length=320)),
        sa.Column("packaging_weight_g", sa.Integer(), server_default="100", nullable=False),
        sa.Column("item_weight_g", sa.Integer(), server_default="500", nullable=False),
        sa.Column("label_format", sa.String(length=32), server_default="10x15", nullable=False),
        sa.Column("labels_kept_days", sa.Integer(), server_default="90", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "num_nulls(sender_name, sender_line1, sender_postcode, sender_city) IN (0, 4)",
            name=op.f("ck_shipping_settings_sender_is_whole"),
        ),
        sa.CheckConstraint(
            "packaging_weight_g BETWEEN 0 AND 30000 AND item_weight_g BETWEEN 1 AND 30000",
            name=op.f("ck_shipping_settings_weights_make_sense"),
        ),
        sa.CheckConstraint(
            "labels_kept_days BETWEEN 1 AND 3650", name=op.f("ck_shipping_settings_labels_kept_days_make_sense")
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "company_id"],
            ["companies.organisation_id", "companies.id"],
            name=op.f("fk_shipping_settings_organisation_id_company_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "default_account_id"],
            ["carrier_accounts.organisation_id", "carrier_accounts.id"],
            name=op.f("fk_shipping_settings_organisation_id_default_account_id"),
            ondelete="SET NULL (default_account_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_shipping_settings_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_shipping_settings")),
        sa.UniqueConstraint(
            "organisation_id", "company_id", name=op.f("uq_shipping_settings_organisation_id_company_id")
        ),
    )


def downgrade() -> None:
    op.drop_table("shipping_settings")
    op.drop_table("carrier_accounts")
