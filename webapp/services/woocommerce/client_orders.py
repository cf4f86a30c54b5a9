"""What a client has ordered in shops, for the card « Boutique » of its page."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import contains_eager

from webapp.extensions import db
from webapp.models.woocommerce import ResourceKind, WooCommerceResource

SHOWN = 12
ACCOUNTS = 3
"""Nobody has more accounts in shops, but for a mistake."""
_OF_CLIENT = (
    select(WooCommerceResource)
    .join(WooCommerceResource.shop)
    .options(contains_eager(WooCommerceResource.shop))
    .where(WooCommerceResource.kind.in_((ResourceKind.CUSTOMER, ResourceKind.ORDER)))
    # By kind first, as the index has it: « customer » comes before « order ».
    .order_by(WooCommerceResource.kind, WooCommerceResource.placed_at.desc(), WooCommerceResource.woo_id.desc())
    .limit(ACCOUNTS + SHOWN + 1)
)


@dataclass(frozen=True)
class Bought:
    """The client's ``accounts`` in shops and the latest ``orders``; ``has_more`` where there are older ones."""

    accounts: Sequence[WooCommerceResource]
    orders: Sequence[WooCommerceResource]
    has_more: bool


def list_of_client(client_id: UUID) -> Bought:
    """What the client has in shops, each with its shop: one query."""
    found = db.session.scalars(_OF_CLIENT.where(WooCommerceResource.client_id == client_id)).all()
    orders = [each for each in found if each.kind is ResourceKind.ORDER]
    accounts = [each for each in found if each.kind is ResourceKind.CUSTOMER]
    return Bought(accounts, orders[:SHOWN], len(orders) > SHOWN)
