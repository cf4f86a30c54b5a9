"""Fulfilment: batches, their lines and totals; shipments, parcels and what carriers say of them.

Revision: 0032, after 0031

New tables only: nobody has to stop. Triggers hold that no batch goes back, and that what a lock has frozen stays.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
FROZEN = (
    "organisation_id",
    "id",
    "batch_id",
    "charge_id",
    "position",
    "subscription_id",
    "cycle_no",
    "client_id",
    "product_id",
    "label",
    "quantity",
    "consignment_no",
    "address_snapshot",
    "preference_snapshot",
    "gift_message",
    "snapshot_at",
)
"""Of a line, what its lock has frozen. The rest tells what becomes of it."""
REFUSE = """
CREATE FUNCTION refuse_batch_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% of % is refused: batches go forward, and locked lines are frozen', TG_OP, TG_TABLE_NAME;
END $$
"""


def _key(table: str, column: str, referred: str, ondelete: str) -> sa.ForeignKeyConstraint:
    """A foreign key within the organisation."""
    return sa.ForeignKeyConstraint(
        ["organisation_id", column],
        [f"{referred}.organisation_id", f"{referred}.id"],
        name=op.f(f"fk_{table}_organisation_id_{column}"),
        ondelete=f"SET NULL ({column})" if ondelete == "SET NULL" else ondelete,
    )


def _organisation(table: str, *key: str) -> list[sa.schema.SchemaItem]:
    return [
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f(f"fk_{table}_organisation_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("organisation_id", *key, name=op.f(f"pk_{table}")),
    ]


def upgrade() -> None:
    _create_batches()
    _create_batch_totals()
    _create_shipments()
    _create_parcels()
    _create_tracking_events()
    _create_batch_lines()
    _create_triggers()


def _create_batches() -> None:
    op.create_table(
        "fulfilment_batches",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("company_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("cutoff_at", INSTANT),
        sa.Column("locked_at", INSTANT),
        sa.Column("locked_by_id", sa.Uuid()),
        sa.Column("dispatched_at", INSTANT),
        sa.Column("dispatched_by_id", sa.Uuid()),
        sa.Column("completed_at", INSTANT),
        sa.Column("completed_by_id", sa.Uuid()),
        sa.Column("work", sa.String(32)),
        sa.Column("work_at", INSTANT),
        sa.Column("work_by_id", sa.Uuid()),
        sa.Column("work_done", sa.Integer(), server_default="0", nullable=False),
        sa.Column("work_total", sa.Integer(), server_default="0", nullable=False),
        sa.Column("work_error", sa.Text()),
        sa.Column("lease_until", INSTANT),
        sa.Column("fence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "(locked_at IS NULL) = (status = 'open')", name=op.f("ck_fulfilment_batches_locked_unless_open")
        ),
        sa.CheckConstraint("(work IS NULL) = (work_at IS NULL)", name=op.f("ck_fulfilment_batches_work_since_when")),
        sa.CheckConstraint("number > 0", name=op.f("ck_fulfilment_batches_number_from_one")),
        _key("fulfilment_batches", "company_id", "companies", "RESTRICT"),
        _key("fulfilment_batches", "completed_by_id", "users", "SET NULL"),
        _key("fulfilment_batches", "dispatched_by_id", "users", "SET NULL"),
        _key("fulfilment_batches", "locked_by_id", "users", "SET NULL"),
        _key("fulfilment_batches", "work_by_id", "users", "SET NULL"),
        *_organisation("fulfilment_batches", "id"),
        sa.UniqueConstraint(
            "organisation_id",
            "company_id",
            "number",
            name=op.f("uq_fulfilment_batches_organisation_id_company_id_number"),
        ),
    )
    op.create_index(
        "ix_fulfilment_batches_due", "fulfilment_batches", ["cutoff_at"], postgresql_where=sa.text("status = 'open'")
    )
    op.create_index("ix_fulfilment_batches_locked", "fulfilment_batches", ["organisation_id", "locked_at", "id"])
    op.create_index(
        "ix_fulfilment_batches_work", "fulfilment_batches", ["work_at"], postgresql_where=sa.text("work IS NOT NULL")
    )
    op.create_index(
        "uq_fulfilment_batches_open",
        "fulfilment_batches",
        ["organisation_id", "company_id"],
        unique=True,
        postgresql_where=sa.text("status = 'open'"),
    )


def _create_batch_totals() -> None:
    op.create_table(
        "batch_totals",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("key", sa.String(32), nullable=False),
        sa.Column("content", postgresql.JSONB(), nullable=False),
        sa.Column("quantity", sa.Numeric(precision=14, scale=3), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.CheckConstraint("count > 0", name=op.f("ck_batch_totals_counts_something")),
        _key("batch_totals", "batch_id", "fulfilment_batches", "CASCADE"),
        *_organisation("batch_totals", "batch_id", "kind", "key"),
    )


def _create_shipments() -> None:
    op.create_table(
        "shipments",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("consignment_no", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Uuid()),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("address", postgresql.JSONB(), nullable=False),
        sa.Column("handed_over_at", INSTANT),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("number", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        _key("shipments", "batch_id", "fulfilment_batches", "RESTRICT"),
        _key("shipments", "client_id", "clients", "RESTRICT"),
        *_organisation("shipments", "id"),
        sa.UniqueConstraint("organisation_id", "number", name=op.f("uq_shipments_organisation_id_number")),
    )
    op.create_index("ix_shipments_client", "shipments", ["organisation_id", "client_id", "id"])
    op.create_index("ix_shipments_status", "shipments", ["organisation_id", "status", "id"])
    op.create_index(
        "uq_shipments_consignment",
        "shipments",
        ["organisation_id", "batch_id", "consignment_no"],
        unique=True,
        postgresql_where=sa.text("status <> 'canceled'"),
    )


def _create_parcels() -> None:
    op.create_table(
        "parcels",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("shipment_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), server_default="1", nullable=False),
        sa.Column("weight_g", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("fence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lease_until", INSTANT),
        sa.Column("next_attempt_at", INSTANT),
        sa.Column("sends", sa.Integer(), server_default="0", nullable=False),
        sa.Column("tracking_number", sa.String(64)),
        sa.Column("label_file", sa.LargeBinary()),
        sa.Column("error", sa.Text()),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint("weight_g BETWEEN 1 AND 30000", name=op.f("ck_parcels_weight_within_30_kg")),
        _key("parcels", "shipment_id", "shipments", "RESTRICT"),
        *_organisation("parcels", "id"),
        sa.UniqueConstraint("organisation_id", "key", name=op.f("uq_parcels_organisation_id_key")),
        sa.UniqueConstraint(
            "organisation_id", "shipment_id", "number", name=op.f("uq_parcels_organisation_id_shipment_id_number")
        ),
    )
    op.create_index(
        "ix_parcels_next_attempt",
        "parcels",
        ["next_attempt_at"],
        postgresql_where=sa.text("next_attempt_at IS NOT NULL"),
    )
    op.create_index(
        "ix_parcels_tracking",
        "parcels",
        ["organisation_id", "tracking_number"],
        postgresql_where=sa.text("tracking_number IS NOT NULL"),
    )


def _create_tracking_events() -> None:
    op.create_table(
        "tracking_events",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("parcel_id", sa.Uuid(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("code", sa.String(40), nullable=False),
        sa.Column("words", sa.String(300), server_default="", nullable=False),
        sa.Column("status", sa.String(32)),
        sa.Column("heard_at", INSTANT, nullable=False),
        _key("tracking_events", "parcel_id", "parcels", "CASCADE"),
        *_organisation("tracking_events", "id"),
        sa.UniqueConstraint(
            "organisation_id",
            "parcel_id",
            "at",
            "code",
            name=op.f("uq_tracking_events_organisation_id_parcel_id_at_code"),
        ),
    )


def _create_batch_lines() -> None:
    op.create_table(
        "fulfilment_batch_lines",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column("charge_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("subscription_id", sa.Uuid(), nullable=False),
        sa.Column("cycle_no", sa.Integer(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("product_id", sa.Uuid()),
        sa.Column("label", sa.String(200), nullable=False),
        sa.Column("quantity", sa.Numeric(precision=12, scale=3), server_default="1", nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("charged_at", INSTANT, nullable=False),
        sa.Column("is_late", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("held_reason", sa.String(300)),
        sa.Column("reason", sa.String(300)),
        sa.Column("decided_at", INSTANT),
        sa.Column("decided_by_id", sa.Uuid()),
        sa.Column("flag", sa.String(32)),
        sa.Column("ships_anyway_at", INSTANT),
        sa.Column("consignment_no", sa.Integer()),
        sa.Column("address_snapshot", postgresql.JSONB()),
        sa.Column("preference_snapshot", postgresql.JSONB()),
        sa.Column("gift_message", sa.String(300)),
        sa.Column("pick_key", sa.String(32)),
        sa.Column("box_key", sa.String(32)),
        sa.Column("snapshot_at", INSTANT),
        sa.Column("shipment_id", sa.Uuid()),
        sa.Column("prepared_at", INSTANT),
        sa.Column("prepared_by_id", sa.Uuid()),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "held_reason IS NULL OR status IN ('pending', 'withdrawn')",
            name=op.f("ck_fulfilment_batch_lines_only_pending_ones_are_held"),
        ),
        sa.CheckConstraint(
            "snapshot_at IS NOT NULL OR status NOT IN ('to_prepare', 'prepared', 'shipped')",
            name=op.f("ck_fulfilment_batch_lines_what_leaves_is_frozen"),
        ),
        sa.CheckConstraint("position >= 0", name=op.f("ck_fulfilment_batch_lines_position_from_zero")),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_fulfilment_batch_lines_quantity_is_positive")),
        sa.CheckConstraint(
            "snapshot_at IS NULL OR num_nulls(consignment_no, address_snapshot, preference_snapshot) = 0",
            name=op.f("ck_fulfilment_batch_lines_frozen_whole"),
        ),
        _key("fulfilment_batch_lines", "batch_id", "fulfilment_batches", "RESTRICT"),
        _key("fulfilment_batch_lines", "charge_id", "charges", "RESTRICT"),
        _key("fulfilment_batch_lines", "client_id", "clients", "RESTRICT"),
        _key("fulfilment_batch_lines", "decided_by_id", "users", "SET NULL"),
        _key("fulfilment_batch_lines", "prepared_by_id", "users", "SET NULL"),
        _key("fulfilment_batch_lines", "product_id", "products", "SET NULL"),
        _key("fulfilment_batch_lines", "shipment_id", "shipments", "SET NULL"),
        _key("fulfilment_batch_lines", "subscription_id", "subscriptions", "RESTRICT"),
        *_organisation("fulfilment_batch_lines", "id"),
    )
    op.create_index("ix_fulfilment_batch_lines_charge", "fulfilment_batch_lines", ["organisation_id", "charge_id"])
    op.create_index(
        "ix_fulfilment_batch_lines_consignment",
        "fulfilment_batch_lines",
        ["organisation_id", "batch_id", "consignment_no", "id"],
    )
    op.create_index(
        "ix_fulfilment_batch_lines_attention",
        "fulfilment_batch_lines",
        ["organisation_id", "batch_id", "id"],
        postgresql_where=sa.text("status = 'set_aside' OR flag IS NOT NULL"),
    )
    op.create_index(
        "ix_fulfilment_batch_lines_late",
        "fulfilment_batch_lines",
        ["organisation_id", "batch_id"],
        postgresql_where=sa.text("is_late"),
    )
    op.create_index(
        "ix_fulfilment_batch_lines_shipment",
        "fulfilment_batch_lines",
        ["organisation_id", "shipment_id"],
        postgresql_where=sa.text("shipment_id IS NOT NULL"),
    )
    op.create_index(
        "ix_fulfilment_batch_lines_subscription",
        "fulfilment_batch_lines",
        ["organisation_id", "subscription_id", "cycle_no"],
    )
    op.create_index(
        "uq_fulfilment_batch_lines_live",
        "fulfilment_batch_lines",
        ["organisation_id", "charge_id", "position"],
        unique=True,
        postgresql_where=sa.text("status NOT IN ('withdrawn', 'carried_over')"),
    )


def _create_triggers() -> None:
    op.execute(REFUSE)
    op.execute(
        "CREATE TRIGGER fulfilment_batches_forward BEFORE UPDATE OF status ON fulfilment_batches"
        " FOR EACH ROW WHEN (OLD.status <> NEW.status AND (OLD.status, NEW.status) NOT IN"
        " (('open', 'locked'), ('locked', 'dispatched'), ('dispatched', 'completed')))"
        " EXECUTE FUNCTION refuse_batch_change()"
    )
    op.execute(
        "CREATE TRIGGER fulfilment_batches_kept BEFORE DELETE ON fulfilment_batches"
        " FOR EACH ROW WHEN (OLD.status <> 'open') EXECUTE FUNCTION refuse_batch_change()"
    )
    before, after = (", ".join(f"{row}.{column}" for column in FROZEN) for row in ("OLD", "NEW"))
    op.execute(
        "CREATE TRIGGER fulfilment_batch_lines_frozen BEFORE UPDATE ON fulfilment_batch_lines FOR EACH ROW"
        f" WHEN (OLD.snapshot_at IS NOT NULL AND ({before}) IS DISTINCT FROM ({after}) AND pg_trigger_depth() = 0)"
        " EXECUTE FUNCTION refuse_batch_change()"
    )
    op.execute(
        "CREATE TRIGGER fulfilment_batch_lines_kept BEFORE DELETE ON fulfilment_batch_lines"
        " FOR EACH ROW WHEN (OLD.snapshot_at IS NOT NULL) EXECUTE FUNCTION refuse_batch_change()"
    )


def downgrade() -> None:
    for table in (
        "fulfilment_batch_lines",
        "tracking_events",
        "parcels",
        "shipments",
        "batch_totals",
        "fulfilment_batches",
    ):
        op.drop_table(table)
    op.execute("DROP FUNCTION refuse_batch_change")
