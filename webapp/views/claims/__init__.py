"""The pages of claim files: their list, one of them, and declaring one."""

from webapp.views.claims import listing, notes, page, settings

BLUEPRINTS = (listing.bp, settings.bp, notes.bp, page.bp)
