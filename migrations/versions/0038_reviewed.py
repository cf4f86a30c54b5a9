"""WooCommerce: what a person has seen to of a resource's review.

Revision: 0038, after 0036

A column with a constant default: nobody waits.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0038"
down_revision = "0036"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "woocommerce_resources",
        sa.Column("review_closed", postgresql.JSONB(), server_default="[]", nullable=False),
    )


def downgrade() -> None:
    op.drop_column("woocommerce_resources", "review_closed")
