"""Receiving: a delivery is verified, kept as it came and answered at once; a job handles it.

WooCommerce sends one delivery at a time, waits for the answer, never tries twice, and switches a hook off that is
refused again and again: whatever is signed is kept and answered 200, even what makes no sense.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert

from webapp import crypto, queue
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.events import EventState
from webapp.models.woocommerce import LARGEST_ID, ResourceKind, WooCommerceEvent, WooCommerceShop
from webapp.services.woocommerce import signing, sources
from webapp.transactions import transaction

JOB = "jobs.woocommerce.handle"
QUEUE = "webhooks"
BODY_LIMIT = 2 * 1024 * 1024

COPY = "Envoyée par une copie de la boutique\u202f: {source}."
SWITCHED_OFF = "La boutique est désactivée ici."

_PING = re.compile(rb"webhook_id=\d{1,20}")
# Every body that Woo makes begins with the id; where one does not, handling finds it.
_ID = re.compile(rb'\s*\{\s*"id"\s*:\s*"?(\d{1,18})"?\s*[,}]')
_KINDS = {kind.value: kind for kind in ResourceKind}

# Made once, and sent past the session: what builds and looks through them would take as long as all the rest.
_SHOP = WooCommerceShop.__table__.c
_SHOPS = select(_SHOP.organisation_id, _SHOP.id, _SHOP.source, _SHOP.secrets, _SHOP.is_active).order_by(_SHOP.id)
_BY_ID = _SHOPS.where(_SHOP.id == bindparam("which"))
_BY_SOURCE = _SHOPS.where(_SHOP.source == bindparam("which"))
_KEEP = insert(WooCommerceEvent.__table__).on_conflict_do_nothing()  # type: ignore[arg-type]


class Answer(NamedTuple):
    """What to answer the shop: an HTTP status, and a word for whoever tries by hand."""

    status: int
    sentence: str = ""


TAKEN = Answer(200)
UNSIGNED = Answer(401, "Signature absente ou fausse.")
UNKNOWN = Answer(404, "Boutique inconnue.")


def receive(headers: Mapping[str, str], body: bytes, *, shop_id: UUID | None = None, at: datetime) -> Answer:
    """Keep a delivery and ring for its handling. ``headers`` are in any case; ``body`` is raw.

    ``shop_id`` is that of the address; without it, the shop is the one that the source names and the secret proves.
    """
    headers = {name.lower(): value for name, value in headers.items()}
    signature = headers.get("x-wc-webhook-signature", "")
    if not signature:
        return TAKEN if _PING.fullmatch(body) else UNSIGNED
    source = sources.normalised(headers.get("x-wc-webhook-source", ""))
    with transaction():
        shops = _find_shops(shop_id, source)
        if not shops:
            return UNKNOWN
        shop = next((each for each in shops if signing.is_signed(signature, body, each.secrets_in_clear())), None)
        if shop is None:
            return UNSIGNED
        values = _event(shop, headers, body, at=at) | _standing(shop, source, at=at)
        kept = db.session.connection().execute(_KEEP, values)
        if kept.rowcount and values["next_attempt_at"]:
            queue.enqueue_once_after_commit(JOB, shop.organisation_id, on=QUEUE)
    return TAKEN


def _find_shops(shop_id: UUID | None, source: str) -> Sequence[WooCommerceShop]:
    """Of all organisations: two may have the same shop, each with a secret of its own. They belong to no session."""
    statement, which = (_BY_ID, shop_id) if shop_id else (_BY_SOURCE, source)
    rows = db.session.connection().execute(statement, {"which": which})
    return [WooCommerceShop(**row._mapping) for row in rows]


def _event(shop: WooCommerceShop, headers: Mapping[str, str], body: bytes, *, at: datetime) -> dict[str, Any]:
    row_id = new_id()
    topic = _storable(headers.get("x-wc-webhook-topic", ""), 100)
    named = _ID.match(body)
    return {
        "organisation_id": shop.organisation_id,
        "id": row_id,
        "shop_id": shop.id,
        "topic": topic,
        "kind": _KINDS.get(topic.partition(".")[0]),
        "woo_id": int(named[1]) if named else None,
        "webhook_id": _number(headers.get("x-wc-webhook-id", "")),
        "delivery_id": _storable(headers.get("x-wc-webhook-delivery-id", ""), 64),
        "body_hash": hashlib.sha256(body).digest(),
        "body": crypto.keyring().encrypt(body, place=WooCommerceEvent.body_place(shop.organisation_id, row_id)),
        "received_at": at,
    }


def _storable(text: str, length: int) -> str:
    return text.replace("\0", "").encode("utf-8", "backslashreplace").decode()[:length]


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 19 and int(text) <= LARGEST_ID else 0


def _standing(shop: WooCommerceShop, source: str, *, at: datetime) -> dict[str, Any]:
    """To be handled; or shown only: a copy of the shop, for tests, signs with the same secret."""
    if source and not sources.is_of(source, shop.source):
        reason = COPY.format(source=_storable(source, 200))
    elif not shop.is_active:
        reason = SWITCHED_OFF
    else:
        return {"state": EventState.RECEIVED, "next_attempt_at": at, "reason": None, "handled_at": None}
    return {"state": EventState.IGNORED, "next_attempt_at": None, "reason": reason, "handled_at": at}
