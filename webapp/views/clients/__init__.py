"""Clients: the list, one client in tabs, its forms, its activities and documents."""

from webapp.views.clients import activities, bulk, default_means, documents, listing, origins, page, tasks

BLUEPRINTS = (page.bp, activities.bp, documents.bp, default_means.bp, listing.bp, bulk.bp, tasks.bp, origins.bp)
