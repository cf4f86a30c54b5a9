"""Preferences: the fields an organisation defines, their values per subscription, and the cut-off between cycles."""
