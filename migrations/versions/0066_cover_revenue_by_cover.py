"""What covers bring by month is kept cover by cover, with what each promised, and is tallied.

Revision: 0066, after 0065

Figures of a plan and a trade were told from the whole history, those of a year from a row of each client. Whatever
changes what a cover promises names it in ``figure_work`` already (0057). The rows that are there go; covers wait to be
booked, as in 0064. What covers bring is a sum of the new tallies: those of 0063 go, and what triggers did for them.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0066"
down_revision = "0065"
branch_labels = None
depends_on = None

# Each cover of a client has a row in each month in which the revenue, or the promise, of any of them changed. A promise
# is that of the last day of the month. Nothing is joined with itself: however many clients there are, and whatever the
# planner takes them for, it sorts and adds up. It is planned once a session, and not at all where nobody is asked for.
ROWS = """
CREATE FUNCTION cover_revenue_rows(organisation uuid, clients_of uuid[]) RETURNS TABLE (
  client_id uuid, cover_id uuid, commercial_id uuid, month date, previous_month date, next_month date,
  yearly_before numeric, yearly_after numeric, came_before boolean, has_moved boolean, is_alone boolean, plan_id uuid,
  trades varchar[]
) LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
  IF cardinality(clients_of) = 0 THEN RETURN; END IF;
  RETURN QUERY
  WITH changes AS MATERIALIZED (
    SELECT c.client_id, c.id AS cover_id, c.commercial_id,
      date_trunc('month', timezone('Europe/Paris', h.at))::date AS month,
      sum(h.annual_after - h.annual_before) AS change, bool_or(h.annual_after > 0) AS comes
    FROM covers c
    JOIN subscription_history h ON h.organisation_id = c.organisation_id AND h.subscription_id = c.subscription_id
    WHERE c.organisation_id = organisation AND c.client_id = ANY(clients_of)
      AND h.currency = 'EUR' AND h.annual_before <> h.annual_after
    GROUP BY 1, 2, 3, 4
  ), sold AS MATERIALIZED (
    SELECT changes.client_id, changes.cover_id, changes.commercial_id, min(changes.month) AS month
    FROM changes GROUP BY 1, 2, 3
  ), months AS (
    SELECT changes.client_id, changes.month FROM changes
    UNION ALL
    SELECT s.client_id, date_trunc('month', told.day::timestamp)::date
    FROM sold s
    CROSS JOIN LATERAL (
      SELECT p.since FROM cover_periods p WHERE p.organisation_id = organisation AND p.cover_id = s.cover_id
      UNION ALL
      SELECT unnest(ARRAY[o.since, o.until]) FROM cover_options o
      WHERE o.organisation_id = organisation AND o.cover_id = s.cover_id
    ) told (day)
    WHERE date_trunc('month', told.day::timestamp) > s.month
  ), every AS (
    SELECT f.client_id, f.cover_id, f.commercial_id, f.month, coalesce(sum(f.change), 0) AS change,
      bool_or(f.comes) AS comes, count(f.change) > 0 AS has_moved, max(f.covers) = 1 AS is_alone
    FROM (
      SELECT changes.*, NULL::int AS covers FROM changes
      UNION ALL
      SELECT k.client_id, cover.id, cover.commercial_id, changed.month, NULL, NULL, cardinality(k.covers)
      FROM (
        SELECT told.client_id, array_agg(told.cover_id) FILTER (WHERE told.cover_id IS NOT NULL) AS covers,
          array_agg(told.commercial_id) FILTER (WHERE told.cover_id IS NOT NULL) AS commercials,
          array_agg(DISTINCT told.month) AS months
        FROM (
          SELECT sold.client_id, sold.cover_id, sold.commercial_id, sold.month FROM sold
          UNION ALL
          SELECT months.client_id, NULL, NULL, months.month FROM months
        ) told
        GROUP BY told.client_id
      ) k
      CROSS JOIN unnest(k.covers, k.commercials) AS cover (id, commercial_id)
      CROSS JOIN unnest(k.months) AS changed (month)
    ) f
    GROUP BY 1, 2, 3, 4
  )
  SELECT e.client_id, e.cover_id, e.commercial_id, e.month, lag(e.month, 1, '0001-01-01') OVER past,
    lead(e.month, 1, '9999-12-31') OVER past, coalesce(sum(e.change) OVER earlier, 0),
    coalesce(sum(e.change) OVER earlier, 0) + e.change, coalesce(bool_or(e.comes) OVER earlier, false), e.has_moved,
    e.is_alone, promise.plan_id, promise.trades
  FROM every e
  CROSS JOIN LATERAL (SELECT (e.month + interval '1 month' - interval '1 day')::date AS day) last
  LEFT JOIN LATERAL cover_promise(organisation, e.cover_id, last.day) promise ON EXISTS (
    SELECT FROM cover_periods p
    WHERE p.organisation_id = organisation AND p.cover_id = e.cover_id AND p.since <= last.day)
  WINDOW past AS (PARTITION BY e.client_id, e.cover_id ORDER BY e.month),
    earlier AS (past ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING);
