"""``flask`` command groups."""

from flask import Flask

from webapp.cli import charges, fulfilment, keys, organisations, payments, winleadplus, woocommerce


def init_app(app: Flask) -> None:
    """Register every command group."""
    charges.init_app(app)
    organisations.init_app(app)
    payments.init_app(app)
    app.cli.add_command(fulfilment.group)
    app.cli.add_command(keys.group)
    app.cli.add_command(winleadplus.group)
    app.cli.add_command(woocommerce.group)
