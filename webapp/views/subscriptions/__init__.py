"""Subscriptions: the list, one subscription, its creation and its changes."""

from webapp.views.subscriptions import cards, changes, creation, listing, page

BLUEPRINTS = (listing.bp, cards.bp, creation.bp, page.bp, changes.bp)
