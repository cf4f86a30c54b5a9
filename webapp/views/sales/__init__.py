"""Sales of covers (souscriptions): those that are open, the steps of one, and the link by which a client accepts."""

from webapp.views.sales import beginning, link, listing, signing, steps

BLUEPRINTS = (listing.bp, beginning.bp, steps.bp, signing.bp, link.bp)
