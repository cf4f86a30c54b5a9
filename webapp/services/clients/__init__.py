"""Clients: finding, listing, creating and changing them."""
