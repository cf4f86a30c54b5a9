"""Cover figures: the book of what counts in which month, its sums, months that are closed, and for whom a cover counts.

Revision: 0057, after 0056

Functions book payments, claim files, invoices and settlements, called by triggers in the transaction of whoever writes
these. Each row is booked once, whoever asks: ``source_id`` is unique by kind and day. Covers that are there are put
down in ``figure_work``; the timetable books what is theirs.
"""
# ruff: noqa: S608  put together from what stands here

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0057"
down_revision = "0056"
branch_labels = None
depends_on = None

# The plan that a cover had on a day (before its first one, that), and every trade that plan and options promised. It is
# a table, so that it is planned as a part of the statement that asks.
COVER_PROMISE = """
CREATE FUNCTION cover_promise(organisation uuid, cover uuid, on_day date) RETURNS TABLE (plan_id uuid, trades varchar[])
LANGUAGE sql STABLE AS $$
  SELECT v.plan_id, ARRAY(
    SELECT DISTINCT trade FROM (
      SELECT unnest(v.trades) AS trade
      UNION ALL
      SELECT unnest(o.trades) FROM cover_options co
      JOIN cover_plan_options o ON o.organisation_id = co.organisation_id AND o.id = co.option_id
      WHERE co.organisation_id = organisation AND co.cover_id = cover
        AND co.since <= on_day AND (co.until IS NULL OR co.until > on_day)
    ) promised ORDER BY trade)
  FROM cover_periods p
  JOIN cover_plan_versions v ON v.organisation_id = p.organisation_id AND v.id = p.version_id
  WHERE p.organisation_id = organisation AND p.cover_id = cover
  ORDER BY p.since <= on_day DESC, abs(p.since - on_day) LIMIT 1
$$
"""
# The first month that is not closed, NULL where none is. Whoever books holds closings off until the transaction ends,
# and waits for one under way: the lock comes first, and the statement after it sees what was closed meanwhile.
OPEN_MONTH = """
CREATE FUNCTION figure_open_month(organisation uuid) RETURNS date LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock_shared(hashtextextended('figures|' || organisation, 0));
  RETURN (SELECT (max(month) + interval '1 month')::date FROM figure_closings WHERE organisation_id = organisation);
END $$
"""
_BOOKED_IN = "greatest(date_trunc('month', {day}::timestamp)::date, open_month)"
# A payment for a charge, before tax, by day over the charge's period; rounded along the running sum, so that the parts
# come to the whole. What goes back goes by the same days.
BOOK_PAYMENTS = f"""
CREATE FUNCTION book_payments(organisation uuid, ids uuid[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE open_month date := figure_open_month(organisation);
BEGIN
  INSERT INTO figure_entries (organisation_id, id, month, day, kind, amount, cover_id, charge_id, source_id, plan_id,
                              trades, commercial_id)
  WITH paid AS MATERIALIZED (
    SELECT p.id AS payment_id, h.id AS charge_id, c.id AS cover_id, c.commercial_id, promise.plan_id, promise.trades,
      h.period_start AS first_day, greatest(h.period_end, h.period_start + 1) AS next_day,
      CASE WHEN h.amount = 0 THEN p.amount ELSE round(p.amount * h.amount_before_tax / h.amount, 2) END AS premium
    FROM payments p
    JOIN charges h ON h.organisation_id = p.organisation_id AND h.id = p.charge_id
    JOIN covers c ON c.organisation_id = h.organisation_id AND c.subscription_id = h.subscription_id
    CROSS JOIN LATERAL cover_promise(organisation, c.id, h.period_start) promise
    WHERE p.organisation_id = organisation AND p.id = ANY(ids) AND p.currency = 'EUR' AND h.period_end > c.concluded_on
  )
  SELECT organisation, gen_random_uuid(), {_BOOKED_IN.format(day="span.day")}, span.day, 'earned', share.amount,
         paid.cover_id, paid.charge_id, paid.payment_id, paid.plan_id, paid.trades, paid.commercial_id
  FROM paid
  CROSS JOIN LATERAL generate_series(date_trunc('month', paid.first_day::timestamp), paid.next_day::timestamp
                                     - interval '1 day', interval '1 month') AS months (start)
  CROSS JOIN LATERAL (
    SELECT greatest(months.start::date, paid.first_day) AS day,
      least((months.start + interval '1 month')::date, paid.next_day) AS next_day
  ) span
  CROSS JOIN LATERAL (
    SELECT round(paid.premium * (span.next_day - paid.first_day) / (paid.next_day - paid.first_day), 2)
      - round(paid.premium * (span.day - paid.first_day) / (paid.next_day - paid.first_day), 2) AS amount
  ) share
  WHERE share.amount <> 0
  ON CONFLICT DO NOTHING;
END $$
"""
# A refusal has the step that refused as its reason; « person » where no rule did. What is decided again counts anew.
BOOK_CLAIMS = f"""
CREATE FUNCTION book_claims(organisation uuid, ids uuid[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE open_month date := figure_open_month(organisation);
BEGIN
  INSERT INTO figure_entries (organisation_id, id, month, day, kind, amount, cover_id, claim_id, source_id, plan_id,
                              trades, commercial_id, reason)
  WITH files AS MATERIALIZED (
    SELECT m.id, m.cover_id, m.trade, c.commercial_id, promise.plan_id
    FROM claims m
    JOIN covers c ON c.organisation_id = m.organisation_id AND c.id = m.cover_id
    CROSS JOIN LATERAL cover_promise(organisation, c.id, m.event_on) promise
    WHERE m.organisation_id = organisation AND m.id = ANY(ids)
  )
  SELECT organisation, gen_random_uuid(), {_BOOKED_IN.format(day="told.day")}, told.day, told.kind, told.amount,
         m.cover_id, m.id, told.source_id, m.plan_id, ARRAY[m.trade], m.commercial_id, told.reason
  FROM files m
  CROSS JOIN LATERAL (
    SELECT e.id AS source_id, timezone('Europe/Paris', e.at)::date AS day, e.kind, e.amount, NULL::varchar AS reason
    FROM claim_entries e
    WHERE e.organisation_id = organisation AND e.claim_id = m.id AND e.kind IN ('paid', 'reserve', 'recovered')
      AND e.amount <> 0
    UNION ALL
    SELECT h.id, timezone('Europe/Paris', h.at)::date, 'accepted', step.amount, NULL
    FROM claim_changes h
    CROSS JOIN LATERAL (
      SELECT CASE WHEN h.new_status = 'accepted' THEN 1
        WHEN h.new_status IN ('to_review', 'canceled') AND h.old_status IN ('accepted', 'in_progress', 'closed') THEN -1
        END AS amount
    ) step
    WHERE h.organisation_id = organisation AND h.claim_id = m.id AND step.amount IS NOT NULL
    UNION ALL
    SELECT h.id, timezone('Europe/Paris', h.at)::date, 'refused', 1, coalesce((
      SELECT line ->> 'step'
      FROM jsonb_array_elements(decided.content -> 'lines') WITH ORDINALITY AS lines (line, place)
      WHERE line ->> 'outcome' = 'refused' ORDER BY place LIMIT 1), 'person')
    FROM claim_changes h
    JOIN LATERAL (
      SELECT d.content FROM claim_decisions d
      WHERE d.organisation_id = organisation AND d.claim_id = m.id AND d.status = 'refused' AND d.at = h.at
      ORDER BY d.id DESC LIMIT 1
    ) decided ON true
    WHERE h.organisation_id = organisation AND h.claim_id = m.id AND h.new_status = 'refused'
  ) told
  ON CONFLICT DO NOTHING;

  INSERT INTO figure_entries (organisation_id, id, month, day, kind, amount, cover_id, claim_id, source_id, plan_id,
                              trades, commercial_id, reason)
  SELECT organisation, gen_random_uuid(), {_BOOKED_IN.format(day="taken.day")}, taken.day, 'refused', -1, b.cover_id,
         b.claim_id, taken.source_id, b.plan_id, b.trades, b.commercial_id, b.reason
  FROM (
    SELECT h.id AS source_id, timezone('Europe/Paris', h.at)::date AS day, (
      SELECT r.id FROM claim_changes r
      WHERE r.organisation_id = organisation AND r.claim_id = h.claim_id AND r.new_status = 'refused' AND r.at <= h.at
      ORDER BY r.at DESC, r.id DESC LIMIT 1
    ) AS refusal_id
    FROM claim_changes h
    WHERE h.organisation_id = organisation AND h.claim_id = ANY(ids) AND h.old_status = 'refused'
      AND h.new_status <> 'refused'
  ) taken
  JOIN figure_entries b ON b.organisation_id = organisation AND b.source_id = taken.refusal_id AND b.kind = 'refused'
  ON CONFLICT DO NOTHING;
END $$
"""
# Invoices and credit notes count from their number on, with what was settled of them, before or after.
BOOK_INVOICES = f"""
CREATE FUNCTION book_invoices(organisation uuid, ids uuid[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE open_month date := figure_open_month(organisation);
BEGIN
  INSERT INTO figure_entries (organisation_id, id, month, day, kind, amount, cover_id, charge_id, invoice_id, source_id,
                              plan_id, trades, commercial_id)
  WITH documents AS MATERIALIZED (
    SELECT i.id, i.issued_on, i.total, h.id AS charge_id, c.id AS cover_id, c.commercial_id, promise.plan_id,
      promise.trades
    FROM invoices i
    LEFT JOIN invoices first ON first.organisation_id = i.organisation_id AND first.id = i.corrects_id
    JOIN charges h ON h.organisation_id = i.organisation_id AND h.id = coalesce(i.charge_id, first.charge_id)
    JOIN covers c ON c.organisation_id = h.organisation_id AND c.subscription_id = h.subscription_id
    CROSS JOIN LATERAL cover_promise(organisation, c.id, h.period_start) promise
    WHERE i.organisation_id = organisation AND i.id = ANY(ids) AND i.number IS NOT NULL AND i.currency = 'EUR'
      AND h.period_end > c.concluded_on
  )
  SELECT organisation, gen_random_uuid(), {_BOOKED_IN.format(day="told.day")}, told.day, told.kind, told.amount,
         i.cover_id, i.charge_id, i.id, told.source_id, i.plan_id, i.trades, i.commercial_id
  FROM documents i
  CROSS JOIN LATERAL (
    SELECT i.id AS source_id, i.issued_on AS day, 'invoiced' AS kind, i.total AS amount
    UNION ALL
    SELECT a.id, timezone('Europe/Paris', a.at)::date, 'settled', a.amount FROM allocations a
    WHERE a.organisation_id = organisation AND a.invoice_id = i.id
  ) told
  WHERE told.amount <> 0
  ON CONFLICT DO NOTHING;
END $$
"""
# What was there before a cover was made for its subscription, or before there was a book.
BOOK_PAST = """
CREATE FUNCTION book_past(organisation uuid, covers_of uuid[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM book_payments(organisation, ARRAY(
    SELECT p.id FROM covers c
    JOIN charges h ON h.organisation_id = c.organisation_id AND h.subscription_id = c.subscription_id
    JOIN payments p ON p.organisation_id = h.organisation_id AND p.charge_id = h.id
    WHERE c.organisation_id = organisation AND c.id = ANY(covers_of)));
  PERFORM book_claims(organisation, ARRAY(
    SELECT id FROM claims WHERE organisation_id = organisation AND cover_id = ANY(covers_of)));
  PERFORM book_invoices(organisation, ARRAY(
    WITH ours AS (
      SELECT i.id FROM covers c
      JOIN charges h ON h.organisation_id = c.organisation_id AND h.subscription_id = c.subscription_id
      JOIN invoices i ON i.organisation_id = h.organisation_id AND i.charge_id = h.id
      WHERE c.organisation_id = organisation AND c.id = ANY(covers_of))
    SELECT id FROM ours
    UNION ALL
    SELECT n.id FROM invoices n JOIN ours ON ours.id = n.corrects_id WHERE n.organisation_id = organisation));
END $$
"""
TALLY_FIGURES = """
  INSERT INTO figure_tallies (organisation_id, month, kind, plan_id, trades, commercial_id, reason, is_late, amount,
                              days)
  SELECT organisation_id, month, kind, plan_id, trades, commercial_id, reason,
    day < month, sum(amount),
    sum(CASE WHEN kind = 'in_force' THEN amount * ((month + interval '1 month')::date - day) ELSE 0 END)
  FROM {entries}
  GROUP BY organisation_id, month, kind, plan_id, trades, commercial_id, reason, day < month
"""
TALLY = f"""
CREATE FUNCTION tally_figures() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM added JOIN figure_closings USING (organisation_id, month)) THEN
    RAISE EXCEPTION 'a month that is closed takes no entry';
  END IF;
  {TALLY_FIGURES.format(entries="added")};
  RETURN NULL;
END $$
"""
REBUILD = f"""
CREATE FUNCTION rebuild_figure_tallies(organisation uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  LOCK TABLE figure_entries IN SHARE MODE;
  DELETE FROM figure_tallies WHERE organisation_id = organisation;
  {TALLY_FIGURES.format(entries="(SELECT * FROM figure_entries WHERE organisation_id = organisation) everything")};
END $$
"""
COUNTS_FOR = """
CREATE FUNCTION set_cover_commercial() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.commercial_id := coalesce(NEW.commercial_id, (
    SELECT commercial_id FROM clients WHERE organisation_id = NEW.organisation_id AND id = NEW.client_id));
  RETURN NEW;
END $$
"""
NOTE_WORK = """
CREATE FUNCTION note_figure_work() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO figure_work (organisation_id, cover_id) SELECT DISTINCT organisation_id, cover_id FROM added;
  RETURN NULL;
END $$
"""
BOOK_ADDED = """
CREATE FUNCTION book_added_{what}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM book_{function}(organisation_id, array_agg(DISTINCT {key})) FROM added WHERE {key} IS NOT NULL
  GROUP BY organisation_id;
  RETURN NULL;
END $$
"""
BOOK_NUMBERED = """
CREATE FUNCTION book_numbered_invoices() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM book_invoices(organisation_id, array_agg(id))
  FROM added JOIN lost USING (organisation_id, id) WHERE added.number IS NOT NULL AND lost.number IS NULL
  GROUP BY organisation_id;
  RETURN NULL;
END $$
"""
BOOKED = {
    "payments": ("payments", "id"),
    "claim_entries": ("claims", "claim_id"),
    "claim_changes": ("claims", "claim_id"),
    "claim_decisions": ("claims", "claim_id"),
    "invoices": ("invoices", "id"),
    "allocations": ("invoices", "invoice_id"),
}
"""What books by which function, and the column that names what is booked."""
CHANGES_COVERS = ("cover_facts", "cover_periods", "cover_options")


