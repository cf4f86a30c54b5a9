"""Commercials, and the teams that they are in."""
