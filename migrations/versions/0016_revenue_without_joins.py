"""Figures of recurring revenue read the history alone: its rows name their client and currency, and indexes hold both.

Revision: 0016, after 0015
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

MOVES = sa.text("annual_before <> annual_after")
INDEXES = {
    "ix_subscription_history_revenue": (["organisation_id", "currency", "at"], ["client_id"]),
    "ix_subscription_history_client": (["organisation_id", "currency", "client_id", "at"], []),
}
"""The columns that each is ordered by, and what it holds beside the amounts."""


def upgrade() -> None:
    op.add_column("subscription_history", sa.Column("client_id", sa.Uuid(), nullable=True))
    op.add_column("subscription_history", sa.Column("currency", sa.String(length=3), nullable=True))
    op.execute(
        "UPDATE subscription_history SET client_id = subscriptions.client_id, currency = subscriptions.currency"
        " FROM subscriptions WHERE subscriptions.organisation_id = subscription_history.organisation_id"
        " AND subscriptions.id = subscription_history.subscription_id"
    )
    op.alter_column("subscription_history", "client_id", nullable=False)
    op.alter_column("subscription_history", "currency", nullable=False)
    op.drop_index("ix_subscription_history_revenue", table_name="subscription_history")
    for name, (columns, included) in INDEXES.items():
        op.create_index(
            name,
            "subscription_history",
            columns,
            postgresql_include=[*included, "annual_before", "annual_after"],
            postgresql_where=MOVES,
        )


def downgrade() -> None:
    for name in reversed(INDEXES):
        op.drop_index(name, table_name="subscription_history")
    op.create_index(
        "ix_subscription_history_revenue", "subscription_history", ["organisation_id", "at"], postgresql_where=MOVES
    )
    op.drop_column("subscription_history", "currency")
    op.drop_column("subscription_history", "client_id")
