"""Figures: the dashboard, statistics, and what their pages share."""

from webapp.views.figures import dashboard, depanssur, statistics

BLUEPRINTS = (dashboard.bp, statistics.bp, depanssur.bp)
