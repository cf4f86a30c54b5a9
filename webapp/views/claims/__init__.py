"""The pages of claim files: their list, one of them, and declaring one."""

from webapp.views.claims import listing, page

BLUEPRINTS = (listing.bp, page.bp)
