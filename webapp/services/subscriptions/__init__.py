"""Subscriptions: their schedule, life, lines, list and figures."""
