"""Asking clients for a means of payment, by a link to the provider's own page."""
