"""Subscriptions: the list, one subscription, its creation and its changes."""

from webapp.views.subscriptions import changes, creation, listing, page

BLUEPRINTS = (listing.bp, creation.bp, page.bp, changes.bp)
