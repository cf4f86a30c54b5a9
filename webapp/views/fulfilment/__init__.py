"""Batches and parcels: what goes out, by whom, and where it is."""

from webapp.views.fulfilment import batch_shipments, carriers, documents, products, shipments

BLUEPRINTS = (carriers.bp, products.bp, batch_shipments.bp, documents.bp, shipments.bp)
