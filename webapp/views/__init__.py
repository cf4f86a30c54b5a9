"""The pages: a module or package per domain, with its blueprints; a view parses, calls one service and renders."""

from flask import Flask

from webapp.views import (
    bank_files,
    charges,
    claims,
    clients,
    commercials,
    companies,
    consents,
    contracts,
    covers,
    dunning,
    errors,
    exports,
    figures,
    formats,
    fulfilment,
    health,
    identity,
    imports,
    invoices,
    journal,
    layout,
    mandates,
    means_requests,
    message_settings,
    messages,
    operations,
    operators,
    own_sessions,
    preferences,
    provider_events,
    providers,
    rights,
    sales,
    saved_views,
    search,
    subscriptions,
    teams,
    winleadplus,
    winleadplus_settings,
    woocommerce,
)
from webapp.views.exports import asking
from webapp.views.figures import periods

BLUEPRINTS = (
    health.bp,
    identity.bp,
    own_sessions.bp,
    *figures.BLUEPRINTS,
    *exports.BLUEPRINTS,
    journal.bp,
    rights.bp,
    *clients.BLUEPRINTS,
    *consents.BLUEPRINTS,
    *contracts.BLUEPRINTS,
    *covers.BLUEPRINTS,
    *sales.BLUEPRINTS,
    *claims.BLUEPRINTS,
    commercials.bp,
    companies.bp,
    search.bp,
    saved_views.bp,
    *subscriptions.BLUEPRINTS,
    *charges.BLUEPRINTS,
    bank_files.bp,
    *dunning.BLUEPRINTS,
    *fulfilment.BLUEPRINTS,
    *mandates.BLUEPRINTS,
    *means_requests.BLUEPRINTS,
    *messages.BLUEPRINTS,
    *provider_events.BLUEPRINTS,
    providers.bp,
    *message_settings.BLUEPRINTS,
    imports.bp,
    invoices.bp,
    preferences.bp,
    teams.bp,
    operations.bp,
    *operators.BLUEPRINTS,
    winleadplus.bp,
    winleadplus_settings.bp,
    *woocommerce.BLUEPRINTS,
)


def init_app(app: Flask) -> None:
    """Register every blueprint, and what all pages share."""
    layout.init_app(app)
    formats.init_app(app)
    periods.init_app(app)
    asking.init_app(app)
    errors.init_app(app)
    rights.init_app(app)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
