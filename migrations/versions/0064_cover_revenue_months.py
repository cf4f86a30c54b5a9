"""What the covers of a client bring, by month: what moved the MRR of 200,000 covers was reckoned from their history.

Revision: 0064, after 0063

``cover_revenue_rows`` reckons the rows of some clients from the history. The timetable books them, with what else it
books of a cover that ``figure_work`` names; so every change that can move them names the cover, in its transaction.
Covers that are there wait to be booked, lot by lot: nobody is kept waiting for 200,000 of them to be reckoned. Until
then their figures are told from the history.
"""

import sqlalchemy as sa
from alembic import op

revision = "0064"
down_revision = "0063"
branch_labels = None
depends_on = None

# A client has one row for each commercial of its covers in each month in which any of the covers moved. Nothing is
# joined with itself: however many clients there are, and whatever the planner takes them for, it sorts and adds up.
ROWS = """
CREATE FUNCTION cover_revenue_rows(organisation uuid, clients_of uuid[]) RETURNS TABLE (
  client_id uuid, commercial_id uuid, month date, previous_month date, next_month date, yearly_before numeric,
  yearly_after numeric, came_before boolean, has_moved boolean, is_alone boolean
) LANGUAGE sql STABLE AS $$
  WITH changes AS MATERIALIZED (
    SELECT c.client_id, c.commercial_id, date_trunc('month', timezone('Europe/Paris', h.at))::date AS month,
      sum(h.annual_after - h.annual_before) AS change, bool_or(h.annual_after > 0) AS comes
    FROM covers c
    JOIN subscription_history h ON h.organisation_id = c.organisation_id AND h.subscription_id = c.subscription_id
    WHERE c.organisation_id = organisation AND c.client_id = ANY(clients_of)
      AND h.currency = 'EUR' AND h.annual_before <> h.annual_after
    GROUP BY 1, 2, 3
  ), every AS (
    SELECT f.client_id, f.commercial_id, f.month, coalesce(sum(f.change), 0) AS change, bool_or(f.comes) AS comes,
      count(f.change) > 0 AS has_moved, max(f.accounts) = 1 AS is_alone
    FROM (
      SELECT changes.*, NULL::int AS accounts FROM changes
      UNION ALL
      SELECT k.client_id, account.id, moved.month, NULL, NULL, cardinality(k.accounts)
      FROM (SELECT changes.client_id, array_agg(DISTINCT changes.commercial_id) AS accounts,
              array_agg(DISTINCT changes.month) AS months
            FROM changes GROUP BY changes.client_id) k
      CROSS JOIN unnest(k.accounts) AS account (id)
      CROSS JOIN unnest(k.months) AS moved (month)
    ) f
    GROUP BY 1, 2, 3
  )
  SELECT e.client_id, e.commercial_id, e.month, lag(e.month, 1, '0001-01-01') OVER past,
    lead(e.month, 1, '9999-12-31') OVER past, coalesce(sum(e.change) OVER earlier, 0),
    coalesce(sum(e.change) OVER earlier, 0) + e.change, coalesce(bool_or(e.comes) OVER earlier, false), e.has_moved,
    e.is_alone
  FROM every e
  WINDOW past AS (PARTITION BY e.client_id, e.commercial_id ORDER BY e.month),
    earlier AS (past ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
$$
"""
BOOK = """
CREATE FUNCTION book_cover_revenue(organisation uuid, clients_of uuid[]) RETURNS void LANGUAGE sql AS $$
  DELETE FROM cover_revenue_months WHERE organisation_id = organisation AND client_id = ANY(clients_of);
  INSERT INTO cover_revenue_months (organisation_id, client_id, commercial_id, month, previous_month, next_month,
    yearly_before, yearly_after, came_before, has_moved, is_alone)
  SELECT organisation, * FROM cover_revenue_rows(organisation, clients_of)
$$
"""
# As migration 0063 has them, without and with what is new here.
_ADD = """
  INSERT INTO cover_revenue_tallies (organisation_id, month, commercial_id, amount)
  SELECT c.organisation_id, date_trunc('month', timezone('Europe/Paris', h.at))::date, c.commercial_id,
    sum(h.annual_after - h.annual_before)
  FROM {changes} h
  JOIN {covers} c ON c.organisation_id = h.organisation_id AND c.subscription_id = h.subscription_id
  WHERE h.currency = 'EUR' AND h.annual_before <> h.annual_after {more}
  GROUP BY 1, 2, 3;
"""
_TRIGGER = """
CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  {body}
  RETURN NULL;
END $$
"""
CHANGES_TALLIED = _ADD.format(changes="added", covers="covers", more="")
CHANGES_NOTED = """
  INSERT INTO figure_work (organisation_id, cover_id)
  SELECT DISTINCT c.organisation_id, c.id
  FROM added h JOIN covers c ON c.organisation_id = h.organisation_id AND c.subscription_id = h.subscription_id
  WHERE h.currency = 'EUR' AND h.annual_before <> h.annual_after;
"""
COVERS_TALLIED = f"""
  PERFORM FROM subscriptions s JOIN added a ON a.organisation_id = s.organisation_id AND a.subscription_id = s.id
  ORDER BY s.id FOR NO KEY UPDATE OF s;
  {_ADD.format(changes="subscription_history", covers="added", more="")}
"""
COVERS_NOTED = "INSERT INTO figure_work (organisation_id, cover_id) SELECT organisation_id, id FROM added;"
COVERS_MOVED = """
  INSERT INTO cover_revenue_tallies (organisation_id, month, commercial_id, amount)
  SELECT h.organisation_id, date_trunc('month', timezone('Europe/Paris', h.at))::date, side.commercial_id,
    sum(side.sign * (h.annual_after - h.annual_before))
  FROM added a
  JOIN lost l ON l.organisation_id = a.organisation_id AND l.id = a.id
  JOIN subscription_history h ON h.organisation_id = a.organisation_id AND h.subscription_id = a.subscription_id
  CROSS JOIN LATERAL (VALUES (-1, l.commercial_id), (1, a.commercial_id)) side (sign, commercial_id)
  WHERE a.commercial_id IS DISTINCT FROM l.commercial_id AND h.currency = 'EUR' AND h.annual_before <> h.annual_after
  GROUP BY 1, 2, 3;
"""
# The client whom a cover leaves may have no other by which its rows could be booked anew: they go at once, and nobody
# books them meanwhile.
MOVES_NOTED = """
  PERFORM pg_advisory_xact_lock(hashtextextended('figure-work|' || a.organisation_id, 0))
  FROM (SELECT DISTINCT added.organisation_id FROM added JOIN lost USING (organisation_id, id)
        WHERE added.client_id <> lost.client_id) a;
  DELETE FROM cover_revenue_months m USING added a JOIN lost l ON l.organisation_id = a.organisation_id AND l.id = a.id
  WHERE m.organisation_id = l.organisation_id AND m.client_id = l.client_id AND a.client_id <> l.client_id;
  INSERT INTO figure_work (organisation_id, cover_id)
  SELECT DISTINCT c.organisation_id, c.id
  FROM added a
  JOIN lost l ON l.organisation_id = a.organisation_id AND l.id = a.id
  JOIN covers c ON c.organisation_id = a.organisation_id AND c.client_id IN (a.client_id, l.client_id)
  WHERE (a.client_id, a.commercial_id) IS DISTINCT FROM (l.client_id, l.commercial_id);
"""
NOTING = {
    "tally_cover_revenue": (CHANGES_TALLIED, CHANGES_NOTED),
    "tally_revenue_of_covers": (COVERS_TALLIED, COVERS_NOTED),
    "move_revenue_of_covers": (COVERS_MOVED, MOVES_NOTED),
}
"""Trigger functions: what they did before, and what they do besides."""
_REBUILD = """
CREATE OR REPLACE FUNCTION rebuild_cover_revenue(organisation uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  {turn}
  LOCK TABLE covers, subscription_history IN SHARE MODE;
  DELETE FROM cover_revenue_tallies WHERE organisation_id = organisation;
  {tallies}
  {months}
END $$
"""
_TALLIES = _ADD.format(changes="subscription_history", covers="covers", more="AND c.organisation_id = organisation")
# Whoever books what changed waits, as it does for others who book.
TURN = "PERFORM pg_advisory_xact_lock(hashtextextended('figure-work|' || organisation, 0));"
MONTHS = """
  PERFORM book_cover_revenue(organisation, ARRAY(
    SELECT client_id FROM covers WHERE organisation_id = organisation
    UNION SELECT client_id FROM cover_revenue_months WHERE organisation_id = organisation));
"""


