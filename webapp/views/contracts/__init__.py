"""Contracts: the list, one contract, its forms."""

from webapp.views.contracts import listing, page

BLUEPRINTS = (page.bp, listing.bp)
