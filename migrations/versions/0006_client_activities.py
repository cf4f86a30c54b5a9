"""Clients: notes and calls in the timeline, tasks, a delivery address; the statuses that a contract went through.

Revision: 0006, after 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

DELIVERY = (
    ("delivery_line1", sa.String(200)),
    ("delivery_line2", sa.String(200)),
    ("delivery_postcode", sa.String(20)),
    ("delivery_city", sa.String(100)),
)

# Whatever writes contracts, a change of status is kept. Who it was stands in the transaction: crm.user_id is set by
# the edit by hand, and empty where a synchronisation writes. The condition keeps all other updates free of it.
KEEP_STATUS = """
CREATE FUNCTION keep_contract_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO contract_status_changes
    (organisation_id, id, contract_id, at, old_status, old_status_raw, new_status, new_status_raw, user_id)
  VALUES
    (NEW.organisation_id, gen_random_uuid(), NEW.id, NEW.changed_at, OLD.status, OLD.status_raw, NEW.status,
     NEW.status_raw, nullif(current_setting('crm.user_id', true), '')::uuid);
  RETURN NULL;
END $$
"""
STATUS_TRIGGER = """
CREATE TRIGGER contracts_keep_status AFTER UPDATE OF status, status_raw ON contracts FOR EACH ROW
WHEN (OLD.status IS DISTINCT FROM NEW.status OR OLD.status_raw IS DISTINCT FROM NEW.status_raw)
EXECUTE FUNCTION keep_contract_status()
"""


def upgrade() -> None:
    for name, kind in DELIVERY:
        op.add_column("clients", sa.Column(name, kind, nullable=True))
    op.add_column("clients", sa.Column("delivery_country", sa.String(2), server_default="FR", nullable=False))
    op.add_column("timeline_events", sa.Column("body", sa.Text(), nullable=True))
    _create_tasks()
    _create_status_changes()
    op.execute(KEEP_STATUS)
    op.execute(STATUS_TRIGGER)


def _create_tasks() -> None:
    op.create_table(
        "tasks",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.String(500), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_tasks_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "client_id"],
            ["clients.organisation_id", "clients.id"],
            name=op.f("fk_tasks_organisation_id_client_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "user_id"],
            ["users.organisation_id", "users.id"],
            name=op.f("fk_tasks_organisation_id_user_id"),
            ondelete="SET NULL (user_id)",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_tasks")),
    )
    op.create_index(
        "ix_tasks_open",
        "tasks",
        ["organisation_id", "client_id", "due_on", "id"],
        postgresql_where=sa.text("done_at IS NULL"),
    )
    op.create_index("ix_tasks_client", "tasks", ["organisation_id", "client_id", "done_at"])


def _create_status_changes() -> None:
    op.create_table(
        "contract_status_changes",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("contract_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("old_status", sa.String(32), nullable=False),
        sa.Column("old_status_raw", sa.String(100), nullable=True),
        sa.Column("new_status", sa.String(32), nullable=False),
        sa.Column("new_status_raw", sa.String(100), nullable=True),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_contract_status_changes_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "contract_id"],
            ["contracts.organisation_id", "contracts.id"],
            name=op.f("fk_contract_status_changes_organisation_id_contract_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "user_id"],
            ["users.organisation_id", "users.id"],
            name=op.f("fk_contract_status_changes_organisation_id_user_id"),
            ondelete="SET NULL (user_id)",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_contract_status_changes")),
    )
    op.create_index(
        "ix_contract_status_changes_contract", "contract_status_changes", ["organisation_id", "contract_id", "at", "id"]
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER contracts_keep_status ON contracts")
    op.execute("DROP FUNCTION keep_contract_status()")
    op.drop_table("contract_status_changes")
    op.drop_table("tasks")
    op.drop_column("timeline_events", "body")
    for name in ("delivery_country", *(name for name, _ in DELIVERY)):
        op.drop_column("clients", name)
