"""Messages: all of them, one of them, letters to be posted, writing to a client, and what providers tell us."""

from webapp.views.messages import letters, listing, page, webhooks, writing

BLUEPRINTS = (listing.bp, page.bp, letters.bp, writing.bp, webhooks.bp)
