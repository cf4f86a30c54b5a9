"""``flask keys …``: which data key sealed what, and sealing it anew so that an older key can go."""

import click
from flask.cli import AppGroup

from webapp import crypto
from webapp.french import whole
from webapp.services import keys

group = AppGroup("keys", help="Les clés de chiffrement des données.")


@group.command()
def status() -> None:
    """Montre combien de valeurs chaque clé a scellées. Rend 1 si l’une d’elles manque à CRM_DATA_KEYS."""
    usage = keys.list_usage()
    for key_id in crypto.keyring().keys:
        number = sum(entry.number for entry in usage if entry.key_id == key_id)
        click.echo(f"{key_id} : {f'{whole(number)} valeurs' if number else 'ne sert plus'}")
    for entry in usage:
        click.echo(
            f"  {entry.key_id}  {entry.column}  {whole(entry.number)}{'' if entry.is_known else '  CLÉ INCONNUE'}"
        )
    if not all(entry.is_known for entry in usage):
        raise SystemExit(1)


@group.command()
def rotate() -> None:
    """Scelle à nouveau avec la première clé de CRM_DATA_KEYS tout ce qu’une autre a scellé ; peut être interrompu."""
    try:
        for progress in keys.rotate():
            click.echo(f"{progress.table} : {whole(progress.seen)} lues, {whole(progress.renewed)} scellées à nouveau")
    except crypto.DecryptionError:
        raise click.ClickException(
            "Une valeur est scellée avec une clé que CRM_DATA_KEYS n’a plus : « flask keys status » dit laquelle."
        ) from None
    click.echo("Tout est scellé avec la première clé.")
