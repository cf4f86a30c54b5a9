"""Consents: noted on the client's page, the texts that clients agree to, and the link that withdraws one."""

from webapp.views.consents import client, unsubscribe, wordings

BLUEPRINTS = (client.bp, wordings.bp, unsubscribe.bp)
