"""Shipping: who carries, how often a label was asked for, what was done with a shipment, the papers of a batch.

Revision: 0034, after 0033

The tables are new or hold nothing yet: nobody waits.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
COLUMNS: dict[str, dict[str, Any]] = {
    "carrier_accounts": {"paused_until": INSTANT, "pause_reason": sa.Text()},
    "fulfilment_batches": {"work_account_id": sa.Uuid()},
    "parcels": {"account_id": sa.Uuid(), "first_sent_at": INSTANT, "last_sent_at": INSTANT, "tracked_at": INSTANT},
}
ACCOUNTS = (
    ("fulfilment_batches", "work_account_id", "SET NULL (work_account_id)"),
    ("shipments", "account_id", "RESTRICT"),
    ("parcels", "account_id", "RESTRICT"),
)
"""Which columns name an account with a carrier, and what becomes of them when it is deleted."""


def upgrade() -> None:
    for table, columns in COLUMNS.items():
        for name, kind in columns.items():
            op.add_column(table, sa.Column(name, kind))
    op.add_column("carrier_accounts", sa.Column("pauses", sa.Integer(), server_default="0", nullable=False))
    for table, column, ondelete in ACCOUNTS:
        op.create_foreign_key(
            op.f(f"fk_{table}_organisation_id_{column}"),
            table,
            "carrier_accounts",
            ["organisation_id", column],
            ["organisation_id", "id"],
            ondelete=ondelete,
        )
    op.drop_index("ix_parcels_next_attempt", "parcels")
    op.create_index(
        "ix_parcels_due",
        "parcels",
        ["organisation_id", "account_id", "next_attempt_at", "id"],
        postgresql_where=sa.text("next_attempt_at IS NOT NULL"),
    )
    op.create_index(
        "ix_parcels_on_the_way",
        "parcels",
        ["organisation_id", "account_id", "tracked_at", "id"],
        postgresql_where=sa.text("status IN ('handed_over', 'in_transit')"),
    )
    op.drop_index("ix_shipments_status", "shipments")
    op.create_index("ix_shipments_status", "shipments", ["organisation_id", "status", "number", "id"])
    op.create_index(
        "ix_shipments_batch",
        "shipments",
        ["organisation_id", "batch_id", "consignment_no", "id"],
        postgresql_include=["status"],
    )
    _create_shipment_events()
    _create_batch_documents()


def _create_shipment_events() -> None:
    op.create_table(
        "shipment_events",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("shipment_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("user_id", sa.Uuid()),
        sa.Column("changes", postgresql.JSONB(), server_default="{}", nullable=False),
        _key("shipment_events", "shipment_id", "shipments", "CASCADE"),
        _key("shipment_events", "user_id", "users", "SET NULL (user_id)"),
        *_organisation("shipment_events"),
    )
    op.create_index("ix_shipment_events_shipment", "shipment_events", ["organisation_id", "shipment_id", "at", "id"])


def _create_batch_documents() -> None:
    op.create_table(
        "batch_documents",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("consignments", postgresql.ARRAY(sa.Integer()), nullable=False),
        sa.Column("asked_at", INSTANT, nullable=False),
        sa.Column("asked_by_id", sa.Uuid()),
        sa.Column("fence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lease_until", INSTANT),
        sa.Column("made_at", INSTANT),
        sa.Column("pages", sa.Integer(), server_default="0", nullable=False),
        sa.Column("file", sa.LargeBinary()),
        sa.Column("error", sa.Text()),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint("part > 0", name=op.f("ck_batch_documents_part_from_one")),
        _key("batch_documents", "batch_id", "fulfilment_batches", "RESTRICT"),
        _key("batch_documents", "asked_by_id", "users", "SET NULL (asked_by_id)"),
        *_organisation("batch_documents"),
        sa.UniqueConstraint(
            "organisation_id",
            "batch_id",
            "kind",
            "part",
            name=op.f("uq_batch_documents_organisation_id_batch_id_kind_part"),
        ),
    )
    op.create_index(
        "ix_batch_documents_waiting",
        "batch_documents",
        ["asked_at"],
        postgresql_where=sa.text("made_at IS NULL AND error IS NULL"),
    )


def _key(table: str, column: str, referred: str, ondelete: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["organisation_id", column],
        [f"{referred}.organisation_id", f"{referred}.id"],
        name=op.f(f"fk_{table}_organisation_id_{column}"),
        ondelete=ondelete,
    )


def _organisation(table: str) -> list[sa.schema.SchemaItem]:
    return [
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f(f"fk_{table}_organisation_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f(f"pk_{table}")),
    ]


def downgrade() -> None:
    op.drop_table("batch_documents")
    op.drop_table("shipment_events")
    op.drop_index("ix_shipments_batch", "shipments")
    op.drop_index("ix_shipments_status", "shipments")
    op.create_index("ix_shipments_status", "shipments", ["organisation_id", "status", "id"])
    op.drop_index("ix_parcels_on_the_way", "parcels")
    op.drop_index("ix_parcels_due", "parcels")
    op.create_index(
        "ix_parcels_next_attempt",
        "parcels",
        ["next_attempt_at"],
        postgresql_where=sa.text("next_attempt_at IS NOT NULL"),
    )
    for table, column, _ in ACCOUNTS:
        op.drop_constraint(op.f(f"fk_{table}_organisation_id_{column}"), table, type_="foreignkey")
    op.drop_column("carrier_accounts", "pauses")
    for table, columns in COLUMNS.items():
        for name in columns:
            op.drop_column(table, name)
