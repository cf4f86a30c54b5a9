"""The pages: one blueprint per domain; a view parses, calls one service and renders."""

from flask import Flask

from webapp.views import (
    activities,
    charges,
    client,
    clients,
    commercials,
    contract,
    contracts,
    dashboard,
    errors,
    figures,
    formats,
    health,
    layout,
    search,
    sign_in,
    statistics,
    subscription,
    subscription_edit,
    subscriptions,
    synchronisations,
    teams,
    webhooks,
)

BLUEPRINTS = (
    health.bp,
    sign_in.bp,
    dashboard.bp,
    client.bp,
    activities.bp,
    clients.bp,
    contract.bp,
    contracts.bp,
    commercials.bp,
    search.bp,
    statistics.bp,
    subscriptions.bp,
    subscription.bp,
    subscription_edit.bp,
    charges.bp,
    teams.bp,
    synchronisations.bp,
    webhooks.bp,
)


def init_app(app: Flask) -> None:
    """Register every blueprint, and what all pages share."""
    layout.init_app(app)
    formats.init_app(app)
    figures.init_app(app)
    errors.init_app(app)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
