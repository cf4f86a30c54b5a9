"""Fulfilment: batches (lots), from the charge to the parcel."""
