"""Batches and parcels: what goes out, by whom, and where it is."""

from webapp.views.fulfilment import carriers

BLUEPRINTS = (carriers.bp,)
