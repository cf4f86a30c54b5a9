"""The timeline names the message that it tells of; a request for a means of payment the card that it replaces;
open tasks are listed by their day; a company's text may follow that of all again;
a step of dunning may ask for a means of payment.

Revision: 0030, after 0029
"""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

CHECK = "ck_message_templates_companies_follow_all"
# Columns, and what they point at: checked beside the writers, since every row is empty.
KEYS = (
    ("timeline_events", "message_id", "messages"),
    ("means_requests", "replaces_id", "saved_payment_methods"),
)


def upgrade() -> None:
    op.add_column(
        "dunning_sequence_steps",
        sa.Column("asks_means", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    op.add_column(
        "message_templates", sa.Column("follows_all", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.create_check_constraint(
        op.f(CHECK), "message_templates", "NOT follows_all OR (company_id IS NOT NULL AND body = '')"
    )
    for table, column, target in KEYS:
        op.add_column(table, sa.Column(column, sa.Uuid()))
        op.execute(
            f"ALTER TABLE {table} ADD CONSTRAINT fk_{table}_organisation_id_{column}"
            f" FOREIGN KEY (organisation_id, {column}) REFERENCES {target} (organisation_id, id)"
            " ON DELETE RESTRICT NOT VALID"
        )
    with op.get_context().autocommit_block():
        for table, column, *_ in KEYS:
            op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT fk_{table}_organisation_id_{column}")
        op.create_index(
            "ix_tasks_due",
            "tasks",
            ["organisation_id", "due_on", "id"],
            postgresql_where=sa.text("done_at IS NULL"),
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    op.drop_constraint(op.f(CHECK), "message_templates", type_="check")
    op.drop_column("message_templates", "follows_all")
    op.drop_column("dunning_sequence_steps", "asks_means")
    op.drop_index("ix_tasks_due", "tasks")
    for table, column, *_ in KEYS:
        op.drop_column(table, column)
