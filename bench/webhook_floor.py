"""The application with two more addresses, under /plancher: each inserts the row of a delivery by psycopg, and no more.

The same gunicorn, the same body, the same table; no sender is looked up, nothing is verified, sealed or rung for.
"""

import hashlib
import threading
from datetime import UTC, datetime
from typing import Any

import psycopg
from flask import current_app, request

from bench.client_data import ORGANISATION
from bench.databases import dsn
from bench.operator_data import FLOOR_OPERATOR
from bench.webhook_data import FLOOR_HOOK, SHOP
from webapp.config import load_settings
from webapp.extensions import csrf
from webapp.factory import create_app
from webapp.models.base import new_id
from webapp.security import public

SHOPS = """
INSERT INTO woocommerce_events (organisation_id, id, shop_id, topic, kind, woo_id, webhook_id, delivery_id, body_hash,
  body, received_at, state, next_attempt_at)
VALUES (%s, %s, %s, %s, %s, 1, %s, %s, %s, %s, %s, 'received', %s)
"""

OPERATORS = """
INSERT INTO operator_events (organisation_id, id, operator_id, message_id, type, external_id, revision, body,
  received_at, state, next_attempt_at)
VALUES (%s, %s, %s, %s, 'claim.updated', %s, 1, %s, %s, 'received', %s)
"""

app = create_app(load_settings())
local = threading.local()


@app.post("/plancher/boutique")
@csrf.exempt
@public
def keep_shops() -> str:
    """Keep a delivery of a shop, whoever sent it."""
    body, at = request.get_data(cache=False), datetime.now(UTC)
    topic, delivery_id = request.headers["X-WC-Webhook-Topic"], request.headers["X-WC-Webhook-Delivery-ID"]
    kind, body_hash = topic.partition(".")[0], hashlib.sha256(body).digest()
    told = (topic, kind, FLOOR_HOOK, delivery_id, body_hash, body)
    _connection().execute(SHOPS, (ORGANISATION, new_id(), SHOP, *told, at, at))
    return ""


@app.post("/plancher/operateur")
@csrf.exempt
@public
def keep_operators() -> tuple[str, int]:
    """Keep an event of an operator, whoever sent it."""
    body, at = request.get_data(cache=False), datetime.now(UTC)
    message_id = request.headers["webhook-id"]
    row = (ORGANISATION, new_id(), FLOOR_OPERATOR, message_id, message_id, body, at, at)
    _connection().execute(OPERATORS, row)
    return "", 202


def _connection() -> psycopg.Connection[Any]:
    if not hasattr(local, "connection"):
        local.connection = psycopg.connect(dsn(current_app.extensions["settings"].database_url), autocommit=True)
    connection: psycopg.Connection[Any] = local.connection
    return connection
