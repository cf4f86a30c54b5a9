"""Figures: what managers count. Each is a number, and the view of the rows behind it."""
