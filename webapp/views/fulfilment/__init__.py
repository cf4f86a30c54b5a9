"""Batches and parcels: what goes out, by whom, and where it is."""

from webapp.views.fulfilment import acting, batch_shipments, carriers, documents, listing, page, products, shipments

BLUEPRINTS = (
    listing.bp,
    page.bp,
    acting.bp,
    batch_shipments.bp,
    documents.bp,
    shipments.bp,
    carriers.bp,
    products.bp,
)
