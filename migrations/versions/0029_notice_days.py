"""How many days before a debit by bank file its notice has left, as agreed by each company with its clients.

Revision: 0029, after 0028
"""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

NAME = "ck_provider_accounts_notice_days_as_agreed"


def upgrade() -> None:
    op.add_column("provider_accounts", sa.Column("notice_days", sa.Integer(), server_default="14", nullable=False))
    op.create_check_constraint(op.f(NAME), "provider_accounts", "notice_days BETWEEN 1 AND 14")


def downgrade() -> None:
    op.drop_constraint(op.f(NAME), "provider_accounts", type_="check")
    op.drop_column("provider_accounts", "notice_days")