END $$
"""
# What the rows of clients with one cover come to: a cover's rows are taken away and written all at once, and tallied as
# they are. A level is that of the row, and what the row before told is taken off; a movement is that of the month.
TALLY = """
CREATE FUNCTION tally_cover_revenue_months() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE sign integer := CASE TG_OP WHEN 'DELETE' THEN -1 ELSE 1 END;
BEGIN
  INSERT INTO cover_movement_tallies (organisation_id, month, commercial_id, plan_id, trades, active, level, new,
    expansion, contraction, churn, reactivation)
  SELECT r.organisation_id, r.month, r.commercial_id, told.plan_id, told.trades, sign * sum(told.active),
    sign * sum(told.level),
    sign * sum(CASE WHEN r.yearly_before = 0 AND NOT r.came_before THEN told.change ELSE 0 END),
    sign * sum(CASE WHEN r.yearly_before > 0 AND r.yearly_after > r.yearly_before THEN told.change ELSE 0 END),
    sign * sum(CASE WHEN r.yearly_after > 0 AND r.yearly_after < r.yearly_before THEN told.change ELSE 0 END),
    sign * sum(CASE WHEN r.yearly_before > 0 AND r.yearly_after = 0 THEN told.change ELSE 0 END),
    sign * sum(CASE WHEN r.yearly_before = 0 AND r.came_before THEN told.change ELSE 0 END)
  FROM (
    SELECT c.*, lag(c.plan_id) OVER past AS plan_before, lag(c.trades) OVER past AS trades_before
    FROM changed c WHERE c.is_alone WINDOW past AS (PARTITION BY c.organisation_id, c.cover_id ORDER BY c.month)
  ) r
  CROSS JOIN LATERAL (VALUES
    (r.plan_id, r.trades, (r.yearly_after > 0)::int, r.yearly_after, r.yearly_after - r.yearly_before),
    (r.plan_before, r.trades_before, -(r.yearly_before > 0)::int, -r.yearly_before, 0)
  ) told (plan_id, trades, active, level, change)
  GROUP BY 1, 2, 3, 4, 5;
  RETURN NULL;
END $$
"""
REBUILD = """
CREATE OR REPLACE FUNCTION rebuild_cover_revenue(organisation uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('figure-work|' || organisation, 0));
  LOCK TABLE covers, subscription_history IN SHARE MODE;
  {before}
  PERFORM book_cover_revenue(organisation, ARRAY(
    SELECT client_id FROM covers WHERE organisation_id = organisation
    UNION SELECT client_id FROM cover_revenue_months WHERE organisation_id = organisation));
