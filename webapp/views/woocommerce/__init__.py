"""WooCommerce: where shops tell us what happened."""

from webapp.views.woocommerce import reviews, webhooks

BLUEPRINTS = (reviews.bp, webhooks.bp)
