"""The pretend shop as a shop of the demo organisation, where it runs, so that what happens there arrives at once.

Called at every start: a shop that is connected already is left as it is.
"""

import os
from urllib.parse import urlsplit

from sqlalchemy import select

from demo.woocommerce_shop import keys_of
from webapp import clock
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.organisations import Company
from webapp.models.woocommerce import WooCommerceShop
from webapp.transactions import transaction

NAME = "Boutique fictive"


def add_shop() -> None:
    """Connect it for the default company of the current organisation."""
    url, secret = os.environ.get("WOOCOMMERCE_SHOP_URL", ""), os.environ.get("WOOCOMMERCE_SHOP_SECRET", "")
    source = urlsplit(url).netloc
    known = select(WooCommerceShop.id).where(WooCommerceShop.source == source)
    if not url or not secret or db.session.scalar(known) is not None:
        return
    company_id = db.session.scalars(select(Company.id).where(Company.is_default)).one()
    key, key_secret = keys_of(secret)
    with transaction():
        shop = WooCommerceShop(id=new_id(), company_id=company_id, name=NAME, url=f"{url}/", source=source)
        shop.attribute_codes = {}
        shop.keep_secrets([secret])
        shop.secrets_changed_at = clock.now()
        shop.keep_credentials({"consumer_key": key, "consumer_secret": key_secret})
        db.session.add(shop)
