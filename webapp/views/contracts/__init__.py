"""Contracts: the list, one contract, its forms, where its values come from."""

from webapp.views.contracts import listing, origins, page

BLUEPRINTS = (page.bp, listing.bp, origins.bp)
