"""Pairs of clients who may be one person, and the searches that find them.

Revision: 0042, after 0045

New tables only: nobody has to stop.
"""

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0045"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def _key(table: str, column: str, referred: str, ondelete: str) -> sa.ForeignKeyConstraint:
    """A foreign key within the organisation."""
    return sa.ForeignKeyConstraint(
        ["organisation_id", column],
        [f"{referred}.organisation_id", f"{referred}.id"],
        name=op.f(f"fk_{table}_organisation_id_{column}"),
        ondelete=f"SET NULL ({column})" if ondelete == "SET NULL" else ondelete,
    )


def _organisation(table: str) -> list[sa.schema.SchemaItem]:
    return [
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f(f"fk_{table}_organisation_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f(f"pk_{table}")),
    ]


def upgrade() -> None:
    pairs = "duplicate_pairs"
    op.create_table(
        pairs,
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("first_id", sa.Uuid(), nullable=False),
        sa.Column("second_id", sa.Uuid(), nullable=False),
        sa.Column("score", sa.SmallInteger(), nullable=False),
        sa.Column("evidence", sa.ARRAY(sa.String(32)), nullable=False),
        sa.Column("found_at", INSTANT, nullable=False),
        sa.Column("search_id", sa.Uuid(), nullable=False),
        sa.Column("dismissed_at", INSTANT),
        sa.Column("dismissed_by_id", sa.Uuid()),
        sa.CheckConstraint("first_id < second_id", name=op.f("ck_duplicate_pairs_in_order")),
        sa.UniqueConstraint(
            "organisation_id",
            "first_id",
            "second_id",
            name=op.f("uq_duplicate_pairs_organisation_id_first_id_second_id"),
        ),
        _key(pairs, "first_id", "clients", "CASCADE"),
        _key(pairs, "second_id", "clients", "CASCADE"),
        _key(pairs, "dismissed_by_id", "users", "SET NULL"),
        *_organisation(pairs),
    )
    op.create_index(
        "ix_duplicate_pairs_open",
        pairs,
        ["organisation_id", "score", "id"],
        postgresql_where=sa.text("dismissed_at IS NULL"),
    )
    op.create_index("ix_duplicate_pairs_second", pairs, ["organisation_id", "second_id"])
    _create_searches()


def _create_searches() -> None:
    searches, running = "duplicate_searches", sa.text("status = 'running'")
    op.create_table(
        searches,
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("sync_run_id", sa.Uuid()),
        sa.Column("operation_id", sa.Uuid()),
        sa.Column("status", sa.String(32), nullable=False),
        *(
            sa.Column(name, sa.Integer(), server_default="0", nullable=False)
            for name in ("steps", "steps_done", "found")
        ),
        sa.Column("error", sa.Text()),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("finished_at", INSTANT),
        sa.Column("lease_until", INSTANT),
        *(sa.Column(name, sa.Integer(), server_default="0", nullable=False) for name in ("fence", "attempts")),
        _key(searches, "sync_run_id", "sync_runs", "CASCADE"),
        _key(searches, "operation_id", "operations", "CASCADE"),
        *_organisation(searches),
    )
    op.create_index(
        "uq_duplicate_searches_running", searches, ["organisation_id"], unique=True, postgresql_where=running
    )
    for column in ("sync_run_id", "operation_id"):
        op.create_index(
            f"uq_duplicate_searches_{column.removesuffix('_id')}",
            searches,
            ["organisation_id", column],
            unique=True,
            postgresql_where=sa.text(f"{column} IS NOT NULL"),
        )
    op.create_index("ix_duplicate_searches_started", searches, ["organisation_id", "started_at"])
    op.create_index("ix_duplicate_searches_lease", searches, ["lease_until"], postgresql_where=running)


def downgrade() -> None:
    op.drop_table("duplicate_searches")
    op.drop_table("duplicate_pairs")
