"""What pages of figures are measured on: a million clients with two million contracts of three years, and their lines.

Clients and commercials are those of bench/client_data.py. Contracts differ in everything that figures tell apart:
day, status, company, product, amount, end, means of payment; 2 % have no date. Mandates are left out but for the
mark that they leave on contracts.
"""

from collections.abc import Callable
from uuid import UUID

import psycopg

from bench.client_data import BENCH_ID, ORGANISATION, make_clients, without_indexes
from bench.subscription_data import make_subscriptions

ADMIN = UUID("00000000-0000-7000-8000-000000000003")
MANAGER = UUID("00000000-0000-7000-8000-000000000004")
TODAY = "2026-11-20"
COMPANIES, PRODUCTS, TEAMS = 3, 20, 5

PLACE = "('x' || substr(reference, 3, 8))::bit(32)::int"
CONTRACTS = f"""
INSERT INTO contracts (organisation_id, id, client_id, company_id, commercial_id, reference, status, amount, signed_at,
                       ends_on, payment_method, has_mandate, product_ids, source, changed_at, created_at)
SELECT %(organisation)s, {BENCH_ID.format(i=PLACE)}, client_id, companies.ids[1 + die %% 3], commercial_id, reference,
       (ARRAY['pending', 'terminated', 'terminated', 'canceled', 'draft', 'active', 'active', 'active', 'active',
              'active', 'active', 'active'])[1 + die %% 12],
       10 + die %% 20000 / 100.0, CASE WHEN die %% 50 > 0 THEN signed_at END,
       CASE WHEN die %% 3 = 0 THEN signed_at::date + 365 * (1 + die %% 4) END,
       CASE WHEN die %% 5 > 0 THEN 'sepa' ELSE 'card' END, die %% 7 > 0,
       ARRAY[products.ids[1 + floor({PRODUCTS} * (die %% 1000 / 1000.0) ^ 2)::int]], source, signed_at, signed_at
FROM (
  SELECT clients.id AS client_id, clients.commercial_id, clients.source, reference, die,
         timestamptz '{TODAY} 10:00Z' - die %% 1095 * interval '1 day' AS signed_at
  FROM clients
  CROSS JOIN LATERAL regexp_split_to_table(clients.contract_references, ' ') reference
  CROSS JOIN LATERAL (SELECT abs(hashtextextended(reference, 0) %% 1000003)::int AS die) drawn_die
  WHERE clients.organisation_id = %(organisation)s AND clients.contracts_count > 0
) drawn
CROSS JOIN (SELECT array_agg(id ORDER BY name) AS ids FROM companies) companies
CROSS JOIN (SELECT array_agg(id ORDER BY name) AS ids FROM products) products
"""

LINES = """
INSERT INTO contract_lines (organisation_id, id, contract_id, position, product_id, label, unit_price)
SELECT organisation_id, gen_random_uuid(), id, 0, product_ids[1], 'Offre', amount FROM contracts
"""


HOUSE = (
    "INSERT INTO users (organisation_id, id, first_name, last_name, roles, created_at)"
    " VALUES (%(organisation)s, %(admin)s, 'Amélie', 'Banc', '{admin}', now())",
    "INSERT INTO users (organisation_id, id, first_name, last_name, roles, created_at)"
    " VALUES (%(organisation)s, %(manager)s, 'Martine', 'Banc', '{manager}', now())",
    "INSERT INTO companies (organisation_id, id, name, created_at)"
    " SELECT %(organisation)s, gen_random_uuid(), 'Société ' || n, now() FROM generate_series(2, %(companies)s) n",
    "INSERT INTO products (organisation_id, id, name, created_at)"
    " SELECT %(organisation)s, gen_random_uuid(), 'Produit ' || n, now() FROM generate_series(1, %(products)s) n",
    "INSERT INTO teams (organisation_id, id, name, created_at)"
    " SELECT %(organisation)s, gen_random_uuid(), 'Équipe ' || n, now() FROM generate_series(1, %(teams)s) n",
    "UPDATE commercials SET team_id = ids[1 + external_id::int %% %(teams)s]"
    " FROM (SELECT array_agg(id ORDER BY name) AS ids FROM teams) teams",
    "INSERT INTO team_leaders (organisation_id, team_id, user_id)"
    " SELECT organisation_id, id, %(manager)s FROM teams ORDER BY name LIMIT 1",
)


def make_pages(owner: psycopg.Connection, size: int, say: Callable[[str], None]) -> None:
    """Fill the tables, which hold nothing yet; ``owner`` owns them. Some minutes for a million clients."""
    make_clients(owner, size, say, make_contracts=_make_contracts, most=4, bend=1.1)
    with owner.transaction(), without_indexes(owner, "contract_lines"):
        owner.execute(LINES)
        say("lines")
    owner.execute("SELECT rebuild_tallies(%s)", [ORGANISATION])
    say("tallies")
    make_subscriptions(owner, TODAY)
    say("subscriptions")
    owner.execute("VACUUM ANALYZE")
    say("vacuum")


def _make_contracts(owner: psycopg.Connection) -> None:
    given = {"organisation": ORGANISATION, "admin": ADMIN, "manager": MANAGER}
    given_too = {"companies": COMPANIES, "products": PRODUCTS, "teams": TEAMS}
    for statement in (*HOUSE, CONTRACTS):
        owner.execute(statement.encode(), given | given_too)
