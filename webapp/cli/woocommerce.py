"""``flask woocommerce …``: shops by hand."""

from flask.cli import AppGroup

from webapp.cli import woocommerce_pulls

group = AppGroup("woocommerce", help="Les boutiques WooCommerce, à la main.")
woocommerce_pulls.add_to(group)
