"""Charges: the list and what needs a person, one charge, the runs, and the events of the outbox."""

from webapp.views.charges import events, listing, page, runs

BLUEPRINTS = (listing.bp, page.bp, runs.bp, events.bp)
