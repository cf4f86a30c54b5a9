"""The application with one more address, /plancher: a view that inserts the row of a delivery by psycopg, and no more.

The same gunicorn, the same body, the same table; no shop is looked up, nothing is verified, sealed or rung for.
"""

import hashlib
import threading
from datetime import UTC, datetime
from typing import Any

import psycopg
from flask import current_app, request

from bench.client_data import ORGANISATION
from bench.databases import dsn
from bench.webhook_data import FLOOR_HOOK, SHOP
from webapp.config import load_settings
from webapp.extensions import csrf
from webapp.factory import create_app
from webapp.models.base import new_id
from webapp.security import public

INSERT = """
INSERT INTO woocommerce_events (organisation_id, id, shop_id, topic, kind, woo_id, webhook_id, delivery_id, body_hash,
  body, received_at, state, next_attempt_at)
VALUES (%s, %s, %s, %s, %s, 1, %s, %s, %s, %s, %s, 'received', %s)
"""

app = create_app(load_settings())
local = threading.local()


@app.post("/plancher")
@csrf.exempt
@public
def floor() -> str:
    """Keep a delivery, whoever sent it."""
    body, at = request.get_data(cache=False), datetime.now(UTC)
    topic, delivery_id = request.headers["X-WC-Webhook-Topic"], request.headers["X-WC-Webhook-Delivery-ID"]
    body_hash = hashlib.sha256(body).digest()
    row = (
        ORGANISATION,
        new_id(),
        SHOP,
        topic,
        topic.partition(".")[0],
        FLOOR_HOOK,
        delivery_id,
        body_hash,
        body,
        at,
        at,
    )
    _connection().execute(INSERT, row)
    return ""


def _connection() -> psycopg.Connection[Any]:
    if not hasattr(local, "connection"):
        local.connection = psycopg.connect(dsn(current_app.extensions["settings"].database_url), autocommit=True)
    connection: psycopg.Connection[Any] = local.connection
    return connection
