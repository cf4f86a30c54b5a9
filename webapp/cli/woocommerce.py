"""``flask woocommerce …``: shops by hand."""

from flask.cli import AppGroup

from webapp.cli import woocommerce_events, woocommerce_pulls

group = AppGroup("woocommerce", help="Les boutiques WooCommerce, à la main.")
woocommerce_events.add_to(group)
woocommerce_pulls.add_to(group)