END $$
"""
ANEW = """DELETE FROM cover_revenue_months WHERE organisation_id = organisation;
  DELETE FROM cover_movement_tallies WHERE organisation_id = organisation;"""
_ADD = """
  INSERT INTO cover_revenue_tallies (organisation_id, month, commercial_id, amount)
  SELECT c.organisation_id, date_trunc('month', timezone('Europe/Paris', h.at))::date, c.commercial_id,
    sum(h.annual_after - h.annual_before)
  FROM {changes} h
  JOIN {covers} c ON c.organisation_id = h.organisation_id AND c.subscription_id = h.subscription_id
  WHERE h.currency = 'EUR' AND h.annual_before <> h.annual_after {more}
  GROUP BY 1, 2, 3;
"""
_EMPTIED = "DELETE FROM cover_revenue_tallies WHERE organisation_id = organisation;"
ANEW_BEFORE = _EMPTIED + _ADD.format(
    changes="subscription_history", covers="covers", more="AND c.organisation_id = organisation"
)
_TRIGGER = """
CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  {body}
  RETURN NULL;
END $$
"""
CHANGES_NOTED = """
  INSERT INTO figure_work (organisation_id, cover_id)
  SELECT DISTINCT c.organisation_id, c.id
  FROM added h JOIN covers c ON c.organisation_id = h.organisation_id AND c.subscription_id = h.subscription_id
  WHERE h.currency = 'EUR' AND h.annual_before <> h.annual_after;
"""
# Of two at once, the second sees the first: whoever changes a subscription holds it, and whoever makes its cover waits.
COVERS_WAIT = """
  PERFORM FROM subscriptions s JOIN added a ON a.organisation_id = s.organisation_id AND a.subscription_id = s.id
  ORDER BY s.id FOR NO KEY UPDATE OF s;
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
    "tally_cover_revenue": (
        "note_cover_revenue",
        CHANGES_NOTED,
        _ADD.format(changes="added", covers="covers", more="") + CHANGES_NOTED,
    ),
    "tally_revenue_of_covers": (
        "note_revenue_of_covers",
        COVERS_WAIT + COVERS_NOTED,
        COVERS_WAIT + _ADD.format(changes="subscription_history", covers="added", more="") + COVERS_NOTED,
    ),
    "move_revenue_of_covers": ("note_moved_covers", MOVES_NOTED, COVERS_MOVED + MOVES_NOTED),
}
"""Trigger functions: their names, what they do from now on, and what they did before, as 0064 has it."""
_BOOK = """
CREATE OR REPLACE FUNCTION book_cover_revenue(organisation uuid, clients_of uuid[]) RETURNS void LANGUAGE sql AS $$
  DELETE FROM cover_revenue_months WHERE organisation_id = organisation AND client_id = ANY(clients_of);
  INSERT INTO cover_revenue_months (organisation_id, client_id, {cover} commercial_id, month, previous_month,
    next_month, yearly_before, yearly_after, came_before, has_moved, is_alone {promise})
  SELECT organisation, * FROM cover_revenue_rows(organisation, clients_of)
$$
"""
BOOK = _BOOK.format(cover="cover_id,", promise=", plan_id, trades")
# As migration 0064 has them.
ROWS_BEFORE = """
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
BOOK_BEFORE = _BOOK.format(cover="", promise="")
_COLUMNS = ["previous_month", "next_month", "yearly_before", "yearly_after", "came_before", "has_moved", "is_alone"]
_PROMISED = ["plan_id", "trades"]
_PARTS = ["new", "expansion", "contraction", "churn", "reactivation"]


def upgrade() -> None:
    _empty(["next"])
    op.add_column("cover_revenue_months", sa.Column("cover_id", sa.Uuid(), nullable=False))
    op.add_column("cover_revenue_months", sa.Column("plan_id", sa.Uuid(), nullable=True))
    op.add_column("cover_revenue_months", sa.Column("trades", postgresql.ARRAY(sa.String(length=32)), nullable=True))
    _replace(ROWS, BOOK, ANEW)
    for before, (name, body, _) in NOTING.items():
        op.execute(f"ALTER FUNCTION {before}() RENAME TO {name}")
        op.execute(_TRIGGER.format(name=name, body=body))
    op.drop_table("cover_revenue_tallies")
    _create_tallies()
    op.create_index(
        "uq_cover_revenue_months_client",
        "cover_revenue_months",
        ["organisation_id", "client_id", "month", "cover_id"],
        unique=True,
        postgresql_include=["commercial_id", *_COLUMNS],
    )
    _index("month", ["cover_id", "commercial_id", *_COLUMNS, *_PROMISED])
    op.create_index(
        "ix_cover_revenue_months_previous",
        "cover_revenue_months",
        ["organisation_id", "previous_month", "month", "client_id"],
        postgresql_where=sa.text("previous_month > '0001-01-01'"),
    )
    op.create_index(
        "ix_cover_revenue_months_shared",
        "cover_revenue_months",
        ["organisation_id", "next_month", "client_id"],
        postgresql_where=sa.text("NOT is_alone"),
    )


def downgrade() -> None:
    _empty(["previous", "shared"])
    for event in ("INSERT", "DELETE"):
        op.execute(f"DROP TRIGGER cover_revenue_months_tallied_{event.lower()} ON cover_revenue_months")
    op.execute("DROP FUNCTION tally_cover_revenue_months()")
    op.drop_table("cover_movement_tallies")
    for name in ("cover_id", "plan_id", "trades"):
        op.drop_column("cover_revenue_months", name)
    _replace(ROWS_BEFORE, BOOK_BEFORE, ANEW_BEFORE)
    _create_tallies_of_before()
    for before, (name, _, body) in NOTING.items():
        op.execute(f"ALTER FUNCTION {name}() RENAME TO {before}")
        op.execute(_TRIGGER.format(name=before, body=body))
    op.create_index(
        "uq_cover_revenue_months_client",
        "cover_revenue_months",
        ["organisation_id", "client_id", "month", "commercial_id"],
        unique=True,
        postgresql_nulls_not_distinct=True,
        postgresql_include=_COLUMNS,
    )
    _index("month", ["commercial_id", *_COLUMNS])
    _index("next_month", ["month", "commercial_id", "yearly_after", "is_alone"])


def _empty(indexes: Sequence[str]) -> None:
    """No row is booked, none of these indexes is there, and every cover waits to be booked."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("TRUNCATE cover_revenue_months")
    op.drop_index("uq_cover_revenue_months_client", "cover_revenue_months")
    for name in ("month", *indexes):
        op.drop_index(f"ix_cover_revenue_months_{name}", "cover_revenue_months")
    op.execute("INSERT INTO figure_work (organisation_id, cover_id) SELECT organisation_id, id FROM covers")


