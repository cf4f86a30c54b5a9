"""The pretend shop in the test's process, on a real port: see demo/woocommerce_shop.py."""

from collections.abc import Iterator
from contextlib import contextmanager

from demo import woocommerce_shop
from demo.woocommerce_shop import Shop
from tests.serving import serving

SECRET = "a secret of the shop"


@contextmanager
def running() -> Iterator[Shop]:
    """A shop with nothing in it but articles, until the end of the block; its ``url`` is where it answers."""
    shop = Shop("", SECRET)
    server = woocommerce_shop.start(shop, 0)
    shop.url = shop.world.url = f"http://127.0.0.1:{server.port}/"
    with serving(server):
        yield shop
