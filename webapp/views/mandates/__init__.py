"""SEPA mandates: those of a client, the list of those that lack something, and lists that complete them."""

from webapp.views.mandates import imports, listing, page

BLUEPRINTS = (page.bp, listing.bp, imports.bp)
