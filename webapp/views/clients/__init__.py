"""Clients: the list, one client in tabs, its forms, its activities and documents; bulk actions, duplicates, merges."""

from webapp.views.clients import (
    activities,
    bulk,
    default_means,
    documents,
    duplicates,
    expiring,
    listing,
    merging,
    origins,
    page,
    tasks,
)

BLUEPRINTS = (
    page.bp,
    activities.bp,
    documents.bp,
    default_means.bp,
    listing.bp,
    bulk.bp,
    tasks.bp,
    expiring.bp,
    duplicates.bp,
    merging.bp,
    origins.bp,
)
