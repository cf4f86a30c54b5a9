"""A plan that a cover was to have is taken back before its day: its row goes to where such rows are kept.

Revision: 0069, after 0068

Whatever reads what a cover promises reads ``cover_periods``, which a trigger keeps: a row leaves it only once it stands
in ``cover_withdrawn_periods``, and there only before its day.
"""

import sqlalchemy as sa
from alembic import op

revision = "0069"
down_revision = "0068"
branch_labels = None
depends_on = None

TABLE = "cover_withdrawn_periods"
KEEP_PERIODS = """
CREATE FUNCTION keep_cover_periods() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (
    SELECT FROM cover_withdrawn_periods w
    WHERE (w.organisation_id, w.cover_id, w.since, w.at) = (OLD.organisation_id, OLD.cover_id, OLD.since, OLD.at)
  ) OR pg_trigger_depth() > 1 THEN
    RETURN OLD;  -- taken back, or with a subscription that never began
  END IF;
  RAISE EXCEPTION '% is only ever added to', TG_TABLE_NAME;
END $$
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        TABLE,
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("cover_id", sa.Uuid(), nullable=False),
        sa.Column("since", sa.Date(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "timezone('Europe/Paris', withdrawn_at)::date < since",
            name=op.f("ck_cover_withdrawn_periods_before_its_day"),
        ),
        *(
            sa.ForeignKeyConstraint(
                ["organisation_id", column],
                [f"{target}.organisation_id", f"{target}.id"],
                name=op.f(f"fk_{TABLE}_organisation_id_{column}"),
                ondelete=ondelete,
            )
            for column, target, ondelete in (
                ("cover_id", "covers", "CASCADE"),
                ("user_id", "users", "SET NULL (user_id)"),
                ("version_id", "cover_plan_versions", "RESTRICT"),
            )
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f(f"fk_{TABLE}_organisation_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("organisation_id", "cover_id", "since", "at", name=op.f(f"pk_{TABLE}")),
    )
    op.execute(
        f"CREATE TRIGGER {TABLE}_kept BEFORE UPDATE OR DELETE ON {TABLE}"
        " FOR EACH ROW EXECUTE FUNCTION keep_cover_rows()"
    )
    op.execute(
        f"CREATE TRIGGER {TABLE}_figures AFTER INSERT ON {TABLE} REFERENCING NEW TABLE AS added"
        " FOR EACH STATEMENT EXECUTE FUNCTION note_figure_work()"
    )
    op.execute(KEEP_PERIODS)
    _keep("UPDATE")
    op.execute(
        "CREATE TRIGGER cover_periods_withdrawn BEFORE DELETE ON cover_periods"
        " FOR EACH ROW EXECUTE FUNCTION keep_cover_periods()"
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("DROP TRIGGER cover_periods_withdrawn ON cover_periods")
    op.execute("DROP FUNCTION keep_cover_periods()")
    _keep("UPDATE OR DELETE")
    op.drop_table(TABLE)


def _keep(events: str) -> None:
    op.execute("DROP TRIGGER cover_periods_kept ON cover_periods")
    op.execute(
        f"CREATE TRIGGER cover_periods_kept BEFORE {events} ON cover_periods"
        " FOR EACH ROW EXECUTE FUNCTION keep_cover_rows()"
    )
