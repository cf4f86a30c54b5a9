"""WooCommerce: shops, events, the latest word on each resource, mappings and pulls.

Revision: 0036, after 0035

New tables, and a key that no row of the ledger has yet: nobody waits for long.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _create_shops()
    _create_events()
    _create_pulls()
    _create_resources()
    _create_mappings()
    op.execute(
        "ALTER TABLE payments ADD CONSTRAINT fk_payments_organisation_id_shop_id FOREIGN KEY (organisation_id, shop_id)"
        " REFERENCES woocommerce_shops (organisation_id, id) ON DELETE RESTRICT NOT VALID"
    )
    op.execute("ALTER TABLE payments VALIDATE CONSTRAINT fk_payments_organisation_id_shop_id")


def _create_shops() -> None:
    op.create_table(
        "woocommerce_shops",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("company_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("url", sa.String(500), nullable=False),
        sa.Column("source", sa.String(500), nullable=False),
        sa.Column("timezone", sa.String(64), server_default="Europe/Paris", nullable=False),
        sa.Column("collected_by", sa.String(32), server_default="shop", nullable=False),
        sa.Column("ships_from", INSTANT, nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("secrets", sa.LargeBinary()),
        sa.Column("secrets_changed_at", INSTANT),
        sa.Column("attribute_codes", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("topics", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("abilities", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("cursors", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("credentials", sa.LargeBinary()),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id", "company_id"],
            ["companies.organisation_id", "companies.id"],
            name=op.f("fk_woocommerce_shops_organisation_id_company_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_woocommerce_shops_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_woocommerce_shops")),
        sa.UniqueConstraint("organisation_id", "source", name=op.f("uq_woocommerce_shops_organisation_id_source")),
    )
    op.create_index("ix_woocommerce_shops_id", "woocommerce_shops", ["id"])
    op.create_index("ix_woocommerce_shops_source", "woocommerce_shops", ["source"])


def _create_events() -> None:
    op.create_table(
        "woocommerce_events",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("shop_id", sa.Uuid(), nullable=False),
        sa.Column("topic", sa.String(100), nullable=False),
        sa.Column("kind", sa.String(32)),
        sa.Column("woo_id", sa.BigInteger()),
        sa.Column("webhook_id", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("delivery_id", sa.String(64), server_default="", nullable=False),
        sa.Column("body_hash", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.LargeBinary()),
        sa.Column("received_at", INSTANT, nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("waits_for", sa.String(64)),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_attempt_at", INSTANT),
        sa.Column("lease_until", INSTANT),
        sa.Column("fence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("handled_at", INSTANT),
        sa.CheckConstraint(
            "(state = 'processing') = (lease_until IS NOT NULL)",
            name=op.f("ck_woocommerce_events_leased_while_processing"),
        ),
        sa.CheckConstraint(
            "reason IS NOT NULL OR state IN ('received', 'processing', 'done')",
            name=op.f("ck_woocommerce_events_says_why"),
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "shop_id"],
            ["woocommerce_shops.organisation_id", "woocommerce_shops.id"],
            name=op.f("fk_woocommerce_events_organisation_id_shop_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_woocommerce_events_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_woocommerce_events")),
        sa.UniqueConstraint(
            "organisation_id",
            "shop_id",
            "webhook_id",
            "topic",
            "delivery_id",
            "body_hash",
            name="uq_woocommerce_events_delivery",
        ),
    )
    op.create_index(
        "ix_woocommerce_events_due",
        "woocommerce_events",
        ["organisation_id", "next_attempt_at", "id"],
        postgresql_where=sa.text("next_attempt_at IS NOT NULL AND state IN ('received', 'waiting')"),
    )
    op.create_index(
        "ix_woocommerce_events_leased",
        "woocommerce_events",
        ["lease_until"],
        postgresql_where=sa.text("state = 'processing'"),
    )
    op.create_index(
        "ix_woocommerce_events_open",
        "woocommerce_events",
        ["organisation_id", "shop_id", "kind", "woo_id"],
        postgresql_where=sa.text("state IN ('received', 'processing', 'waiting', 'failed')"),
    )
    op.create_index(
        "ix_woocommerce_events_prunable",
        "woocommerce_events",
        ["handled_at"],
        postgresql_where=sa.text("handled_at IS NOT NULL AND body IS NOT NULL"),
    )
    op.create_index("ix_woocommerce_events_received", "woocommerce_events", ["organisation_id", "received_at", "id"])
    op.create_index(
        "ix_woocommerce_events_topic", "woocommerce_events", ["organisation_id", "shop_id", "topic", "received_at"]
    )
    op.create_index(
        "ix_woocommerce_events_waiting",
        "woocommerce_events",
        ["organisation_id", "shop_id", "waits_for"],
        postgresql_where=sa.text("waits_for IS NOT NULL"),
    )


def _create_pulls() -> None:
    op.create_table(
        "woocommerce_pulls",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("shop_id", sa.Uuid(), nullable=False),
        sa.Column("scope", sa.String(32), nullable=False),
        sa.Column("trigger", sa.String(32), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("phase", sa.String(32), server_default="", nullable=False),
        sa.Column("since", INSTANT),
        sa.Column("cursor", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("done", sa.Integer(), server_default="0", nullable=False),
        sa.Column("total", sa.Integer(), server_default="0", nullable=False),
        sa.Column("applied", sa.Integer(), server_default="0", nullable=False),
        sa.Column("unchanged", sa.Integer(), server_default="0", nullable=False),
        sa.Column("waiting", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("missing", sa.Integer(), server_default="0", nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("finished_at", INSTANT),
        sa.Column("lease_until", INSTANT),
        sa.Column("fence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("requested_by_id", sa.Uuid()),
        sa.ForeignKeyConstraint(
            ["organisation_id", "requested_by_id"],
            ["users.organisation_id", "users.id"],
            name=op.f("fk_woocommerce_pulls_organisation_id_requested_by_id"),
            ondelete="SET NULL (requested_by_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "shop_id"],
            ["woocommerce_shops.organisation_id", "woocommerce_shops.id"],
            name=op.f("fk_woocommerce_pulls_organisation_id_shop_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_woocommerce_pulls_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_woocommerce_pulls")),
    )
    op.create_index(
        "ix_woocommerce_pulls_lease",
        "woocommerce_pulls",
        ["lease_until"],
        postgresql_where=sa.text("status = 'running'"),
    )
    op.create_index(
        "ix_woocommerce_pulls_started", "woocommerce_pulls", ["organisation_id", "shop_id", "started_at", "id"]
    )
    op.create_index(
        "uq_woocommerce_pulls_running",
        "woocommerce_pulls",
        ["organisation_id", "shop_id"],
        unique=True,
        postgresql_where=sa.text("status = 'running'"),
    )


def _create_resources() -> None:
    op.create_table(
        "woocommerce_resources",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("shop_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("woo_id", sa.BigInteger(), nullable=False),
        sa.Column("modified_at", INSTANT),
        sa.Column("rank", sa.Integer()),
        sa.Column("hash", sa.LargeBinary()),
        sa.Column("body", sa.LargeBinary()),
        sa.Column("status", sa.String(64), server_default="", nullable=False),
        sa.Column("customer_id", sa.BigInteger()),
        sa.Column("parent_id", sa.BigInteger()),
        sa.Column("related_ids", postgresql.ARRAY(sa.BigInteger()), server_default="{}", nullable=False),
        sa.Column("number", sa.String(64)),
        sa.Column("placed_at", INSTANT),
        sa.Column("paid_at", INSTANT),
        sa.Column("total", sa.Numeric(14, 2)),
        sa.Column("currency", sa.String(3)),
        sa.Column("kept_at", INSTANT, nullable=False),
        sa.Column("seen_at", INSTANT),
        sa.Column("missing_since", INSTANT),
        sa.Column("trashed_since", INSTANT),
        sa.Column("erased_at", INSTANT),
        sa.Column("client_id", sa.Uuid()),
        sa.Column("review", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.Column("email", sa.LargeBinary()),
        sa.Column("email_index", sa.LargeBinary()),
        sa.CheckConstraint(
            "hash IS NOT NULL OR missing_since IS NOT NULL", name=op.f("ck_woocommerce_resources_heard_of")
        ),
        sa.CheckConstraint(
            "num_nulls(modified_at, rank, hash) IN (0, 3) AND (hash IS NULL OR body IS NOT NULL)",
            name=op.f("ck_woocommerce_resources_word_is_whole"),
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "client_id"],
            ["clients.organisation_id", "clients.id"],
            name=op.f("fk_woocommerce_resources_organisation_id_client_id"),
            ondelete="SET NULL (client_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "shop_id"],
            ["woocommerce_shops.organisation_id", "woocommerce_shops.id"],
            name=op.f("fk_woocommerce_resources_organisation_id_shop_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_woocommerce_resources_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_woocommerce_resources")),
        sa.UniqueConstraint("organisation_id", "shop_id", "kind", "woo_id", name="uq_woocommerce_resources_woo_id"),
    )
    op.create_index(
        "ix_woocommerce_resources_client",
        "woocommerce_resources",
        ["organisation_id", "client_id", "kind", "placed_at"],
    )
    op.create_index(
        "ix_woocommerce_resources_customer",
        "woocommerce_resources",
        ["organisation_id", "shop_id", "customer_id"],
        postgresql_where=sa.text("customer_id IS NOT NULL"),
    )
    op.create_index(
        "ix_woocommerce_resources_email",
        "woocommerce_resources",
        ["organisation_id", "shop_id", "email_index"],
        postgresql_where=sa.text("email_index IS NOT NULL"),
    )
    op.create_index(
        "ix_woocommerce_resources_parent",
        "woocommerce_resources",
        ["organisation_id", "shop_id", "parent_id"],
        postgresql_where=sa.text("parent_id IS NOT NULL"),
    )
    op.create_index(
        "ix_woocommerce_resources_related",
        "woocommerce_resources",
        ["related_ids"],
        postgresql_using="gin",
        postgresql_where=sa.text("related_ids <> '{}'"),
    )
    op.create_index(
        "ix_woocommerce_resources_review",
        "woocommerce_resources",
        ["organisation_id", "shop_id", "id"],
        postgresql_where=sa.text("review <> '[]'"),
    )


def _create_mappings() -> None:
    op.create_table(
        "woocommerce_mappings",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("shop_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("woo_id", sa.BigInteger()),
        sa.Column("part", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("client_id", sa.Uuid()),
        sa.Column("subscription_id", sa.Uuid()),
        sa.Column("charge_id", sa.Uuid()),
        sa.Column("payment_id", sa.Uuid()),
        sa.Column("snapshot", sa.LargeBinary()),
        sa.Column("last_synced_at", INSTANT, nullable=False),
        sa.Column("email", sa.LargeBinary()),
        sa.Column("email_index", sa.LargeBinary()),
        sa.CheckConstraint(
            "num_nonnulls(client_id, subscription_id, charge_id, payment_id) = 1 AND CASE kind"
            " WHEN 'client' THEN client_id WHEN 'subscription' THEN subscription_id"
            " WHEN 'order' THEN charge_id ELSE payment_id END IS NOT NULL",
            name=op.f("ck_woocommerce_mappings_leads_to_one"),
        ),
        sa.CheckConstraint(
            "num_nonnulls(woo_id, email_index) = 1 AND (email_index IS NULL OR kind = 'client')",
            name=op.f("ck_woocommerce_mappings_leads_from_one"),
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "charge_id"],
            ["charges.organisation_id", "charges.id"],
            name=op.f("fk_woocommerce_mappings_organisation_id_charge_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "client_id"],
            ["clients.organisation_id", "clients.id"],
            name=op.f("fk_woocommerce_mappings_organisation_id_client_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "payment_id"],
            ["payments.organisation_id", "payments.id"],
            name=op.f("fk_woocommerce_mappings_organisation_id_payment_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "shop_id"],
            ["woocommerce_shops.organisation_id", "woocommerce_shops.id"],
            name=op.f("fk_woocommerce_mappings_organisation_id_shop_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "subscription_id"],
            ["subscriptions.organisation_id", "subscriptions.id"],
            name=op.f("fk_woocommerce_mappings_organisation_id_subscription_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_woocommerce_mappings_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_woocommerce_mappings")),
    )
    op.create_index(
        "ix_woocommerce_mappings_client",
        "woocommerce_mappings",
        ["organisation_id", "client_id"],
        postgresql_where=sa.text("client_id IS NOT NULL"),
    )
    op.create_index(
        "uq_woocommerce_mappings_charge",
        "woocommerce_mappings",
        ["organisation_id", "charge_id"],
        unique=True,
        postgresql_where=sa.text("charge_id IS NOT NULL"),
    )
    op.create_index(
        "uq_woocommerce_mappings_email",
        "woocommerce_mappings",
        ["organisation_id", "shop_id", "email_index"],
        unique=True,
        postgresql_where=sa.text("email_index IS NOT NULL"),
    )
    op.create_index(
        "uq_woocommerce_mappings_payment",
        "woocommerce_mappings",
        ["organisation_id", "payment_id"],
        unique=True,
        postgresql_where=sa.text("payment_id IS NOT NULL"),
    )
    op.create_index(
        "uq_woocommerce_mappings_subscription",
        "woocommerce_mappings",
        ["organisation_id", "subscription_id"],
        unique=True,
        postgresql_where=sa.text("subscription_id IS NOT NULL"),
    )
    op.create_index(
        "uq_woocommerce_mappings_woo_id",
        "woocommerce_mappings",
        ["organisation_id", "shop_id", "kind", "woo_id", "part"],
        unique=True,
        postgresql_where=sa.text("woo_id IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_constraint("fk_payments_organisation_id_shop_id", "payments", type_="foreignkey")
    for table in ("mappings", "resources", "pulls", "events", "shops"):
        op.drop_table(f"woocommerce_{table}")
