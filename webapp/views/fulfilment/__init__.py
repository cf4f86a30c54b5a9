"""Batches and parcels: what goes out, by whom, and where it is."""

from webapp.views.fulfilment import batch_shipments, carriers, shipments

BLUEPRINTS = (carriers.bp, batch_shipments.bp, shipments.bp)
