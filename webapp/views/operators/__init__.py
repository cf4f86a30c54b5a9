"""Operators: the page of their keys and secrets, what they ask and tell, and what became of it."""

from webapp.views.operators import api, events, keys, webhooks

BLUEPRINTS = (keys.bp, events.bp, api.bp, webhooks.bp)
