"""Asking clients for a means of payment: what staff do, and what the client meets who follows the link."""

from webapp.views.means_requests import link, page

BLUEPRINTS = (page.bp, link.bp)
