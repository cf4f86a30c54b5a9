"""Duplicates: clients who may be one person are found, told apart by people, or merged (docs/adr/0073)."""
