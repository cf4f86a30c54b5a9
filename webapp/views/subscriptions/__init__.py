"""Subscriptions: the list, one subscription, its creation and its changes."""

from webapp.views.subscriptions import changes, coupons, creation, listing, offer, page, rhythm

BLUEPRINTS = (listing.bp, coupons.bp, creation.bp, page.bp, changes.bp, offer.bp, rhythm.bp)
