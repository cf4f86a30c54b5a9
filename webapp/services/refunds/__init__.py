"""Refunds: money that goes back to a client, through the provider or by hand."""
