"""Figures: the dashboard, statistics, and what their pages share."""

from webapp.views.figures import dashboard, statistics

BLUEPRINTS = (dashboard.bp, statistics.bp)
