"""``flask fulfilment lock-due``: what the schedule does each minute, by hand, in this process."""

import json

import click
from flask.cli import AppGroup

from webapp import clock
from webapp.services.fulfilment import lock_runs

group = AppGroup("fulfilment", help="Les lots à préparer et à expédier.")


@group.command("lock-due")
@click.option("--json", "as_json", is_flag=True, help="Le résultat en JSON.")
def lock_due(as_json: bool) -> None:
    """Verrouille les lots dont l’heure limite est passée."""
    due = lock_runs.list_due(at=clock.now())
    done = [locked for each in due if (locked := lock_runs.carry_out(*each)) is not None]
    counts = {
        "locked": len(done),
        "to_prepare": sum(each.to_prepare for each in done),
        "set_aside": sum(each.set_aside for each in done),
        "moved": sum(each.moved for each in done),
    }
    click.echo(json.dumps(counts) if as_json else f"Lots verrouillés : {len(done)}.")
