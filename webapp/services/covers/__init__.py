"""Covers (couvertures) of home repair: what is promised, when it holds, and what becomes of a claim."""
