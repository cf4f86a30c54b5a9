"""WooCommerce: where shops tell us what happened."""

from webapp.views.woocommerce import webhooks

BLUEPRINTS = (webhooks.bp,)
