"""Batches and parcels: what goes out, by whom, and where it is."""

from webapp.views.fulfilment import acting, carriers, listing, page, products

BLUEPRINTS = (acting.bp, carriers.bp, listing.bp, page.bp, products.bp)
