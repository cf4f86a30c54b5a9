"""Events of an operator of home repair: received at 200 a second, then handled by one worker (bench/deliveries.py).

Each cover has one claim, which is declared, visited, closed and judged by its client: five events. Claims go on side by
side, fifty at a time.
"""

import json
from datetime import UTC, datetime
from typing import Any

import psycopg

from bench.charge_data import ORGANISATION, filler
from bench.claims import FILL
from bench.databases import open_database, settings_of
from bench.deliveries import Sender, measure
from bench.operator_data import EVENTS, FLOOR_OPERATOR, OPERATOR
from bench.report import Report
from webapp import tenancy
from webapp.extensions import db
from webapp.factory import create_app
from webapp.models.covers import Cover
from webapp.models.operators import CoverOperator
from webapp.services.operators import handling, signing

RECEIVER, FLOOR = f"/webhooks/depanssur/{OPERATOR}", "/plancher/operateur"
SIDE_BY_SIDE = 50


def run(size: int = 5_000) -> Report:
    """Receive ``size`` events, then handle them."""
    covers = -(-size // len(EVENTS))
    environment = open_database("bench_operators", fill=lambda owner: _fill(owner, covers), is_full="SELECT false")
    secret = signing.new_secret()
    with create_app(settings_of(environment)).app_context(), tenancy.organisation(ORGANISATION):
        _open_operators(secret)
        numbers = db.session.scalars(db.select(Cover.number).order_by(Cover.number)).all()
        db.session.rollback()
        db.engine.dispose()

    def request(number: int, *, is_floor: bool) -> bytes:
        block, place = divmod(number, SIDE_BY_SIDE * len(EVENTS))
        step, claim = divmod(place, SIDE_BY_SIDE)
        cover = numbers[(block * SIDE_BY_SIDE + claim) % len(numbers)]
        return _request(number, EVENTS[step](cover), FLOOR if is_floor else RECEIVER, secret)

    operator = Sender(
        name="operators",
        path=RECEIVER,
        floor=FLOOR,
        table="operator_events",
        is_floors=f"operator_id = '{FLOOR_OPERATOR}'",
        status=202,
        ping=f"POST {RECEIVER} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n".encode(),
        request_of=request,
        handle_due=handling.handle_due,
    )
    return measure(operator, environment, size)


def _fill(owner: psycopg.Connection, covers: int) -> None:
    filler(covers)(owner)
    for statement in FILL:
        owner.execute(statement.encode(), {"organisation": ORGANISATION, "size": covers})
    owner.execute("VACUUM ANALYZE")


def _open_operators(secret: str) -> None:
    for operator_id in (OPERATOR, FLOOR_OPERATOR):
        operator = CoverOperator(id=operator_id, name="Bench", key_hash=operator_id.bytes * 2, key_start="bench")
        operator.organisation_id = ORGANISATION
        operator.keep_secrets("webhook_secrets", [secret])
        db.session.add(operator)
    db.session.commit()


def _request(number: int, event: dict[str, Any], path: str, secret: str) -> bytes:
    """The whole request, signed; its ``number`` tells it from every other."""
    body = json.dumps(event, ensure_ascii=False).encode()
    head = [
        f"POST {path} HTTP/1.0",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *(
            f"{name}: {value}"
            for name, value in signing.sign([secret], f"msg_{number}", datetime.now(UTC), body).items()
        ),
    ]
    return "\r\n".join([*head, "", ""]).encode() + body
