"""The floor of charging: the same rows by bare psycopg, in three transactions per charge (claim, record, number)."""

import json
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import namedtuple_row

from bench.charge_data import ACCOUNT, COMPANY, ORGANISATION

DUE = """
SELECT s.* FROM subscriptions s
WHERE s.organisation_id = %s AND s.next_charge_at IS NOT NULL AND s.next_charge_at <= %s AND NOT EXISTS (
  SELECT FROM charges c
  WHERE c.organisation_id = s.organisation_id AND c.subscription_id = s.id AND c.cycle_no = s.cycle_no)
ORDER BY s.next_charge_at, s.id LIMIT 1 FOR UPDATE OF s SKIP LOCKED
"""
LINES = "SELECT * FROM subscription_lines WHERE organisation_id = %s AND subscription_id = %s ORDER BY position"
METHOD = "SELECT * FROM saved_payment_methods WHERE organisation_id = %s AND id = %s"
CHARGE = """
INSERT INTO charges (organisation_id, id, subscription_id, cycle_no, client_id, company_id, reference, due_on,
  period_start, period_end, amount_before_tax, vat, amount, lines, payment_method, provider_account_id, status,
  attempts_count, lease_until, fence, created_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 20, %s, 24, %s, 'card', %s, 'sending', 1, now(), 1, now())
"""
ATTEMPT = """
INSERT INTO charge_attempts (organisation_id, id, charge_id, number, provider_account_id, provider, saved_method_id,
  amount, status, sends, first_sent_at, last_sent_at, created_at)
VALUES (%s, %s, %s, 1, %s, 'sandbox', %s, 24, 'sending', 1, now(), now(), now())
"""
LOCK = "SELECT * FROM charges WHERE organisation_id = %s AND id = %s AND fence = 1 FOR UPDATE"
LOCK_SUBSCRIPTION = "SELECT * FROM subscriptions WHERE organisation_id = %s AND id = %s FOR UPDATE"
PAID = """
UPDATE charges SET status = 'succeeded', lease_until = NULL, settled_at = now() WHERE organisation_id = %s AND id = %s
"""
ACCEPTED = """
UPDATE charge_attempts SET status = 'succeeded', provider_payment_id = %s, settled_at = now()
WHERE organisation_id = %s AND id = %s
"""
PAYMENT = """
INSERT INTO payments (organisation_id, id, company_id, client_id, charge_id, attempt_id, kind, amount, method, provider,
  external_id, happened_at, recorded_at)
VALUES (%s, %s, %s, %s, %s, %s, 'capture', 24, 'card', 'sandbox', %s, now(), now())
"""
ADVANCED = """
UPDATE subscriptions SET cycle_no = cycle_no + 1, next_charge_on = '2027-01-01', next_charge_at = '2027-01-01',
  current_period_start = '2026-01-01', current_period_end = '2027-01-01'
WHERE organisation_id = %s AND id = %s
"""
INVOICE = """
INSERT INTO invoices (organisation_id, id, company_id, client_id, charge_id, status, series, due_on, period_start,
  period_end, amount_before_tax, vat, total, paid, created_at)
VALUES (%s, %s, %s, %s, %s, 'draft', 'FA', %s, %s, %s, 20, %s, 24, 24, now())
"""
INVOICE_LINE = """
INSERT INTO invoice_lines (organisation_id, id, invoice_id, position, label, unit_price, vat_rate, amount)
VALUES (%s, %s, %s, %s, %s, %s, %s, 10)
"""
ALLOCATION = """
INSERT INTO allocations (organisation_id, id, payment_id, invoice_id, amount, at) VALUES (%s, %s, %s, %s, 24, now())
"""
EVENT = """
INSERT INTO outbox_events (organisation_id, id, kind, subject_id, payload, occurred_at)
VALUES (%s, %s, 'subscription.charged', %s, %s, now())
"""
COUNTER = "SELECT last_number FROM invoice_counters WHERE organisation_id = %s AND company_id = %s FOR UPDATE"
COUNTED = "UPDATE invoice_counters SET last_number = %s WHERE organisation_id = %s AND company_id = %s"
CLIENT = "SELECT * FROM clients WHERE organisation_id = %s AND id = %s"
NUMBERED = """
UPDATE invoices SET number = %s, reference = %s, status = 'paid', issued_on = now(), seller = %s, buyer = %s,
  finalised_at = now() WHERE organisation_id = %s AND id = %s
"""


