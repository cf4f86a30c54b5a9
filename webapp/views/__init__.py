"""The pages: one blueprint per domain; a view parses, calls one service and renders."""

from flask import Flask

from webapp.views import health, sign_in

BLUEPRINTS = (health.bp, sign_in.bp)


def init_app(app: Flask) -> None:
    """Register every blueprint."""
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
