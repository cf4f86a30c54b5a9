"""The timeline and the history of subscriptions are only ever added to; of an attempt, what was asked for stays.

Revision: 0018, after 0017

What foreign keys do by themselves (a client's or a user's row that goes) is let through: it happens within a trigger.
"""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

KEPT = ("timeline_events", "subscription_history")
FROZEN = (
    "organisation_id",
    "id",
    "charge_id",
    "number",
    "provider_account_id",
    "amount",
    "currency",
    "created_at",
)
"""What was asked of whom. The rest of an attempt tells what became of it, and is written as that is learned."""


def upgrade() -> None:
    for table in KEPT:
        op.execute(
            f"CREATE TRIGGER {table}_kept BEFORE UPDATE OR DELETE ON {table}"
            " FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION refuse_change()"
        )
    op.execute(
        "CREATE TRIGGER charge_attempts_kept BEFORE DELETE ON charge_attempts"
        " FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )
    before, after = (", ".join(f"{row}.{column}" for column in FROZEN) for row in ("OLD", "NEW"))
    op.execute(
        "CREATE TRIGGER charge_attempts_frozen BEFORE UPDATE ON charge_attempts"
        f" FOR EACH ROW WHEN (({before}) IS DISTINCT FROM ({after})) EXECUTE FUNCTION refuse_change()"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER charge_attempts_frozen ON charge_attempts")
    for table in (*KEPT, "charge_attempts"):
        op.execute(f"DROP TRIGGER {table}_kept ON {table}")