def charge(dsn: str, number: int) -> None:
    """Charge so many subscriptions, one after the other."""
    with psycopg.connect(dsn, row_factory=namedtuple_row) as connection:
        start = "INSERT INTO invoice_counters (organisation_id, company_id, series, last_number)"
        connection.execute(f"{start} VALUES (%s, %s, 'FA', 0) ON CONFLICT DO NOTHING".encode(), (ORGANISATION, COMPANY))
        connection.commit()
        for _ in range(number):
            _charge_one(connection)


class Ids(NamedTuple):
    """The rows of one charge."""

    subscription: UUID
    client: UUID
    charge: UUID
    attempt: UUID
    payment: UUID
    invoice: UUID


def _charge_one(connection: psycopg.Connection) -> None:
    run = connection.execute
    subscription = run(DUE, (ORGANISATION, datetime(2026, 12, 31, tzinfo=UTC))).fetchone()
    lines = run(LINES, (ORGANISATION, subscription.id)).fetchall()
    run(METHOD, (ORGANISATION, subscription.saved_method_id)).fetchone()
    ids = Ids(subscription.id, subscription.client_id, *(uuid4() for _ in range(4)))
    vat = json.dumps([{"rate": "20", "base": "20.00", "tax": "4.00"}])
    frozen = json.dumps([{"label": line.label, "amount": "10.00", "quantity": "1", "vat_rate": "20"} for line in lines])
    own = (ORGANISATION, ids.charge, ids.subscription, 0, ids.client, COMPANY, f"{ids.subscription}:2026")
    run(CHARGE, (*own, *("2026-01-01", "2026-01-01", "2027-01-01"), vat, frozen, ACCOUNT))
    run(ATTEMPT, (ORGANISATION, ids.attempt, ids.charge, ACCOUNT, subscription.saved_method_id))
    connection.commit()
    _record(connection, ids)
    _draft(connection, ids, vat, lines)
    connection.commit()
    _number(connection, ids)
    connection.commit()


def _record(connection: psycopg.Connection, ids: Ids) -> None:
    run, external = connection.execute, f"pay_{ids.attempt}"
    run(LOCK, (ORGANISATION, ids.charge)).fetchone()
    run(LOCK_SUBSCRIPTION, (ORGANISATION, ids.subscription)).fetchone()
    run(PAID, (ORGANISATION, ids.charge))
    run(ACCEPTED, (external, ORGANISATION, ids.attempt))
    run(PAYMENT, (ORGANISATION, ids.payment, COMPANY, ids.client, ids.charge, ids.attempt, external))
    run(ADVANCED, (ORGANISATION, ids.subscription))
    told = json.dumps({"charge_id": str(ids.charge), "amount": "24.00"})
    run(EVENT, (ORGANISATION, uuid4(), ids.subscription, told))


def _draft(connection: psycopg.Connection, ids: Ids, vat: str, lines: list) -> None:
    run, days = connection.execute, ("2026-01-01", "2026-01-01", "2027-01-01")
    run(INVOICE, (ORGANISATION, ids.invoice, COMPANY, ids.client, ids.charge, *days, vat))
    for line in lines:
        own = (ORGANISATION, uuid4(), ids.invoice, line.position)
        run(INVOICE_LINE, (*own, line.label, line.unit_price, line.vat_rate))
    run(ALLOCATION, (ORGANISATION, uuid4(), ids.payment, ids.invoice))


def _number(connection: psycopg.Connection, ids: Ids) -> None:
    run = connection.execute
    number = run(COUNTER, (ORGANISATION, COMPANY)).fetchone().last_number + 1
    buyer = run(CLIENT, (ORGANISATION, ids.client)).fetchone()
    run(COUNTED, (number, ORGANISATION, COMPANY))
    seller = json.dumps({"name": "Bench"})
    own = (number, f"FA-{number:06d}", seller, json.dumps({"name": buyer.last_name}))
    run(NUMBERED, (*own, ORGANISATION, ids.invoice))
