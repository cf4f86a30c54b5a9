"""Documents may expire, the end of a renunciation is told, and tasks that the product makes say what for.

Revision: 0061, after 0060

``documents.valid_until`` is the last day of validity, ``tell_on`` the next day on which the timetable tells of it: its
index holds only what is still to be told of. ``tasks.key`` names what a task was made for, so that it is done by
itself. ``covers.window_ends_on`` is the last day on which a client may renounce, until the timeline has told that it is
over; of covers that stand, only those that can still be given up get one.
Each step may be run again, should an index fail. Columns without a default change no row; the indexes are made while
people work.
"""

import sqlalchemy as sa
from alembic import op

revision = "0061"
down_revision = "0060"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("documents", sa.Column("valid_until", sa.Date()), if_not_exists=True)
    op.add_column("documents", sa.Column("tell_on", sa.Date()), if_not_exists=True)
    op.add_column("tasks", sa.Column("key", sa.String(length=100)), if_not_exists=True)
    op.add_column("covers", sa.Column("window_ends_on", sa.Date()), if_not_exists=True)
    op.execute("UPDATE covers SET window_ends_on = concluded_on + 14 WHERE concluded_on >= CURRENT_DATE - 14")
    with op.get_context().autocommit_block():
        op.create_index(
            "ix_documents_tell",
            "documents",
            ["tell_on", "organisation_id", "id"],
            postgresql_where=sa.text("tell_on IS NOT NULL"),
            postgresql_concurrently=True,
            if_not_exists=True,
        )
        op.create_index(
            "ix_covers_window",
            "covers",
            ["window_ends_on", "organisation_id", "id"],
            postgresql_where=sa.text("window_ends_on IS NOT NULL"),
            postgresql_concurrently=True,
            if_not_exists=True,
        )
        op.create_index(
            "ix_tasks_key",
            "tasks",
            ["organisation_id", "key"],
            postgresql_where=sa.text("key IS NOT NULL"),
            postgresql_concurrently=True,
            if_not_exists=True,
        )


def downgrade() -> None:
    op.drop_index("ix_tasks_key", "tasks")
    op.drop_index("ix_documents_tell", "documents")
    op.drop_index("ix_covers_window", "covers")
    op.drop_column("covers", "window_ends_on")
    op.drop_column("tasks", "key")
    op.drop_column("documents", "tell_on")
    op.drop_column("documents", "valid_until")
