"""Subscriptions: the list, one subscription, its creation and its changes; coupons, and cards that expire."""

from webapp.views.subscriptions import cards, changes, coupons, creation, delivery, listing, offer, page, rhythm

BLUEPRINTS = (listing.bp, cards.bp, coupons.bp, creation.bp, page.bp, changes.bp, delivery.bp, offer.bp, rhythm.bp)
