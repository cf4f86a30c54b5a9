"""Fetching: what an event waits for is read from the shop at once, where the shop can be asked.

Only a help: whatever fails here is left to the next pull, or to the delivery that is on its way.
"""

from uuid import UUID

import structlog
from sqlalchemy import select

from webapp import clock, queue, tenancy
from webapp.errors import DomainError
from webapp.extensions import db
from webapp.gateways import woocommerce
from webapp.gateways.woocommerce import Access
from webapp.models.woocommerce import EventState, ResourceKind, WooCommerceEvent, WooCommerceShop
from webapp.services.woocommerce import handling, pulls, trying
from webapp.services.woocommerce.receiving import FETCH_JOB
from webapp.transactions import transaction

log = structlog.get_logger()

AT_ONCE = 20
"""How many resources one job fetches; what else is missing comes with the next pull."""
COLLECTIONS = {
    "client": (ResourceKind.CUSTOMER, "customers"),
    "subscription": (ResourceKind.SUBSCRIPTION, "subscriptions"),
    "order": (ResourceKind.ORDER, "orders"),
}


def fetch_awaited(organisation_id: UUID, shop_id: UUID) -> int:
    """Ask a shop for what its events wait for, and apply it; returns how many came."""
    queue.heard(FETCH_JOB, organisation_id, shop_id)
    with tenancy.organisation(organisation_id):
        try:
            with transaction():  # ended before the shop is called
                names = _list_awaited(shop_id)
                shop = pulls.check_can_be_read(shop_id)
                access = trying.access_of(shop)
            return _fetch(shop, access, names) if names else 0
        except DomainError as error:
            log.info("shop_fetch_failed", reason=type(error).__name__)
            return 0


def _list_awaited(shop_id: UUID) -> list[str]:
    """The names that are waited for, those last waited for first; guests have none that can be asked for."""
    rows = db.session.scalars(
        select(WooCommerceEvent.waits_for)
        .where(
            WooCommerceEvent.shop_id == shop_id,
            WooCommerceEvent.waits_for.is_not(None),
            WooCommerceEvent.state == EventState.WAITING,
        )
        .order_by(WooCommerceEvent.received_at.desc())
        .limit(AT_ONCE * 5)
    )
    return [name for name in dict.fromkeys(rows) if name is not None and _is_askable(name)][:AT_ONCE]


def _is_askable(name: str) -> bool:
    what, _, woo_id = name.partition(":")
    return what in COLLECTIONS and woo_id.isascii() and woo_id.isdigit()


def _fetch(shop: WooCommerceShop, access: Access, names: list[str]) -> int:
    came = 0
    with woocommerce.connected(access) as connection:
        for name in names:
            what, _, woo_id = name.partition(":")
            kind, collection = COLLECTIONS[what]
            asked_at = clock.now()
            body = connection.show(f"{collection}/{woo_id}")
            if body is not None:
                handling.apply(shop, kind, body, at=asked_at)
                came += 1
    return came