def upgrade() -> None:
    _create_tables()
    op.execute(
        "UPDATE covers c SET commercial_id = k.commercial_id FROM clients k"
        " WHERE k.organisation_id = c.organisation_id AND k.id = c.client_id"
    )
    for function in (COVER_PROMISE, OPEN_MONTH, BOOK_PAYMENTS, BOOK_CLAIMS, BOOK_INVOICES, BOOK_PAST):
        op.execute(function)
    for function in (TALLY, REBUILD, COUNTS_FOR, NOTE_WORK, BOOK_NUMBERED):
        op.execute(function)
    op.execute(
        "CREATE TRIGGER figure_entries_kept BEFORE UPDATE OR DELETE ON figure_entries"
        " FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )
    op.execute(
        "CREATE TRIGGER figure_closings_kept BEFORE DELETE ON figure_closings"
        " FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )
    op.execute(
        "CREATE TRIGGER figure_closings_frozen BEFORE UPDATE ON figure_closings FOR EACH ROW"
        " WHEN (to_jsonb(OLD) - 'closed_by_id' <> to_jsonb(NEW) - 'closed_by_id') EXECUTE FUNCTION refuse_change()"
    )
    op.execute(
        "CREATE TRIGGER covers_commercial BEFORE INSERT ON covers FOR EACH ROW EXECUTE FUNCTION set_cover_commercial()"
    )
    _after("INSERT", "figure_entries", "tallied", "tally_figures")
    for table, (function, key) in BOOKED.items():
        op.execute(BOOK_ADDED.format(what=table, function=function, key=key))
        _after("INSERT", table, "booked", f"book_added_{table}")
    op.execute(
        "CREATE TRIGGER invoices_numbered_booked AFTER UPDATE ON invoices"
        " REFERENCING NEW TABLE AS added OLD TABLE AS lost FOR EACH STATEMENT EXECUTE FUNCTION book_numbered_invoices()"
    )
    for table in CHANGES_COVERS:
        _after("INSERT", table, "figures", "note_figure_work")
    _after("UPDATE", "cover_options", "changed_figures", "note_figure_work")
    op.execute("INSERT INTO figure_work (organisation_id, cover_id) SELECT organisation_id, id FROM covers")


def downgrade() -> None:
    for name, table in (
        ("figures", "cover_facts"),
        ("figures", "cover_periods"),
        ("figures", "cover_options"),
        ("changed_figures", "cover_options"),
        ("numbered_booked", "invoices"),
        ("commercial", "covers"),
        *(("booked", table) for table in BOOKED),
    ):
        op.execute(f"DROP TRIGGER {table}_{name} ON {table}")
    op.drop_constraint(op.f("fk_covers_organisation_id_commercial_id"), "covers", type_="foreignkey")
    op.drop_index("ix_covers_commercial", table_name="covers")
    op.drop_column("covers", "commercial_id")
    for table in ("figure_entries", "figure_closings", "figure_work", "figure_tallies"):
        op.drop_table(table)
    for table in BOOKED:
        op.execute(f"DROP FUNCTION book_added_{table}")
    for function in (
        "book_numbered_invoices",
        "note_figure_work",
        "set_cover_commercial",
        "rebuild_figure_tallies",
        "tally_figures",
        "book_past",
        "book_invoices",
        "book_claims",
        "book_payments",
        "figure_open_month",
        "cover_promise",
    ):
        op.execute(f"DROP FUNCTION {function}")


def _after(event: str, table: str, name: str, function: str) -> None:
    op.execute(
        f"CREATE TRIGGER {table}_{name} AFTER {event} ON {table} REFERENCING NEW TABLE AS added"
        f" FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
    )


def _create_tables() -> None:
    op.create_table(
        "figure_tallies",
        _organisation(),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("plan_id", sa.Uuid(), nullable=False),
        sa.Column("trades", postgresql.ARRAY(sa.String(length=32)), nullable=False),
        sa.Column("commercial_id", sa.Uuid(), nullable=True),
        sa.Column("reason", sa.String(length=32), nullable=True),
        sa.Column("is_late", sa.Boolean(), nullable=False),
        sa.Column("amount", sa.Numeric(precision=18, scale=2), nullable=False),
        sa.Column("days", sa.Numeric(precision=18, scale=2), nullable=False),
        *_keys("figure_tallies", "id"),
    )
    op.create_index(
        "ix_figure_tallies_month",
        "figure_tallies",
        ["organisation_id", "kind", "month"],
        postgresql_include=["plan_id", "trades", "commercial_id", "reason", "is_late", "amount", "days"],
    )
    op.create_table(
        "figure_work",
        _organisation(),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("cover_id", sa.Uuid(), nullable=False),
        *_keys("figure_work", "id"),
    )
    op.create_table(
        "figure_closings",
        _organisation(),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_by_id", sa.Uuid(), nullable=True),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("figures", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id", "closed_by_id"],
            ["users.organisation_id", "users.id"],
            name=op.f("fk_figure_closings_organisation_id_closed_by_id"),
            ondelete="SET NULL (closed_by_id)",
        ),
        *_keys("figure_closings", "month"),
    )
    op.create_table(
        "figure_entries",
        _organisation(),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("amount", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.Column("cover_id", sa.Uuid(), nullable=False),
        sa.Column("claim_id", sa.Uuid(), nullable=True),
        sa.Column("charge_id", sa.Uuid(), nullable=True),
        sa.Column("invoice_id", sa.Uuid(), nullable=True),
        sa.Column("source_id", sa.Uuid(), nullable=True),
        sa.Column("plan_id", sa.Uuid(), nullable=False),
        sa.Column("trades", postgresql.ARRAY(sa.String(length=32)), nullable=False),
        sa.Column("commercial_id", sa.Uuid(), nullable=True),
        sa.Column("reason", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id", "cover_id"],
            ["covers.organisation_id", "covers.id"],
            name=op.f("fk_figure_entries_organisation_id_cover_id"),
            ondelete="RESTRICT",
        ),
        *_keys("figure_entries", "id"),
    )
    for name, columns in {
        "cover": ["cover_id", "kind", "day"],
        "kind": ["kind", "day", "id"],
        "month": ["month", "id"],
    }.items():
        op.create_index(f"ix_figure_entries_{name}", "figure_entries", ["organisation_id", *columns])
    op.create_index(
        "ix_figure_entries_invoice",
        "figure_entries",
        ["organisation_id", "invoice_id"],
        postgresql_include=["month", "amount", "kind"],
        postgresql_where=sa.text("invoice_id IS NOT NULL"),
    )
    op.create_index(
        "uq_figure_entries_source",
        "figure_entries",
        ["organisation_id", "source_id", "kind", "day"],
        unique=True,
        postgresql_where=sa.text("source_id IS NOT NULL"),
    )
    op.add_column("covers", sa.Column("commercial_id", sa.Uuid(), nullable=True))
    op.create_index("ix_covers_commercial", "covers", ["organisation_id", "commercial_id"])
    op.create_foreign_key(
        op.f("fk_covers_organisation_id_commercial_id"),
        "covers",
        "commercials",
        ["organisation_id", "commercial_id"],
        ["organisation_id", "id"],
        ondelete="SET NULL (commercial_id)",
    )


def _organisation() -> sa.Column[object]:
    return sa.Column("organisation_id", sa.Uuid(), nullable=False)


def _keys(table: str, key: str) -> tuple[sa.Constraint, ...]:
    return (
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f(f"fk_{table}_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", key, name=op.f(f"pk_{table}")),
    )
