"""Batches and parcels: what goes out, by whom, and where it is."""

from webapp.views.fulfilment import acting, listing, page, products

BLUEPRINTS = (listing.bp, page.bp, acting.bp, products.bp)
