"""Changing at once what a subscription sells: what that comes to, day by day, and how it is settled."""
