"""Changing what is sold: changes at once and planned ones, supplements, coupons, trials, set-up fees.

Revision: 0023, after 0021

New columns without a value, or with a constant one: no row is rewritten. A charge without a cycle is a supplement.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def _key(column: str, table: str, *, ondelete: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["organisation_id", column], [f"{table}.organisation_id", f"{table}.id"], ondelete=ondelete
    )


def upgrade() -> None:
    _create_coupons()
    _extend_subscriptions()
    op.alter_column("charges", "cycle_no", nullable=True)
    op.add_column("refunds", sa.Column("vat", JSONB()))
    _create_planned_changes()
    _create_adjustments()


def _create_coupons() -> None:
    op.create_table(
        "coupons",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.String(30), nullable=False),
        sa.Column("label", sa.String(100), nullable=False),
        sa.Column("percent", sa.Numeric(5, 2)),
        sa.Column("amount", sa.Numeric(14, 2)),
        sa.Column("cycles", sa.Integer()),
        sa.Column("valid_from", sa.Date()),
        sa.Column("valid_until", sa.Date()),
        sa.Column("max_uses", sa.Integer()),
        sa.Column("uses", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("is_active", sa.Boolean(), nullable=False, server_default=sa.text("true")),
        sa.Column("created_by_id", sa.Uuid()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("organisation_id", "id"),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], ondelete="RESTRICT"),
        _key("created_by_id", "users", ondelete="SET NULL (created_by_id)"),
        sa.UniqueConstraint("organisation_id", "code"),
        sa.CheckConstraint("(percent IS NULL) <> (amount IS NULL)", name="percent_or_amount"),
        sa.CheckConstraint("percent > 0 AND percent <= 100", name="percent"),
        sa.CheckConstraint("amount > 0", name="amount_is_positive"),
        sa.CheckConstraint("cycles > 0", name="cycles"),
        sa.CheckConstraint("uses >= 0 AND uses <= max_uses", name="uses"),
    )


def _extend_subscriptions() -> None:
    for name in ("anchor_cycle", "trial_days", "trial_cycles_left"):
        op.add_column("subscriptions", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    op.add_column("subscriptions", sa.Column("setup_fee", sa.Numeric(14, 2)))
    op.add_column("subscriptions", sa.Column("setup_vat_rate", sa.Numeric(4, 2)))
    op.add_column("subscriptions", sa.Column("coupon_id", sa.Uuid()))
    op.add_column("subscriptions", sa.Column("coupon_cycles_left", sa.Integer()))
    # Not looked at for rows that are there: none of them has a coupon.
    op.execute(
        "ALTER TABLE subscriptions ADD CONSTRAINT fk_subscriptions_organisation_id_coupons"
        " FOREIGN KEY (organisation_id, coupon_id) REFERENCES coupons (organisation_id, id)"
        " ON DELETE RESTRICT NOT VALID"
    )
    op.execute("ALTER TABLE subscriptions VALIDATE CONSTRAINT fk_subscriptions_organisation_id_coupons")


def _create_planned_changes() -> None:
    op.create_table(
        "planned_changes",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("subscription_id", sa.Uuid(), nullable=False),
        sa.Column("lines", JSONB()),
        sa.Column("frequency", sa.String(32)),
        sa.Column("anchor_date", sa.Date()),
        sa.Column("planned_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("user_id", sa.Uuid()),
        sa.PrimaryKeyConstraint("organisation_id", "subscription_id"),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], ondelete="RESTRICT"),
        _key("subscription_id", "subscriptions", ondelete="CASCADE"),
        _key("user_id", "users", ondelete="SET NULL (user_id)"),
    )


def _create_adjustments() -> None:
    op.create_table(
        "subscription_adjustments",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subscription_id", sa.Uuid(), nullable=False),
        sa.Column("base_charge_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("user_id", sa.Uuid()),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=False),
        sa.Column("lines", JSONB(), nullable=False),
        sa.Column("vat", JSONB(), nullable=False),
        sa.Column("amount", sa.Numeric(14, 2), nullable=False),
        sa.Column("price", JSONB(), nullable=False),
        sa.Column("settlement", sa.String(32), nullable=False),
        sa.Column("left_over", JSONB(), nullable=False, server_default="[]"),
        sa.Column("charge_id", sa.Uuid()),
        sa.Column("refund_id", sa.Uuid()),
        sa.PrimaryKeyConstraint("organisation_id", "id"),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], ondelete="RESTRICT"),
        _key("subscription_id", "subscriptions", ondelete="RESTRICT"),
        _key("base_charge_id", "charges", ondelete="RESTRICT"),
        _key("charge_id", "charges", ondelete="RESTRICT"),
        _key("user_id", "users", ondelete="SET NULL (user_id)"),
        sa.UniqueConstraint("organisation_id", "base_charge_id", "position"),
        sa.CheckConstraint("starts_on <= ends_on", name="days_in_order"),
        sa.CheckConstraint("settlement = 'next_cycle' OR left_over = '[]'", name="only_cycles_leave_something"),
    )
    table, columns = "subscription_adjustments", ["organisation_id", "subscription_id"]
    op.create_index("ix_subscription_adjustments_subscription", table, [*columns, "at"])
    op.create_index(
        "ix_subscription_adjustments_open", table, [*columns, "id"], postgresql_where=sa.text("left_over <> '[]'")
    )


def downgrade() -> None:
    op.drop_table("subscription_adjustments")
    op.drop_table("planned_changes")
    op.drop_column("refunds", "vat")
    # Supplements must be gone: what they asked for cannot be told without them.
    op.alter_column("charges", "cycle_no", nullable=False)
    op.drop_constraint("fk_subscriptions_organisation_id_coupons", "subscriptions")
    for name in ("coupon_cycles_left", "coupon_id", "setup_vat_rate", "setup_fee"):
        op.drop_column("subscriptions", name)
    for name in ("trial_cycles_left", "trial_days", "anchor_cycle"):
        op.drop_column("subscriptions", name)
    op.drop_table("coupons")
