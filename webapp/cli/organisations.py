"""``flask organisations …``: a new installation's first organisation, and what its invoices say of the seller."""

import click
from flask import Flask
from flask.cli import AppGroup

from webapp import tenancy
from webapp.cli.refusals import refusals
from webapp.services import organisations
from webapp.services.winleadplus import config
from webapp.transactions import transaction

group = AppGroup("organisations", help="Les organisations et leurs sociétés.")


@group.command("create")
@click.argument("slug")
@click.option("--name", required=True, help="Le nom de l’organisation.")
@click.option("--company", required=True, help="Le nom de sa société principale.")
def create(slug: str, name: str, company: str) -> None:
    """Crée une organisation ; SLUG est le nom que portent les jetons (« organisation »)."""
    with refusals(), transaction():
        is_first = not organisations.is_any_there()
        organisation = organisations.open_organisation(slug, name, company=company)
        if not is_first:  # the installation's account would bring it the prospects of the first
            with tenancy.organisation(organisation.id):
                config.change(enabled=False)
    click.echo(f"Organisation « {slug} » créée." + ("" if is_first else " WinLeadPlus y est désactivé."))


@group.command("set-company")
@click.option("--organisation", "slug", required=True, help="Le nom court de l’organisation.")
@click.option("--company", help="Le nom de la société, créée s’il le faut ; par défaut, la principale.")
@click.option("--name", help="Son nouveau nom, tel que les factures et les banques le lisent.")
@click.option("--siren")
@click.option("--vat-number", help="Le numéro de TVA intracommunautaire.")
@click.option("--legal-form", help="La forme juridique : SAS, SARL…")
@click.option("--share-capital", help="Le capital social, en euros.")
@click.option("--registry-city", help="La ville du registre du commerce.")
@click.option("--address-line1")
@click.option("--address-line2")
@click.option("--postcode")
@click.option("--city")
@click.option("--email")
@click.option("--phone")
@click.option("--umr-pattern", help="Le modèle des références de mandat (RUM), par exemple MD-{numero}.")
def set_company(slug: str, company: str | None, **particulars: str | None) -> None:
    """Change ce qui est donné de ce que disent les factures, et laisse le reste ; un texte vide efface."""
    given = {name: value for name, value in particulars.items() if value is not None}
    with refusals(), tenancy.organisation(organisations.find_organisation(slug).id):
        kept = organisations.describe_company(company, given)
        click.echo(f"Société « {kept.name} » enregistrée.")


def init_app(app: Flask) -> None:
    """Register the commands."""
    app.cli.add_command(group)
