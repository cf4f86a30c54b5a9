"""Operators: the page of their keys, and what they ask by them."""

from webapp.views.operators import api, keys

BLUEPRINTS = (keys.bp, api.bp)
