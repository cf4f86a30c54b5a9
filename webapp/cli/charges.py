"""``flask charges run`` and ``flask sweep``: what the schedule does, by hand, in this process."""

import json
import sys
from collections import Counter
from uuid import UUID

import click
from flask import Flask
from flask.cli import AppGroup

from webapp import clock, tenancy
from webapp.cli.refusals import refusals
from webapp.models.charges import ChargeRun
from webapp.models.runs import RunStatus, RunTrigger
from webapp.services import outbox
from webapp.services.bank_files import files
from webapp.services.charges import runs, sweeping
from webapp.services.duplicates import searches as duplicate_searches
from webapp.services.exports import carrying_out as exports
from webapp.services.fulfilment import dispatching, documents, labelling, lock_runs
from webapp.services.imports import commands as imports
from webapp.services.invoices import finalising
from webapp.services.means_requests import looking
from webapp.services.messages import sweeping as messages_sweeping
from webapp.services.operations import runs as operation_runs
from webapp.services.operators import fetching as operator_documents
from webapp.services.operators import handling as operator_events
from webapp.services.operators import telling as operator_deliveries
from webapp.services.organisations import find_organisation
from webapp.services.provider_events import webhooks
from webapp.services.refunds import sweeping as refunds_sweeping
from webapp.services.rights import erasing
from webapp.services.winleadplus import runs as sync_runs
from webapp.services.woocommerce import claiming as shop_events
from webapp.services.woocommerce import pulls as shop_pulls

EXIT_CODES = {RunStatus.SUCCESS: 0, RunStatus.FAILED: 1, RunStatus.PARTIAL: 2}

charges = AppGroup("charges", help="Le moteur de prélèvement.")


@charges.command("run")
@click.option(
    "--organisation", "slug", help="Une seule organisation (par défaut : toutes celles qui ont une échéance)."
)
@click.option("--json", "as_json", is_flag=True, help="Le résultat en JSON.")
def run(slug: str | None, as_json: bool) -> None:
    """Prélève ce qui est dû. Sortie : 0 tout est payé, 1 échec, 2 partiel."""
    at = clock.now()
    with refusals():
        chosen = [find_organisation(slug).id] if slug else runs.list_organisations_waiting(at=at)
    done = [_run(organisation_id) for organisation_id in chosen]
    counts: Counter[str] = Counter()
    for run in done:
        counts.update(runs.counts_of(run))
    worst = max((EXIT_CODES.get(run.status, 2) for run in done), key=[0, 2, 1].index, default=0)
    if as_json:
        click.echo(json.dumps({"runs": len(done), **counts}))
    else:
        click.echo("\n".join(runs.sentence(run) for run in done) or "Rien à prélever.")
    sys.exit(worst)


def _run(organisation_id: UUID) -> ChargeRun:
    with tenancy.organisation(organisation_id):
        run_id, _ = runs.start(trigger=RunTrigger.COMMAND, at=clock.now(), enqueue=False)
        runs.carry_out(organisation_id, run_id)
        run = runs.find_run(run_id)
        if run is None:
            raise click.ClickException("Le passage a disparu.")
        return run


@click.command(
    "sweep",
    help="Reprend ce qui attend : prélèvements, remboursements, notifications, fichiers bancaires, lots, "
    "factures, synchronisations, opérations, exports.",
)
@click.option("--json", "as_json", is_flag=True, help="Le résultat en JSON.")
def sweep(as_json: bool) -> None:
    """Do what the sweepers do: charges here and now, the others by ringing their workers."""
    at = clock.now()
    counts: Counter[str] = Counter()
    for organisation_id in sweeping.find_waiting(at=at):
        counts.update({status.value: number for status, number in sweeping.sweep(organisation_id).items()})
    result = {
        "charges": dict(counts),
        "charge_runs": runs.ring_abandoned(at=at),
        "refunds": refunds_sweeping.sweep(at=at),
        "outbox": outbox.sweep(at=at),
        "webhooks": webhooks.sweep(at=at),
        "means_requests": looking.sweep(at=at),
        "messages": messages_sweeping.sweep(at=at),
        "dispatch": dispatching.sweep(at=at),
        "labels": labelling.sweep(at=at),
        "batch_documents": documents.sweep(at=at),
        "bank_files": files.sweep(at=at),
        "fulfilment": lock_runs.sweep(at=at),
        "invoices": finalising.sweep(at=at),
        "winleadplus": sync_runs.sweep(at=at),
        "operations": operation_runs.sweep(at=at),
        "duplicates": duplicate_searches.sweep(at=at),
        "erasure_files": erasing.sweep(at=at),
        "exports": exports.sweep(at=at),
        "imports": imports.sweep(at=at),
        "shop_pulls": shop_pulls.sweep(at=at),
        "shop_events": shop_events.sweep(at=at),
        "operator_events": operator_events.sweep(at=at),
        "operator_documents": operator_documents.sweep(at=at),
        "operator_deliveries": operator_deliveries.sweep(at=at),
    }
    click.echo(json.dumps(result) if as_json else f"Prélèvements repris : {sum(counts.values())}.")


def init_app(app: Flask) -> None:
    """Register the commands."""
    app.cli.add_command(charges)
    app.cli.add_command(sweep)
