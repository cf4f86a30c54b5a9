"""The revenue of covers by month, added up by triggers: the MRR of 200,000 covers was the sum of their whole history.

Revision: 0063, after 0062

A change of a subscription that gives a cover is counted with it; a cover that is made for a subscription counts what
that has behind it. Whoever changes a subscription holds its row, and whoever makes a cover waits for it: of two at
once, the second sees what the first wrote. Tables that are there are locked for a moment, and read once.
"""
# ruff: noqa: S608  put together from what stands here

import sqlalchemy as sa
from alembic import op

revision = "0063"
down_revision = "0062"
branch_labels = None
depends_on = None

_ADD = """
  INSERT INTO cover_revenue_tallies (organisation_id, month, commercial_id, amount)
  SELECT c.organisation_id, date_trunc('month', timezone('Europe/Paris', h.at))::date, c.commercial_id,
    sum(h.annual_after - h.annual_before)
  FROM {changes} h
  JOIN {covers} c ON c.organisation_id = h.organisation_id AND c.subscription_id = h.subscription_id
  WHERE h.currency = 'EUR' AND h.annual_before <> h.annual_after {more}
  GROUP BY 1, 2, 3
"""
TALLY_CHANGES = f"""
CREATE FUNCTION tally_cover_revenue() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  {_ADD.format(changes="added", covers="covers", more="")};
  RETURN NULL;
END $$
"""
TALLY_COVERS = f"""
CREATE FUNCTION tally_revenue_of_covers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM subscriptions s JOIN added a ON a.organisation_id = s.organisation_id AND a.subscription_id = s.id
  ORDER BY s.id FOR NO KEY UPDATE OF s;
  {_ADD.format(changes="subscription_history", covers="added", more="")};
  RETURN NULL;
END $$
"""
# A cover that comes to count for somebody else takes its whole past along.
MOVE_COVERS = """
CREATE FUNCTION move_revenue_of_covers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO cover_revenue_tallies (organisation_id, month, commercial_id, amount)
  SELECT h.organisation_id, date_trunc('month', timezone('Europe/Paris', h.at))::date, side.commercial_id,
    sum(side.sign * (h.annual_after - h.annual_before))
  FROM added a
  JOIN lost l ON l.organisation_id = a.organisation_id AND l.id = a.id
  JOIN subscription_history h ON h.organisation_id = a.organisation_id AND h.subscription_id = a.subscription_id
  CROSS JOIN LATERAL (VALUES (-1, l.commercial_id), (1, a.commercial_id)) side (sign, commercial_id)
  WHERE a.commercial_id IS DISTINCT FROM l.commercial_id AND h.currency = 'EUR' AND h.annual_before <> h.annual_after
  GROUP BY 1, 2, 3;
  RETURN NULL;
END $$
"""
REBUILD = f"""
CREATE FUNCTION rebuild_cover_revenue(organisation uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  LOCK TABLE covers, subscription_history IN SHARE MODE;
  DELETE FROM cover_revenue_tallies WHERE organisation_id = organisation;
  {_ADD.format(changes="subscription_history", covers="covers", more="AND c.organisation_id = organisation")};
END $$
"""
TRIGGERS = {
    "subscription_history_cover_revenue": ("INSERT ON subscription_history", "tally_cover_revenue", ""),
    "covers_revenue": ("INSERT ON covers", "tally_revenue_of_covers", ""),
    "covers_moved_revenue": ("UPDATE ON covers", "move_revenue_of_covers", "OLD TABLE AS lost"),
}


def upgrade() -> None:
    op.create_table(
        "cover_revenue_tallies",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("commercial_id", sa.Uuid(), nullable=True),
        sa.Column("amount", sa.Numeric(precision=18, scale=2), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_cover_revenue_tallies_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_cover_revenue_tallies")),
    )
    op.create_index(
        "ix_cover_revenue_tallies_month",
        "cover_revenue_tallies",
        ["organisation_id", "month"],
        postgresql_include=["commercial_id", "amount"],
    )
    for function in (TALLY_CHANGES, TALLY_COVERS, MOVE_COVERS, REBUILD):
        op.execute(function)
    op.execute("SET LOCAL lock_timeout = '5s'")
    for name, (event, function, old) in TRIGGERS.items():
        op.execute(
            f"CREATE TRIGGER {name} AFTER {event} REFERENCING NEW TABLE AS added {old}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
        )
    op.execute("SELECT rebuild_cover_revenue(id) FROM organisations")


def downgrade() -> None:
    for name, (event, function, _) in TRIGGERS.items():
        op.execute(f"DROP TRIGGER {name} ON {event.split()[-1]}")
        op.execute(f"DROP FUNCTION {function}()")
    op.execute("DROP FUNCTION rebuild_cover_revenue(uuid)")
    op.drop_table("cover_revenue_tallies")
