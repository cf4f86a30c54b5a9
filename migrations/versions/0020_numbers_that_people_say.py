"""Charges, refunds, bank files and subscriptions have a short number that people say.

Revision: 0020, after 0019

Each table is written anew under its lock: run it while nobody charges. Rows that are there get their numbers in the
order in which they lie, which is that of their making.
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

TABLES = ("subscriptions", "charges", "refunds", "bank_files")


def upgrade() -> None:
    for table in TABLES:
        op.add_column(table, sa.Column("number", sa.BigInteger(), sa.Identity(), nullable=False))
        op.create_unique_constraint(f"uq_{table}_organisation_id_number", table, ["organisation_id", "number"])


def downgrade() -> None:
    for table in TABLES:
        op.drop_column(table, "number")
