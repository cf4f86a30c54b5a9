"""Messages: all of them, one of them, letters to be posted, and writing to a client."""

from webapp.views.messages import letters, listing, page, writing

BLUEPRINTS = (listing.bp, page.bp, letters.bp, writing.bp)
