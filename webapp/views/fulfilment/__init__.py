"""Batches and parcels: what goes out, by whom, and where it is."""

from webapp.views.fulfilment import acting, carriers, listing, page, products

BLUEPRINTS = (listing.bp, page.bp, acting.bp, products.bp, carriers.bp)
