"""``flask winleadplus …``: the integration by hand, with the service account's token."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import click
from flask import current_app
from flask.cli import AppGroup

from webapp import clock, tenancy
from webapp.errors import DomainError
from webapp.french import counted
from webapp.models.runs import RunStatus, RunTrigger
from webapp.models.winleadplus import SyncRun
from webapp.services.winleadplus import config, connection, runs, status
from webapp.services.winleadplus.carry_out import carry_out

EXIT_CODES = {RunStatus.SUCCESS: 0, RunStatus.FAILED: 1, RunStatus.PARTIAL: 2}
POLL_SECONDS = 0.5
MOST_LOGS = 1000

group = AppGroup("winleadplus", help="La synchronisation avec WinLeadPlus, à la main.")
organisation_option = click.option("--organisation", "slug", help="Son nom court\u202f; par défaut CRM_ORGANISATION.")
json_option = click.option("--json", "as_json", is_flag=True, help="Répond en JSON.")


@group.command()
@organisation_option
@click.option("--dry-run", is_flag=True, help="Montre ce qui serait fait, sans rien enregistrer.")
@json_option
def sync(slug: str | None, dry_run: bool, as_json: bool) -> None:
    """Synchronise maintenant. Rend 0 si tout va bien, 2 si la synchronisation est partielle, 1 si elle a échoué."""
    with _organisation(slug) as organisation_id:
        run_id, is_new = runs.start(trigger=RunTrigger.COMMAND, at=clock.now(), dry_run=dry_run, enqueue=False)
        if not is_new:
            click.echo("Une synchronisation est déjà en cours : en voici la fin.", err=True)
        run = _carry_out(organisation_id, run_id)
        _say(_told(run), status.sentence(run), as_json)
        sys.exit(EXIT_CODES[run.status])


def _carry_out(organisation_id: UUID, run_id: UUID) -> SyncRun:
    """Work on the run, or watch whoever does; should their process die, take the run over."""
    while True:
        carry_out(organisation_id, run_id)
        run = runs.find_run(run_id)
        if run is None:
            raise click.ClickException("La synchronisation a disparu.")
        if run.is_finished:
            return run
        time.sleep(POLL_SECONDS)


@group.command()
@organisation_option
@click.option("--endpoint", help="Une adresse qui n’est pas encore enregistrée\u202f; par défaut la présente.")
@json_option
def test(slug: str | None, endpoint: str | None, as_json: bool) -> None:
    """Essaie la connexion, et ne lit que le premier prospect."""
    with _organisation(slug):
        answer = connection.try_connection(endpoint)
        values = {"endpoint": answer.endpoint, "seconds": round(answer.seconds, 3), "first_prospect": answer.first_id}
        what = f"premier prospect : {answer.first_id}" if answer.first_id else "aucun prospect"
        _say(values, f"{answer.endpoint} répond en {answer.seconds:.1f} s, {what}.", as_json)


@group.group(name="config")
def config_group() -> None:
    """Montre ou change la configuration d’une organisation."""


@config_group.command()
@organisation_option
@json_option
def show(slug: str | None, as_json: bool) -> None:
    """Montre la configuration."""
    with _organisation(slug):
        _show_config(as_json)


@config_group.command(name="set")
@organisation_option
@click.option("--enabled/--disabled", default=None, help="Participe, ou non, à WinLeadPlus.")
@click.option("--endpoint", help="L’adresse des prospects ; vide pour celle de l’environnement.")
@click.option("--interval", "interval_minutes", type=int, help="Minutes entre deux synchronisations.")
@click.option("--import-without-contracts/--ignore-without-contracts", default=None, help="Prospects sans contrat.")
@json_option
def set_config(slug: str | None, as_json: bool, **given: Any) -> None:
    """Change ce qui est donné, et laisse le reste."""
    with _organisation(slug):
        config.change(**given)
        _show_config(as_json)


@group.command()
@organisation_option
@click.option(
    "--limit",
    type=click.IntRange(1, MOST_LOGS),
    default=20,
    show_default=True,
    help="Combien de synchronisations sont montrées.",
)
@json_option
def logs(slug: str | None, limit: int, as_json: bool) -> None:
    """Montre les dernières synchronisations, la plus récente d’abord."""
    with _organisation(slug):
        rows = status.list_runs(limit=limit).rows
        lines = [f"{run.started_at:%Y-%m-%d %H:%M:%S} UTC  {run.status.label:<9}  {_ending(run)}" for run in rows]
        _say([_told(run) for run in rows], "\n".join(lines) or "Aucune synchronisation.", as_json)


@contextmanager
def _organisation(slug: str | None) -> Iterator[UUID]:
    """Work for the organisation; a refusal becomes a sentence and exit code 1."""
    slug = slug or current_app.extensions["settings"].crm_organisation
    organisation_id = config.organisation_named(slug)
    if organisation_id is None:
        raise click.ClickException(f"L’organisation « {slug} » n’existe pas.")
    try:
        with tenancy.organisation(organisation_id):
            yield organisation_id
    except DomainError as error:
        raise click.ClickException(error.message) from None


def _show_config(as_json: bool) -> None:
    answer = config.find()
    values = {
        "enabled": answer.enabled,
        "endpoint": config.endpoint_of(answer),
        "has_own_endpoint": answer.endpoint is not None,
        "interval_minutes": answer.interval_minutes,
        "import_without_contracts": answer.import_without_contracts,
        "last_synced_at": answer.last_synced_at.isoformat() if answer.last_synced_at else None,
    }
    _say(values, "\n".join(f"{name}: {value}" for name, value in values.items()), as_json)


def _told(run: SyncRun) -> dict[str, Any]:
    return {
        "id": str(run.id),
        "status": run.status.value,
        "dry_run": run.dry_run,
        "trigger": run.trigger.value,
        "total": run.done,
        "created": run.created,
        "updated": run.updated,
        "skipped": run.skipped,
        "errors": run.errors,
        "warnings": run.warnings,
        "conflicts": run.conflicts,
        "error": run.error,
        "started_at": run.started_at.isoformat(),
        "finished_at": run.finished_at.isoformat() if run.finished_at else None,
    }


def _ending(run: SyncRun) -> str:
    return f"{counted(run.done, 'lu')} · {status.sentence(run) if run.is_finished else run.phase.label}"


def _say(values: Any, sentence: str, as_json: bool) -> None:
    click.echo(json.dumps(values, ensure_ascii=False, indent=2) if as_json else sentence)
