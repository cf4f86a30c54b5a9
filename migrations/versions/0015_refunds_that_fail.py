"""A refund that the provider could not deliver: a row of the ledger that undoes another, a state of the refund.

Revision: 0015, after 0014
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

CHECKS = {
    ("payments", "sign"): (
        "(kind = 'capture' AND amount >= 0) OR (kind <> 'capture' AND amount <= 0)",
        "(kind IN ('capture', 'refund_failure') AND amount >= 0) OR "
        "(kind NOT IN ('capture', 'refund_failure') AND amount <= 0)",
    ),
    ("payments", "failures_undo"): (None, "(kind = 'refund_failure') = (undoes_id IS NOT NULL)"),
    ("refunds", "taken_up_until_settled"): (
        "(next_attempt_at IS NULL) = (status IN ('succeeded', 'refused'))",
        "(next_attempt_at IS NULL) = (status IN ('succeeded', 'refused', 'failed'))",
    ),
}
"""What each said before, and says now."""


def upgrade() -> None:
    # In one transaction, so that it is done or not: writers wait for some seconds with a million rows in the ledger.
    op.add_column("payments", sa.Column("undoes_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        op.f("fk_payments_organisation_id_undoes_id"),
        "payments",
        "payments",
        ["organisation_id", "undoes_id"],
        ["organisation_id", "id"],
        ondelete="RESTRICT",
    )
    op.create_index(
        "uq_payments_undoes",
        "payments",
        ["organisation_id", "undoes_id"],
        unique=True,
        postgresql_where=sa.text("undoes_id IS NOT NULL"),
    )
    _restate_uniqueness("kind IN ('capture', 'reversal')")
    _restate_checks(1)


def downgrade() -> None:
    """Refused where a refund has failed: a ledger is only ever added to."""
    _restate_checks(0)
    _restate_uniqueness("kind <> 'refund'")
    op.drop_column("payments", "undoes_id")


def _restate_checks(version: int) -> None:
    for (table, name), conditions in CHECKS.items():
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS ck_{table}_{name}")
        if condition := conditions[version]:
            op.execute(f"ALTER TABLE {table} ADD CONSTRAINT ck_{table}_{name} CHECK ({condition}) NOT VALID")
            op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT ck_{table}_{name}")


def _restate_uniqueness(condition: str) -> None:
    op.drop_index("uq_payments_attempt_kind", table_name="payments")
    op.create_index(
        "uq_payments_attempt_kind",
        "payments",
        ["organisation_id", "attempt_id", "kind"],
        unique=True,
        postgresql_where=sa.text(condition),
    )