def _replace(rows: str, book: str, before: str) -> None:
    op.execute("DROP FUNCTION cover_revenue_rows(uuid, uuid[])")
    op.execute(rows)
    op.execute(book)
    op.execute(REBUILD.format(before=before))


def _create_tallies() -> None:
    op.create_table(
        "cover_movement_tallies",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("commercial_id", sa.Uuid(), nullable=True),
        sa.Column("plan_id", sa.Uuid(), nullable=True),
        sa.Column("trades", postgresql.ARRAY(sa.String(length=32)), nullable=True),
        sa.Column("active", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Numeric(precision=18, scale=2), nullable=False) for name in ("level", *_PARTS)),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_cover_movement_tallies_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_cover_movement_tallies")),
    )
    op.execute(TALLY)
    for event, rows in (("INSERT", "NEW"), ("DELETE", "OLD")):
        op.execute(
            f"CREATE TRIGGER cover_revenue_months_tallied_{event.lower()} AFTER {event} ON cover_revenue_months"
            f" REFERENCING {rows} TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION tally_cover_revenue_months()"
        )


def _create_tallies_of_before() -> None:
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
    op.execute("LOCK TABLE covers, subscription_history IN SHARE MODE")
    op.execute(_ADD.format(changes="subscription_history", covers="covers", more=""))


def _index(column: str, told: Sequence[str]) -> None:
    name = f"ix_cover_revenue_months_{column.removesuffix('_month')}"
    columns = ["organisation_id", column, "client_id"]
    op.create_index(name, "cover_revenue_months", columns, postgresql_include=told)
