"""``flask woocommerce pull`` and ``test``: reading a shop by hand, in this process."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import click
from flask import current_app
from flask.cli import AppGroup

from webapp import clock, tenancy
from webapp.cli.refusals import refusals
from webapp.models.runs import RunStatus, RunTrigger
from webapp.models.woocommerce import PullScope, WooCommercePull
from webapp.services.organisations import find_organisation
from webapp.services.woocommerce import pulling, pulls, trying

EXIT_CODES = {RunStatus.SUCCESS: 0, RunStatus.FAILED: 1, RunStatus.PARTIAL: 2}
POLL_SECONDS = 0.5
COUNTS = ("done", "applied", "unchanged", "waiting", "failed", "missing")

organisation_option = click.option("--organisation", "slug", help="Son nom court\u202f; par défaut CRM_ORGANISATION.")
shop_option = click.option("--shop", "name", help="Le nom ou l’adresse de la boutique\u202f; par défaut, la seule.")
json_option = click.option("--json", "as_json", is_flag=True, help="Répond en JSON.")


def add_to(group: AppGroup) -> None:
    """Register both commands."""
    group.add_command(pull)
    group.add_command(test)


@click.command()
@organisation_option
@shop_option
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="Reprend depuis cette date (AAAA-MM-JJ).")
@click.option("--nightly", is_flag=True, help="Vérifie aussi ce qui a disparu, comme chaque nuit.")
@json_option
def pull(slug: str | None, name: str | None, since: datetime | None, nightly: bool, as_json: bool) -> None:
    """Relève une boutique maintenant. Rend 0 si tout va bien, 2 si le relevé est partiel, 1 s’il a échoué."""
    if since and nightly:
        raise click.ClickException("Choisissez --since ou --nightly.")
    scope = PullScope.FIRST if since else PullScope.NIGHTLY if nightly else PullScope.RECENT
    with _shop(slug, name) as (organisation_id, shop_id):
        pull_id, is_new = pulls.start(
            shop_id,
            scope=scope,
            trigger=RunTrigger.COMMAND,
            at=clock.now(),
            since=since.replace(tzinfo=UTC) if since else None,
            enqueue=False,
        )
        if not is_new:
            click.echo("Un relevé est déjà en cours\u202f: en voici la fin.", err=True)
        ended = _carry_out(organisation_id, pull_id)
        click.echo(json.dumps(_told(ended), ensure_ascii=False, indent=2) if as_json else pulls.sentence(ended))
        sys.exit(EXIT_CODES[ended.status])


def _carry_out(organisation_id: UUID, pull_id: UUID) -> WooCommercePull:
    """Work on the pull, or watch whoever does; should their process die, take the pull over."""
    while True:
        pulling.carry_out(organisation_id, pull_id)
        found = pulls.find_pull(pull_id)
        if found is None:
            raise click.ClickException("Le relevé a disparu.")
        if found.is_finished:
            return found
        time.sleep(POLL_SECONDS)


def _told(ended: WooCommercePull) -> dict[str, Any]:
    return {
        "id": str(ended.id),
        "scope": ended.scope.value,
        "status": ended.status.value,
        **{name: getattr(ended, name) for name in COUNTS},
        "error": ended.error,
        "started_at": ended.started_at.isoformat(),
        "finished_at": ended.finished_at.isoformat() if ended.finished_at else None,
    }


@click.command()
@organisation_option
@shop_option
@json_option
def test(slug: str | None, name: str | None, as_json: bool) -> None:
    """Essaie la connexion à une boutique, et trouve ce qu’elle sait faire."""
    with _shop(slug, name) as (_organisation_id, shop_id):
        found = trying.try_shop(shop_id, at=clock.now())
        values = {
            "has_subscriptions": found.has_subscriptions,
            "honours_modified_after": found.honours_modified_after,
            "version": found.version,
            "currency": found.currency,
            "topics": dict(found.topics),
        }
        click.echo(json.dumps(values, ensure_ascii=False, indent=2) if as_json else found.sentence())


@contextmanager
def organisation_work(slug: str | None) -> Iterator[UUID]:
    """Work for the organisation; a refusal becomes a sentence and exit code 1."""
    slug = slug or current_app.extensions["settings"].crm_organisation
    with refusals():
        organisation_id = find_organisation(slug).id
        with tenancy.organisation(organisation_id):
            yield organisation_id


@contextmanager
def _shop(slug: str | None, name: str | None) -> Iterator[tuple[UUID, UUID]]:
    """Work for the organisation and its shop; a refusal becomes a sentence and exit code 1."""
    with organisation_work(slug) as organisation_id:
        yield organisation_id, pulls.find_shop_named(name).id
