"""A cover's home that does not hold yet is replaced on its own day: two rows of one day, the later written one stands.

Revision: 0066, after 0063
"""

from alembic import op

revision = "0066"
down_revision = "0063"
branch_labels = None
depends_on = None

REPLACED = """
DELETE FROM cover_homes h USING cover_homes later
WHERE later.organisation_id = h.organisation_id AND later.cover_id = h.cover_id AND later.since = h.since
  AND later.at > h.at
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_constraint(op.f("pk_cover_homes"), "cover_homes")
    op.create_primary_key(op.f("pk_cover_homes"), "cover_homes", ["organisation_id", "cover_id", "since", "at"])


def downgrade() -> None:
    op.execute("ALTER TABLE cover_homes DISABLE TRIGGER cover_homes_kept")
    op.execute(REPLACED)
    op.execute("ALTER TABLE cover_homes ENABLE TRIGGER cover_homes_kept")
    op.drop_constraint(op.f("pk_cover_homes"), "cover_homes")
    op.create_primary_key(op.f("pk_cover_homes"), "cover_homes", ["organisation_id", "cover_id", "since"])
