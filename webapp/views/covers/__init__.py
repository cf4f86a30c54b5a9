"""The pages of covers: their list, one of them, and the plans that are sold."""

from webapp.views.covers import changes, endings, listing, page, plans

BLUEPRINTS = (listing.bp, plans.bp, endings.bp, page.bp, changes.bp)
