"""The timeline names the message that it tells of.

Revision: 0033, after 0029
"""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0029"
branch_labels = None
depends_on = None

KEY = "fk_timeline_events_organisation_id_message_id"


def upgrade() -> None:
    op.add_column("timeline_events", sa.Column("message_id", sa.Uuid()))
    # Checked beside the writers: every row is empty.
    op.execute(
        f"ALTER TABLE timeline_events ADD CONSTRAINT {KEY} FOREIGN KEY (organisation_id, message_id)"
        " REFERENCES messages (organisation_id, id) ON DELETE RESTRICT NOT VALID"
    )
    with op.get_context().autocommit_block():
        op.execute(f"ALTER TABLE timeline_events VALIDATE CONSTRAINT {KEY}")


def downgrade() -> None:
    op.drop_column("timeline_events", "message_id")
