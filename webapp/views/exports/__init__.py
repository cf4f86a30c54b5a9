"""« Exporter » at every list, and « Mes exports »."""

from webapp.views.exports import asking, own

BLUEPRINTS = (asking.bp, own.bp)
