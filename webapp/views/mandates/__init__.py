"""SEPA mandates: those of a client, and the list of those that lack something."""

from webapp.views.mandates import listing, page

BLUEPRINTS = (page.bp, listing.bp)
