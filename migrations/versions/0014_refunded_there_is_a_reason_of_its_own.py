"""Data: charges refunded at the provider's own site are on the list for a reason of their own.

Revision: 0014, after 0013
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "UPDATE charges SET attention = 'credit_note'"
        " WHERE attention = 'mismatch' AND explanation LIKE 'Remboursé chez le prestataire%'"
    )


def downgrade() -> None:
    op.execute("UPDATE charges SET attention = 'mismatch' WHERE attention IN ('credit_note', 'refund')")
