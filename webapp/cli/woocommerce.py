"""``flask woocommerce …``: shops by hand."""

from flask.cli import AppGroup

from webapp.cli import woocommerce_config, woocommerce_events, woocommerce_pulls

group = AppGroup("woocommerce", help="Les boutiques WooCommerce, à la main.")
woocommerce_config.add_to(group)
woocommerce_events.add_to(group)
woocommerce_pulls.add_to(group)
