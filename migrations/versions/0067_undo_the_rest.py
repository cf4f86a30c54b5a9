"""What was undone in part may be undone further: another undo is planned beside one that ended « Partielle ».

Revision: 0067, after 0066
"""

import sqlalchemy as sa
from alembic import op

revision = "0067"
down_revision = "0066"
branch_labels = None
depends_on = None

NAMED = {"uq_operations_undoes": "undoes_id", "uq_operations_undoes_run": "undoes_run_id"}
STANDS = "state NOT IN ('canceled', 'failed', 'partial')"
STOOD = "state NOT IN ('canceled', 'failed')"
# Of several undos of one thing the latest stands, as before there was one only.
THE_LATEST = """
UPDATE operations o SET state = 'failed'
WHERE o.state = 'partial' AND o.kind = 'undo' AND EXISTS (
  SELECT FROM operations later
  WHERE later.organisation_id = o.organisation_id AND (later.created_at, later.id) > (o.created_at, o.id)
    AND later.state NOT IN ('canceled', 'failed')
    AND (later.undoes_id = o.undoes_id OR later.undoes_run_id = o.undoes_run_id))
"""


def upgrade() -> None:
    _index_anew(STANDS)


def downgrade() -> None:
    op.execute(THE_LATEST)
    _index_anew(STOOD)


def _index_anew(which: str) -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for name, column in NAMED.items():
        op.drop_index(name, "operations")
        op.create_index(name, "operations", ["organisation_id", column], unique=True, postgresql_where=sa.text(which))
