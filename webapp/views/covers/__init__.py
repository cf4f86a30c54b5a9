"""The pages of covers: their list, one of them, and the plans that are sold."""

from webapp.views.covers import changes, endings, listing, page, plans, zones

BLUEPRINTS = (listing.bp, plans.bp, zones.bp, endings.bp, page.bp, changes.bp)
