"""Subscriptions for pages of figures: one client in five has one, with its history of three years and three charges.

A twentieth is paused and one ended; of the others a third was repriced once. Three charges in a hundred are refused.
"""

import psycopg

from bench.client_data import ORGANISATION

DICE = "LATERAL (SELECT abs(hashtextextended({of}::text, 0) %% 1000003)::int AS die) drawn"

STATEMENTS = (
    f"""
    INSERT INTO subscriptions (organisation_id, id, company_id, client_id, status, frequency, anchor_date, cycle_no,
                               next_charge_on, next_charge_at, recurring_amount, changed_at, created_at)
    SELECT clients.organisation_id, gen_random_uuid(), companies.ids[1 + die %% 3], clients.id,
           drawn_too.status, 'monthly', begun,
           2 + (%(today)s::date - begun) / 30, CASE WHEN is_living THEN %(today)s::date + die %% 30 END,
           CASE WHEN is_living THEN %(today)s::timestamptz + (die %% 30) * interval '1 day' END,
           10 + die %% 5000 / 100.0, begun, begun
    FROM clients
    CROSS JOIN {DICE.format(of="clients.id")}
    CROSS JOIN LATERAL (
      SELECT CASE die / 5 %% 20 WHEN 0 THEN 'paused' WHEN 1 THEN 'canceled' WHEN 2 THEN 'past_due' ELSE 'active' END
               AS status,
             die / 5 %% 20 > 1 AS is_living, %(today)s::date - 90 - die %% 900 AS begun
    ) drawn_too
    CROSS JOIN (SELECT array_agg(id ORDER BY name) AS ids FROM companies) companies
    WHERE clients.organisation_id = %(organisation)s AND die %% 5 = 0
    """,
    """
    INSERT INTO subscription_lines (organisation_id, id, subscription_id, position, label, unit_price)
    SELECT organisation_id, gen_random_uuid(), id, 0, 'Offre', recurring_amount FROM subscriptions
    """,
    f"""
    WITH lives AS (
      SELECT subscriptions.*, die, status NOT IN ('active', 'past_due') AS has_left,
             status IN ('active', 'past_due') AND die %% 3 = 0 AS is_repriced,
             annual_amount * CASE WHEN status IN ('active', 'past_due') AND die %% 3 = 0 THEN 0.8 ELSE 1 END AS first,
             created_at + (die %% 80) * interval '1 day' AS changed
      FROM subscriptions CROSS JOIN {DICE.format(of="subscriptions.id")}
    )
    INSERT INTO subscription_history (organisation_id, id, subscription_id, client_id, currency, at, old_status,
                                      new_status, annual_before, annual_after)
    SELECT organisation_id, gen_random_uuid(), id, client_id, currency, created_at, NULL, 'active', 0, first FROM lives
    UNION ALL
    SELECT organisation_id, gen_random_uuid(), id, client_id, currency, changed, 'active', status, first,
           CASE WHEN has_left THEN 0 ELSE annual_amount END
    FROM lives WHERE has_left OR is_repriced
    """,
    f"""
    INSERT INTO charges (organisation_id, id, subscription_id, cycle_no, client_id, company_id, reference, due_on,
                         period_start, period_end, amount_before_tax, amount, status, created_at)
    SELECT organisation_id, gen_random_uuid(), id, cycle_no - 4 + n, client_id, company_id,
           id || ':' || cycle_no - 4 + n, due_on, due_on, due_on + 30, recurring_amount, recurring_amount * 1.2,
           CASE WHEN (die + n) %% 33 = 0 THEN 'failed' ELSE 'succeeded' END, due_on
    FROM subscriptions
    CROSS JOIN {DICE.format(of="subscriptions.id")}
    CROSS JOIN generate_series(1, 3) n
    CROSS JOIN LATERAL (SELECT %(today)s::date - 90 + 30 * n - die %% 30 AS due_on) cycle
    WHERE next_charge_on IS NOT NULL
    """,
)


def make_subscriptions(owner: psycopg.Connection, today: str) -> None:
    """Fill the tables of subscriptions, which hold nothing yet, for the clients there are."""
    given = {"organisation": ORGANISATION, "today": today}
    for statement in STATEMENTS:
        owner.execute(statement.encode(), given)
