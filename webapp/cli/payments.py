"""``flask payments …``: companies' accounts with payment providers."""

import json
import sys

import click
from flask import Flask
from flask.cli import AppGroup
from sqlalchemy import select

from webapp import tenancy
from webapp.cli.refusals import refusals
from webapp.extensions import db
from webapp.models.organisations import Company
from webapp.models.providers import Provider
from webapp.services.organisations import find_organisation
from webapp.services.providers import accounts

group = AppGroup("payments", help="Les comptes chez les prestataires de paiement.")
organisation_option = click.option("--organisation", "slug", required=True, help="Le nom court de l’organisation.")


@group.command("accounts")
@organisation_option
def show(slug: str) -> None:
    """Montre les comptes, sans leurs identifiants secrets."""
    with refusals(), tenancy.organisation(find_organisation(slug).id):
        for account in accounts.list_accounts():
            state = "actif" if account.is_active else "inactif"
            click.echo(f"{account.id}  {account.company_id}  {account.provider.value}  {state}  {account.ics or '–'}")


@group.command("set-account")
@organisation_option
@click.option("--company", help="Le nom de la société ; par défaut, la principale.")
@click.option(
    "--provider", type=click.Choice([provider.value for provider in Provider if provider.has_accounts]), required=True
)
@click.option("--ics", help="L’identifiant créancier SEPA de la société.")
@click.option("--credentials-stdin", is_flag=True, help="Lit les identifiants sur l’entrée standard, en JSON.")
@click.option("--active/--inactive", default=True)
def set_account(
    *, slug: str, company: str | None, provider: str, ics: str | None, credentials_stdin: bool, active: bool
) -> None:
    """Ouvre ou change le compte d’une société. Les secrets n’apparaissent ni dans la commande ni à l’écran."""
    given = _read_credentials() if credentials_stdin else None
    with refusals(), tenancy.organisation(find_organisation(slug).id):
        wanted = Company.name == company if company else Company.is_default
        account = db.session.scalar(select(Company).where(wanted))
        if account is None:
            raise click.ClickException("Cette société n’existe pas.")
        kept = accounts.save_account(account.id, Provider(provider), credentials=given, ics=ics, is_active=active)
        click.echo(f"Compte {kept.id} enregistré.")


def _read_credentials() -> dict[str, str]:
    try:
        given = json.load(sys.stdin)
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise click.ClickException('Un objet JSON est attendu, par exemple {"api_key": "…", "webhook_secret": "…"}.')
    return {str(name): str(value) for name, value in given.items()}


def init_app(app: Flask) -> None:
    """Register the commands."""
    app.cli.add_command(group)
