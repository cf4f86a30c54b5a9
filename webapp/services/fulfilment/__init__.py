"""Fulfilment: what was charged is prepared and shipped."""
