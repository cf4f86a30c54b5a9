"""Merging clients who are one person, and taking that back (docs/adr/0073)."""
