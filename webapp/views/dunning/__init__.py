"""Dunning: the list of cases, one case and what a person decides on it, letters, figures, sequences."""

from webapp.views.dunning import figures, letters, listing, page, sequences

BLUEPRINTS = (listing.bp, letters.bp, figures.bp, page.bp, sequences.bp)
