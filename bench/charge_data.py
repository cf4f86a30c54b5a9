"""Subscriptions that are due, by the hundred thousand, each of a client of its own with a card at a provider."""

from collections.abc import Callable
from uuid import UUID

import psycopg

ORGANISATION = UUID("00000000-0000-7000-8000-000000000001")
COMPANY = UUID("00000000-0000-7000-8000-000000000003")
ACCOUNT = UUID("00000000-0000-7000-8000-000000000004")

# The same number gives the same row: subscription i belongs to client i and is paid from method i.
_ID = "(lpad(to_hex({kind}), 8, '0') || '00007000' || '8000' || lpad(to_hex(i), 12, '0'))::uuid"
CLIENT, METHOD, SUBSCRIPTION = (_ID.format(kind=kind) for kind in (1, 2, 3))

STATEMENTS = (
    "INSERT INTO organisations (id, slug, name, created_at) VALUES (%(organisation)s, 'bench', 'Bench', now())",
    """INSERT INTO companies (organisation_id, id, name, is_default, created_at)
    VALUES (%(organisation)s, %(company)s, 'Bench', true, now())""",
    """INSERT INTO provider_accounts (organisation_id, id, company_id, provider, is_active, rate_per_second, created_at)
    VALUES (%(organisation)s, %(account)s, %(company)s, 'sandbox', true, 1000000, now())""",
    f"""INSERT INTO clients (organisation_id, id, status, last_name, first_name, changed_at, created_at)
    SELECT %(organisation)s, {CLIENT}, 'active', 'Client' || i, 'Bench', now(), now()
    FROM generate_series(1, %(size)s) AS i""",
    f"""INSERT INTO saved_payment_methods (organisation_id, id, client_id, provider_account_id, method,
      method_reference, created_at)
    SELECT %(organisation)s, {METHOD}, {CLIENT}, %(account)s, 'card', 'pm_' || i, now()
    FROM generate_series(1, %(size)s) AS i""",
    f"""INSERT INTO subscriptions (organisation_id, id, company_id, client_id, status, frequency, anchor_date,
      next_charge_on, next_charge_at, recurring_amount, payment_method, provider_account_id, saved_method_id,
      changed_at, created_at)
    SELECT %(organisation)s, {SUBSCRIPTION}, %(company)s, {CLIENT}, 'active', 'annual', '2026-01-01',
      '2026-01-01', '2026-01-01T00:00Z'::timestamptz + i * interval '1 second', 20, 'card', %(account)s, {METHOD},
      now(), now()
    FROM generate_series(1, %(size)s) AS i""",
    f"""INSERT INTO subscription_lines (organisation_id, id, subscription_id, position, label, unit_price)
    SELECT %(organisation)s, gen_random_uuid(), {SUBSCRIPTION}, line, 'Coffret ' || line, 10
    FROM generate_series(1, %(size)s) AS i, generate_series(0, 1) AS line""",
)


def filler(size: int) -> Callable[[psycopg.Connection], None]:
    """What fills a database with ``size`` subscriptions, the i-th due i seconds into 2026."""

    def fill(owner: psycopg.Connection) -> None:
        parameters = {"organisation": ORGANISATION, "company": COMPANY, "account": ACCOUNT, "size": size}
        for statement in STATEMENTS:
            owner.execute(statement.encode(), parameters)
        owner.execute("VACUUM ANALYZE")

    return fill