def upgrade() -> None:
    _create_table()
    op.execute(ROWS)
    op.execute(BOOK)
    for name, parts in NOTING.items():
        op.execute(_TRIGGER.format(name=name, body="".join(parts)))
    op.execute(_REBUILD.format(turn=TURN, tallies=_TALLIES, months=MONTHS))
    _index_table()
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("LOCK TABLE covers, subscription_history IN SHARE MODE")  # who changes them now fires what was before
    op.execute("INSERT INTO figure_work (organisation_id, cover_id) SELECT organisation_id, id FROM covers")


def downgrade() -> None:
    op.execute(_REBUILD.format(turn="", tallies=_TALLIES, months=""))
    for name, (before, _) in NOTING.items():
        op.execute(_TRIGGER.format(name=name, body=before))
    op.execute("DROP FUNCTION book_cover_revenue(uuid, uuid[])")
    op.execute("DROP FUNCTION cover_revenue_rows(uuid, uuid[])")
    op.drop_table("cover_revenue_months")


def _create_table() -> None:
    op.create_table(
        "cover_revenue_months",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("commercial_id", sa.Uuid(), nullable=True),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("previous_month", sa.Date(), nullable=False),
        sa.Column("next_month", sa.Date(), nullable=False),
        sa.Column("yearly_before", sa.Numeric(precision=18, scale=2), nullable=False),
        sa.Column("yearly_after", sa.Numeric(precision=18, scale=2), nullable=False),
        sa.Column("came_before", sa.Boolean(), nullable=False),
        sa.Column("has_moved", sa.Boolean(), nullable=False),
        sa.Column("is_alone", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_cover_revenue_months_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_cover_revenue_months")),
    )


def _index_table() -> None:
    """Its keys and indexes."""
    op.create_foreign_key(
        op.f("fk_cover_revenue_months_organisation_id_client_id"),
        "cover_revenue_months",
        "clients",
        ["organisation_id", "client_id"],
        ["organisation_id", "id"],
        ondelete="CASCADE",
    )
    told = ["previous_month", "next_month", "yearly_before", "yearly_after", "came_before", "has_moved", "is_alone"]
    op.create_index(
        "uq_cover_revenue_months_client",
        "cover_revenue_months",
        ["organisation_id", "client_id", "month", "commercial_id"],
        unique=True,
        postgresql_nulls_not_distinct=True,
        postgresql_include=told,
    )
    op.create_index(
        "ix_cover_revenue_months_month",
        "cover_revenue_months",
        ["organisation_id", "month", "client_id"],
        postgresql_include=["commercial_id", *told],
    )
    op.create_index(
        "ix_cover_revenue_months_next",
        "cover_revenue_months",
        ["organisation_id", "next_month", "client_id"],
        postgresql_include=["month", "commercial_id", "yearly_after", "is_alone"],
    )
