"""What the shop knows of a person, brought to the client. A first link fills blanks; later only what changed there.

An account's word goes before that of orders; of these, for each field, the latest that says something. So it does not
matter in which order they are told.
"""

from datetime import datetime
from typing import Any

from webapp.extensions import db
from webapp.models.clients import Client, ClientStatus
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.models.woocommerce import WooCommerceShop
from webapp.services.woocommerce.matching import Found, Meeting, People
from webapp.services.woocommerce.reading import Address, Customer, Sale

GROUPS = {
    "name": ("last_name", "first_name"),
    "email": ("email",),
    "phone": ("phone",),
    "address": ("address_line1", "address_line2", "postcode", "city", "country"),
    "delivery": (
        "delivery_name",
        "delivery_line1",
        "delivery_line2",
        "delivery_postcode",
        "delivery_city",
        "delivery_country",
    ),
}
"""What is changed as a whole: half of an address would be nobody's."""
COUNTRIES = ("country", "delivery_country")
REQUIRED = ("last_name", "first_name", "country", "delivery_country")

TOLD = {
    Meeting.CREATED: EventKind.CLIENT_FROM_SHOP,
    Meeting.LINKED: EventKind.CLIENT_LINKED_TO_SHOP,
    Meeting.KNOWN: EventKind.CLIENT_SYNCED_BY_SHOP,
}
Values = dict[str, list[str]]
Changes = dict[str, list[str | None]]


def report(people: People, found: Found, sale: Sale | None, *, at: datetime, has_bought: bool = False) -> None:
    """Bring to the client what an account, or an order, says of the person. Safe to repeat.

    ``has_bought`` makes a client of a prospect.
    """
    client, mapping = people.client(found.client_id), people.first_mapping(found.client_id)
    if mapping is None:  # a guest without an e-mail: nothing tells one order's from another's
        said: Values = {}
        known: dict[str, Any] = {"orders": _heard({}, sale)}
    else:
        snapshot = mapping.snapshot_in_clear()
        said = snapshot.get("said", {})
        known = {"customer": snapshot.get("customer", {}), "orders": _heard(snapshot.get("orders", {}), sale)}
        if found.customer is not None and not found.customer.word.is_erased:
            known["customer"] = words_of(found.customer.word)
    wanted = {group: value[0] for group, value in known["orders"].items()} | known.get("customer", {})
    changes = _apply(client, wanted, said)
    if has_bought and client.status is ClientStatus.PROSPECT:
        changes["status"] = [client.status.value, ClientStatus.ACTIVE.value]
        client.status = ClientStatus.ACTIVE
    if mapping is not None and known | {"said": wanted} != snapshot:
        mapping.keep_snapshot(known | {"said": wanted})
        mapping.last_synced_at = at
    if changes or found.meeting is not Meeting.KNOWN:
        _tell(people.shop, client, found.meeting, changes, at=at)


def _heard(orders: dict[str, Any], sale: Sale | None) -> dict[str, Any]:
    """What orders say, with what this one says: group → value, and of which order it is."""
    if sale is None or sale.is_erased:
        return orders
    told = [sale.created_at.isoformat(), sale.woo_id]
    return orders | {
        group: [value, told]
        for group, value in words_of(sale).items()
        if group not in orders or orders[group][1] <= told
    }


def words_of(word: Customer | Sale) -> Values:
    """What the word says of the person, by group; only what it says something of."""
    billing, shipping = word.billing, word.shipping
    said = {
        "name": _name(word),
        "email": [word.email if isinstance(word, Customer) else billing.email],
        "phone": [billing.phone],
        "address": _place(billing),
        "delivery": _delivery(billing, shipping),
    }
    return {group: value for group, value in said.items() if any(value)}


def _name(word: Customer | Sale) -> list[str]:
    """Last and first name; a firm's where the person gave none."""
    who = word if isinstance(word, Customer) and (word.last_name or word.first_name) else word.billing
    if who.last_name or who.first_name:
        return [who.last_name, who.first_name]
    return [word.billing.company, ""]


def _place(address: Address) -> list[str]:
    if address.is_empty:
        return []
    return [address.line1, address.line2, address.postcode, address.city, address.country or "FR"]


def _delivery(billing: Address, shipping: Address) -> list[str]:
    """Empty where it goes to the main address."""
    if shipping.is_empty or _place(shipping) == _place(billing):
        return []
    name = f"{shipping.first_name} {shipping.last_name}".strip() or shipping.company
    own = f"{billing.first_name} {billing.last_name}".strip()
    return ["" if name == own else name[:200], *_place(shipping)]


def _apply(client: Client, wanted: Values, said: Values) -> Changes:
    """Set what is to be set; returns field → old and new."""
    changes: Changes = {}
    for group, columns in GROUPS.items():
        current = [getattr(client, column) or "" for column in columns]
        new = wanted.get(group) or _nothing(columns)
        if current == new or not _is_due(columns, current, new, said.get(group)):
            continue
        for column, old, value in zip(columns, current, new, strict=True):
            if old != value:
                setattr(client, column, value if value or column in REQUIRED else None)
                changes[column] = [old or None, value or None]
    return changes


def _nothing(columns: tuple[str, ...]) -> list[str]:
    return ["FR" if column in COUNTRIES else "" for column in columns]


def _is_due(columns: tuple[str, ...], current: list[str], new: list[str], said: list[str] | None) -> bool:
    """Whether the shop's value is to be set: it changed there, or ours is blank and the shop never said any.

    What the shop takes back goes only where nobody has changed it here since.
    """
    if said is None:
        return not any(value for column, value in zip(columns, current, strict=True) if column not in COUNTRIES)
    is_blank = new == _nothing(columns)
    return current == said if is_blank and columns != GROUPS["name"] else not is_blank and new != said


def _tell(shop: WooCommerceShop, client: Client, meeting: Meeting, changes: Changes, *, at: datetime) -> None:
    client.changed_at, client.version = at, client.version + 1
    shown = {"shop": [None, shop.name], **changes}
    db.session.add(TimelineEvent(client_id=client.id, kind=TOLD[meeting], at=at, changes=shown))
