"""WooCommerce: shops, what they tell us, and what a person does about it."""

from webapp.views.woocommerce import events, pulling, reviews, secrets, settings, shops, webhooks

BLUEPRINTS = (shops.bp, settings.bp, secrets.bp, pulling.bp, events.bp, reviews.bp, webhooks.bp)
