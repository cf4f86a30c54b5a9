"""Gateways to those who carry parcels."""
