"""Subscriptions and charges that a shop collects, and its payments in the ledger.

Revision: 0035, after 0034

New columns without a value, or with a constant one: no row is rewritten. Checks are added without looking at rows that
are there, and validated afterwards. ``payments.shop_id`` gets its foreign key with the table of shops.
"""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

SHOP_INDEX = sa.text("collected_by = 'shop'")
CHECKS = {
    ("subscriptions", "shop_collects_by_itself"): (
        "collected_by = 'crm' OR (num_nonnulls(next_charge_at, provider_account_id, saved_method_id, mandate_id,"
        " coupon_id, skips_cycle, resume_on) = 0 AND NOT means_inherited)"
    ),
    ("subscriptions", "shop_fields"): (
        "(collected_by = 'shop' AND num_nulls(shop_period, shop_interval) = 0)"
        " OR (collected_by = 'crm' AND num_nonnulls(shop_period, shop_interval, expected_at) = 0)"
    ),
    ("subscriptions", "shop_interval"): "shop_interval > 0",
    ("subscriptions", "other_rhythms_are_of_shops"): "frequency <> 'other' OR collected_by = 'shop'",
    ("charges", "shop_collects_by_itself"): (
        "collected_by = 'crm' OR (num_nonnulls(provider_account_id, next_attempt_at, first_refused_at, lease_until) = 0"
        " AND attempts_count = 0 AND waived = 0"
        " AND status IN ('scheduled', 'processing', 'failed', 'canceled', 'succeeded'))"
    ),
    ("payments", "of_a_shop"): "(shop_id IS NULL) = (provider IS DISTINCT FROM 'woocommerce')",
    ("payments", "shops_attempt_nothing"): "shop_id IS NULL OR attempt_id IS NULL",
}


def upgrade() -> None:
    for table in ("subscriptions", "charges"):
        op.add_column(table, sa.Column("collected_by", sa.String(32), nullable=False, server_default="crm"))
    op.add_column("subscriptions", sa.Column("expected_at", sa.DateTime(timezone=True)))
    op.add_column("subscriptions", sa.Column("shop_period", sa.String(32)))
    op.add_column("subscriptions", sa.Column("shop_interval", sa.Integer()))
    op.add_column("payments", sa.Column("shop_id", sa.Uuid()))
    # Of a rhythm that is none of the six, nobody says what a year brings.
    op.alter_column("subscriptions", "annual_amount", nullable=True)
    for (table, name), condition in CHECKS.items():
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT ck_{table}_{name} CHECK ({condition}) NOT VALID")
        op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT ck_{table}_{name}")
    op.create_index("ix_charges_shop", "charges", ["organisation_id", "due_on", "id"], postgresql_where=SHOP_INDEX)
    op.create_index(
        "uq_payments_shop",
        "payments",
        ["organisation_id", "shop_id", "kind", "external_id"],
        unique=True,
        postgresql_where=sa.text("shop_id IS NOT NULL"),
    )


def downgrade() -> None:
    """Refused where a shop sells in another rhythm: nobody says what a year of it brings."""
    op.drop_index("uq_payments_shop", "payments")
    op.drop_index("ix_charges_shop", "charges")
    for table, name in CHECKS:
        op.drop_constraint(op.f(f"ck_{table}_{name}"), table, type_="check")
    op.alter_column("subscriptions", "annual_amount", nullable=False)
    op.drop_column("payments", "shop_id")
    for name in ("shop_interval", "shop_period", "expected_at"):
        op.drop_column("subscriptions", name)
    for table in ("charges", "subscriptions"):
        op.drop_column(table, "collected_by")
