"""What names a client where no key leads to it: in texts, and in values that stand sealed."""
# ruff: noqa: S608  put together from names and expressions of ours

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import unquote_plus
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import undefer

from webapp import crypto, tenancy
from webapp.crypto import DecryptionError
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.messages import Message, address_purpose
from webapp.models.saved_views import SavedView

AT_ONCE = 500
"""Sealed values that are read together."""
SHORTEST = 5
"""Characters of a name that is looked for in texts: a shorter one stands in any of them."""


def find(ids: Sequence[UUID], operation_id: UUID, *, at: Any) -> dict[str, Any]:
    """What the statements of ``models/personal_data.py`` name, for the erasure of these clients."""
    clients = db.session.scalars(select(Client).where(Client.id.in_(ids))).all()
    addresses = _addresses(clients, ids)
    needles = _needles(clients, addresses)
    merge_ids, merge_client_ids = _merges(ids)
    return {
        "organisation_id": tenancy.current_organisation_id(),
        "operation_id": operation_id,
        "ids": list(ids),
        "texts": [str(each) for each in ids],
        "at": at,
        "merge_ids": merge_ids,
        "merge_client_ids": merge_client_ids,
        "needles": needles,
        "address_indexes": _indexes(addresses),
        "saved_view_ids": _saved_views(needles),
        "listed_operation_ids": list(_scan("operations", "listed_in", "listed_in IS NOT NULL", needles)),
        "webhook_ids": list(_scan("webhook_events", "body", "handled_at IS NOT NULL", [*needles, *_references(ids)])),
        "shop_event_ids": list(_scan("woocommerce_events", "body", "body IS NOT NULL", needles)),
        "operator_event_ids": list(_scan("operator_events", "body", "body IS NOT NULL", needles)),
        "sync_item_ids": list(_scan("sync_items", "payload", "payload IS NOT NULL AND client_id IS NULL", needles)),
    }


def _addresses(clients: Iterable[Client], ids: Sequence[UUID]) -> set[str]:
    """The e-mails and telephones of the clients, and those that were written to; but for what others have, too."""
    sent = db.session.scalars(select(Message).where(Message.client_id.in_(ids)).options(undefer(Message.to)))
    addresses = {each for client in clients for each in (client.email, client.phone) if each}
    addresses |= {address for message in sent if (address := message.to_in_clear())}
    others = select(Client.email, Client.phone).where(
        Client.id.not_in(ids), Client.email.in_(addresses) | Client.phone.in_(addresses)
    )
    return addresses - {each for row in db.session.execute(others) for each in row if each}


def _needles(clients: Iterable[Client], addresses: Iterable[str]) -> list[str]:
    """In lower case; names also without their accents, as people type them into a search."""
    names = {
        f"{one} {other}".lower()
        for client in clients
        for one, other in ((client.last_name, client.first_name), (client.first_name, client.last_name))
        if one and other
    }
    plain = {
        "".join(each for each in unicodedata.normalize("NFKD", name) if not unicodedata.combining(each))
        for name in names
    }
    wanted = {*names, *plain, *(address.lower() for address in addresses)}
    return sorted(each for each in wanted if len(each) >= SHORTEST)


def _indexes(addresses: Iterable[str]) -> list[bytes]:
    purpose = address_purpose(tenancy.current_organisation_id())
    return [index for address in addresses for index in crypto.blind_indexes(address, purpose=purpose)]


def _references(ids: Sequence[UUID]) -> list[str]:
    """What providers call the clients, their means and their payments."""
    rows = db.session.execute(
        text(
            """SELECT customer_reference FROM saved_payment_methods
            WHERE organisation_id = :organisation_id AND client_id = ANY(:ids)
            UNION SELECT method_reference FROM saved_payment_methods
            WHERE organisation_id = :organisation_id AND client_id = ANY(:ids)
            UNION SELECT a.provider_payment_id FROM charge_attempts a
            JOIN charges c ON c.organisation_id = a.organisation_id AND c.id = a.charge_id
            WHERE a.organisation_id = :organisation_id AND c.client_id = ANY(:ids)
              AND a.provider_payment_id IS NOT NULL"""
        ),
        {"organisation_id": tenancy.current_organisation_id(), "ids": list(ids)},
    ).scalars()
    return [each.lower() for each in rows if len(each) >= SHORTEST]


def _merges(ids: Sequence[UUID]) -> tuple[list[UUID], list[UUID]]:
    """The merges in which the clients took part, with what took them back; and everybody who took part."""
    rows = db.session.execute(
        text(
            """SELECT o.id, m.settings ->> 'kept_id' AS kept_id, m.settings -> 'merged_ids' AS merged_ids
            FROM operations o JOIN operations m ON m.organisation_id = o.organisation_id
              AND m.id = coalesce(o.undoes_id, o.id) AND m.kind = 'merge'
            WHERE o.organisation_id = :organisation_id AND (m.settings ->> 'kept_id' = ANY(:texts)
              OR m.settings -> 'merged_ids' ?| CAST(:texts AS text[]))"""
        ),
        {"organisation_id": tenancy.current_organisation_id(), "texts": [str(each) for each in ids]},
    ).all()
    members = {UUID(each) for row in rows for each in (row.kept_id, *row.merged_ids)}
    return [row.id for row in rows], sorted(members)


def _saved_views(needles: Sequence[str]) -> list[UUID]:
    """The views whose name, or the words of whose search, name one of the needles: a query string is encoded."""
    names = _naming(needles)
    views = db.session.execute(select(SavedView.id, SavedView.name, SavedView.query)).all()
    return [view.id for view in views if names(f"{view.name}\n{unquote_plus(view.query)}".lower())]


def _scan(table: str, column: str, condition: str, needles: Sequence[str]) -> Iterator[UUID]:
    """The rows whose sealed value names one of the needles; read page by page, so that memory stays flat."""
    if not needles:
        return
    organisation_id = tenancy.current_organisation_id()
    page = text(
        f"""SELECT id, {column} FROM {table} WHERE organisation_id = :organisation_id AND id > :after AND {condition}
        ORDER BY id LIMIT {AT_ONCE}"""
    )
    after = UUID(int=0)
    names = _naming(needles)
    while rows := db.session.execute(page, {"organisation_id": organisation_id, "after": after}).all():
        for row_id, sealed in rows:
            if names(_opened(sealed, f"{organisation_id}|{table}.{column}|{row_id}")):
                yield row_id
        after = rows[-1][0]


def _naming(needles: Sequence[str]) -> Callable[[str], bool]:
    # JSON may write letters with accents as \u00e9.
    escaped = [each.encode("ascii", "backslashreplace").decode().replace("\\x", "\\u00") for each in needles]
    wanted = list(dict.fromkeys([*needles, *escaped]))
    return lambda opened: any(each in opened for each in wanted)


def _opened(sealed: bytes, place: str) -> str:
    """What it says, in lower case; nothing where the key is gone, and nobody can read it any more."""
    try:
        return crypto.keyring().decrypt(bytes(sealed), place=place).decode("utf-8", "replace").lower()
    except DecryptionError:
        return ""
