"""A bulk action on all clients of a view: planned, looked at, applied, against the bare statements that write the same.

The floor of the plan is one INSERT … SELECT of the same items; that of the application is, chunk by chunk and committed
as often, one UPDATE of the clients and one INSERT of their timelines' entries, by psycopg alone. Both are run twice in
turn, on the same clients, and the better time of each counts.
"""

import sys
import time
from typing import NamedTuple

import psycopg

from bench.client_data import ORGANISATION, USER, make_clients
from bench.databases import dsn, open_database, settings_of
from bench.report import Line, Report
from webapp import clock, tenancy
from webapp.extensions import db
from webapp.factory import create_app
from webapp.models.base import new_id
from webapp.models.clients import ClientStatus
from webapp.models.identity import User
from webapp.models.operations import OperationState
from webapp.services import bulk
from webapp.services.bulk import BulkAction, BulkChoice, Selection
from webapp.services.clients.selection import ClientsView
from webapp.services.operations import deciding, runs
from webapp.services.operations.carry_out import CHUNK, carry_out

LIMIT = 2.0
ROUNDS = 2
OPERATION = """
INSERT INTO operations (organisation_id, id, kind, title, state, created_at)
VALUES (%(organisation)s, %(operation)s, 'bulk', 'Bare', 'done', now())
"""
PLAN = """
INSERT INTO operation_items (organisation_id, operation_id, position, target, row_id, client_id, label, action, seen,
  before, after)
SELECT organisation_id, %(operation)s, row_number() OVER (ORDER BY id), 'client', id, id,
  left(trim(last_name || ' ' || first_name), 200), 'update', version::text,
  jsonb_build_object('status', status), jsonb_build_object('status', %(status)s::text)
FROM clients WHERE organisation_id = %(organisation)s AND archived_at IS NULL
"""
APPLY = """
WITH changed AS (
  UPDATE clients c SET status = i.after ->> 'status', version = c.version + 1, changed_at = now()
  FROM operation_items i
  WHERE i.organisation_id = %(organisation)s AND i.operation_id = %(operation)s
    AND i.position > %(start)s AND i.position <= %(stop)s
    AND c.organisation_id = i.organisation_id AND c.id = i.row_id
  RETURNING c.id, i.before, i.after
)
INSERT INTO timeline_events (organisation_id, id, client_id, kind, at, operation_id, changes)
SELECT %(organisation)s, gen_random_uuid(), id, 'changed_by_operation', now(), %(operation)s,
  jsonb_build_object('status', jsonb_build_array(before -> 'status', after -> 'status'))
FROM changed
"""


def run(size: int = 100_000) -> Report:
    """Change the status of ``size`` clients by the product and by bare statements, in turn."""
    environment = open_database(
        f"bench_bulk_{size}",
        fill=lambda owner: make_clients(owner, size, _say),
        is_full="SELECT count(*) > 0 FROM clients",
    )
    app = create_app(settings_of(environment))
    ours: list[_Times] = []
    bare: list[_Times] = []
    with (
        app.app_context(),
        tenancy.organisation(ORGANISATION),
        psycopg.connect(dsn(environment["DATABASE_OWNER_URL"]), autocommit=True) as owner,
    ):
        owner.execute("UPDATE users SET roles = '{admin}' WHERE id = %s", [USER])
        owner.execute("UPDATE clients SET status = 'prospect' WHERE status <> 'prospect'")
        for _ in range(ROUNDS):
            owner.execute("VACUUM ANALYZE")
            ours.append(_by_the_product(ClientStatus.INACTIVE, size))
            owner.execute("VACUUM ANALYZE")
            bare.append(_by_bare_statements(owner, ClientStatus.PROSPECT, size))
    lines = [
        Line(name, 1000 * min(times), 1000 * min(floors), "ms", LIMIT)
        for name, times, floors in zip(_Times._fields, zip(*ours, strict=True), zip(*bare, strict=True), strict=True)
    ]
    return Report("bulk", size, lines, [f"status of all clients; chunks of {CHUNK:,}"])


class _Times(NamedTuple):
    """Seconds of a plan, and of its application."""

    planned: float
    applied: float


def _by_the_product(status: ClientStatus, size: int) -> _Times:
    user = db.session.get_one(User, (ORGANISATION, USER))
    started = time.perf_counter()
    choice = BulkChoice(action=BulkAction.STATUS, status=status)
    operation_id = bulk.plan(Selection(ClientsView()), choice, by=user, at=clock.now())
    planned = time.perf_counter()
    deciding.apply(operation_id, by=user, at=clock.now())
    carry_out(ORGANISATION, operation_id)
    ended = time.perf_counter()
    operation = runs.find(operation_id)
    if operation.state is not OperationState.DONE or operation.applied < 0.9 * size:
        raise RuntimeError(f"{operation.applied} applied, {operation.error}")
    db.session.rollback()
    return _Times(planned - started, ended - planned)


def _by_bare_statements(owner: psycopg.Connection, status: ClientStatus, size: int) -> _Times:
    given = {"organisation": ORGANISATION, "operation": new_id(), "status": status.value}
    owner.execute(OPERATION, given)
    started = time.perf_counter()
    owner.execute(PLAN, given)
    planned = time.perf_counter()
    for start in range(0, size, CHUNK):
        owner.execute(APPLY, given | {"start": start, "stop": start + CHUNK})
    return _Times(planned - started, time.perf_counter() - planned)


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)
