"""``flask winleadplus …``: what it prints, and the exit code that a script relies on."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from click.testing import Result
from flask import Flask

from tests import upstream
from tests.conftest import Cast
from tests.provider import LocalProvider
from tests.services.winleadplus.raw import first
from tests.upstream import Upstream
from webapp import clock, tenancy
from webapp.extensions import db
from webapp.gateways import winleadplus as gateway
from webapp.models.clients import Client
from webapp.models.runs import RunTrigger
from webapp.services.winleadplus import config, runs

Command = Callable[..., Result]


@pytest.fixture
def winleadplus(cast: Cast, provider: LocalProvider) -> Iterator[Upstream]:
    """The upstream that the organisation of the cast reads."""
    with upstream.running() as running:
        config.change(endpoint=running.url)
        yield running


@pytest.fixture
def flask(app: Flask, cast: Cast) -> Command:
    """``flask winleadplus ARGUMENTS --organisation OURS``, outside of any organisation."""

    def run(*arguments: str, organisation: str = cast.organisation.slug) -> Result:
        with tenancy.organisation(None):  # type: ignore[arg-type]
            return app.test_cli_runner().invoke(args=["winleadplus", *arguments, "--organisation", organisation])

    return run


def test_a_success_prints_the_counts_and_ends_with_0(winleadplus: Upstream, flask: Command) -> None:
    winleadplus.serve([first(1), first(2)])
    done = flask("sync")
    assert (done.exit_code, done.stdout) == (0, "Sync terminée : 2 créés, 0 mis à jour, 0 ignorés\n")
    assert winleadplus.requests[-1]["Authorization"].startswith("Bearer ey")


def test_a_partial_success_ends_with_2(winleadplus: Upstream, flask: Command) -> None:
    winleadplus.serve([first(1), "?"])
    done = flask("sync", "--json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["status"], told["created"], told["errors"]) == (2, "partial", 1, 1)


def test_a_failure_ends_with_1_and_its_reason(winleadplus: Upstream, flask: Command) -> None:
    winleadplus.status = 401
    done = flask("sync")
    assert done.exit_code == 1
    assert done.stdout.startswith("WinLeadPlus a refusé l’accès.")


def test_a_dry_run_writes_nothing(winleadplus: Upstream, flask: Command) -> None:
    winleadplus.serve([first(1)])
    done = flask("sync", "--dry-run")
    assert (done.exit_code, "1 à créer" in done.stdout) == (0, True)
    assert db.session.query(Client).count() == 0


def test_a_run_that_waits_for_a_worker_is_taken_up(winleadplus: Upstream, flask: Command) -> None:
    winleadplus.serve([first(1)])
    run_id, _ = runs.start(trigger=RunTrigger.SCHEDULED, at=clock.now())
    done = flask("sync", "--json")
    assert "déjà en cours" in done.stderr
    assert (done.exit_code, json.loads(done.stdout)["id"]) == (0, str(run_id))


@pytest.mark.parametrize("command", [("sync",), ("test",), ("config", "show"), ("logs",)])
def test_an_unknown_organisation_is_refused(flask: Command, command: tuple[str, ...]) -> None:
    done = flask(*command, organisation="personne")
    assert done.exit_code == 1
    assert "« personne » n’existe pas" in done.stderr


def test_a_switched_off_organisation_is_refused(winleadplus: Upstream, flask: Command) -> None:
    config.change(enabled=False)
    done = flask("sync")
    assert done.exit_code == 1
    assert "désactivée" in done.stderr


def test_the_connection_test_tells_whom_it_reached(winleadplus: Upstream, flask: Command) -> None:
    winleadplus.serve([first(7)])
    assert f"{winleadplus.url} répond en" in flask("test").stdout
    assert json.loads(flask("test", "--json").stdout)["first_prospect"] == "7"
    winleadplus.status = 403
    done = flask("test")
    assert (done.exit_code, "a refusé l’accès" in done.stderr) == (1, True)


def test_an_address_is_tried_before_it_is_kept(
    winleadplus: Upstream, flask: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "SOMEONE_WAITS", replace(gateway.SOMEONE_WAITS, budget=3.0))
    winleadplus.serve([first(7)])
    url = winleadplus.url
    config.change(endpoint="http://127.0.0.1:9/")
    assert flask("test").exit_code == 1
    assert f"{url} répond en" in flask("test", "--endpoint", url).stdout
    assert config.find().endpoint == "http://127.0.0.1:9/"
    refused = flask("test", "--endpoint", "http://169.254.169.254/latest")
    assert refused.exit_code == 1
    assert refused.stdout == ""


def test_the_configuration_is_shown_and_changed(winleadplus: Upstream, flask: Command) -> None:
    done = flask("config", "set", "--interval", "30", "--disabled", "--import-without-contracts", "--json")
    told = json.loads(done.stdout)
    assert (told["interval_minutes"], told["enabled"], told["import_without_contracts"]) == (30, False, True)
    assert json.loads(flask("config", "show", "--json").stdout) == told
    assert f"endpoint: {winleadplus.url}" in flask("config", "show").stdout


@pytest.mark.parametrize("endpoint", ["http://169.254.169.254/latest", "gopher://x"])
def test_a_forbidden_address_is_refused(winleadplus: Upstream, flask: Command, endpoint: str) -> None:
    done = flask("config", "set", "--endpoint", endpoint)
    assert done.exit_code == 1
    assert config.find().endpoint == winleadplus.url


def test_logs_list_the_last_runs_newest_first(winleadplus: Upstream, flask: Command) -> None:
    assert flask("logs").stdout == "Aucune synchronisation.\n"
    winleadplus.serve([first(1)])
    flask("sync")
    winleadplus.status = 401
    flask("sync")
    told = json.loads(flask("logs", "--json").stdout)
    assert [run["status"] for run in told] == ["failed", "success"]
    lines = flask("logs").stdout.splitlines()
    assert "Échouée" in lines[0]
    assert "1 lu · Sync terminée : 1 créé, 0 mis à jour" in lines[1]
    assert [run["total"] for run in told] == [0, 1]
    assert flask("logs", "--limit", "1").stdout.splitlines() == lines[:1]
    refused = flask("logs", "--limit", "0")
    assert (refused.exit_code, "--limit" in refused.stderr) == (2, True)
