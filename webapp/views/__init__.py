"""The pages: one blueprint per domain; a view parses, calls one service and renders."""

from flask import Flask

from webapp.views import (
    activities,
    bank_files,
    charges,
    client,
    clients,
    commercials,
    contract,
    contracts,
    dashboard,
    documents,
    errors,
    figures,
    formats,
    health,
    invoices,
    layout,
    payment_settings,
    preferences,
    search,
    sign_in,
    statistics,
    subscription,
    subscription_edit,
    subscription_new,
    subscriptions,
    synchronisations,
    teams,
    webhook_events,
    webhooks,
)

BLUEPRINTS = (
    health.bp,
    sign_in.bp,
    dashboard.bp,
    client.bp,
    activities.bp,
    documents.bp,
    clients.bp,
    contract.bp,
    contracts.bp,
    commercials.bp,
    search.bp,
    statistics.bp,
    subscriptions.bp,
    subscription_new.bp,
    subscription.bp,
    subscription_edit.bp,
    charges.bp,
    bank_files.bp,
    webhook_events.bp,
    payment_settings.bp,
    invoices.bp,
    preferences.bp,
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
