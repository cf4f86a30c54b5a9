"""What payment providers tell us: where they tell it, and the list of what became of it."""

from webapp.views.provider_events import listing, webhooks

BLUEPRINTS = (listing.bp, webhooks.bp)
