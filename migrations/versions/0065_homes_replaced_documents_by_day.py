"""A cover's home that does not hold yet is replaced on its own day: two rows of one day, the later written one stands.
Documents of all clients are listed by their last day.

Revision: 0065, after 0064
"""

import sqlalchemy as sa
from alembic import op

revision = "0065"
down_revision = "0064"
branch_labels = None
depends_on = None

REPLACED = """
DELETE FROM cover_homes h USING cover_homes later
WHERE later.organisation_id = h.organisation_id AND later.cover_id = h.cover_id AND later.since = h.since
  AND later.at > h.at
"""


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.create_index(
            "ix_documents_validity",
            "documents",
            ["organisation_id", "valid_until", "id"],
            postgresql_where=sa.text("valid_until IS NOT NULL"),
            postgresql_concurrently=True,
            if_not_exists=True,
        )
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_constraint(op.f("pk_cover_homes"), "cover_homes")
    op.create_primary_key(op.f("pk_cover_homes"), "cover_homes", ["organisation_id", "cover_id", "since", "at"])


def downgrade() -> None:
    op.drop_index("ix_documents_validity", "documents")
    op.execute("ALTER TABLE cover_homes DISABLE TRIGGER cover_homes_kept")
    op.execute(REPLACED)
    op.execute("ALTER TABLE cover_homes ENABLE TRIGGER cover_homes_kept")
    op.drop_constraint(op.f("pk_cover_homes"), "cover_homes")
    op.create_primary_key(op.f("pk_cover_homes"), "cover_homes", ["organisation_id", "cover_id", "since"])
