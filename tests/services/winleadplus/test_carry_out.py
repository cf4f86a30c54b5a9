"""From claim to end, whatever happens on the way."""

import threading
import time
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any
from uuid import uuid4

import orjson
import psycopg
import pytest
from flask import Flask
from sqlalchemy import select, text

from tests import factories, upstream
from tests.conftest import Cast
from tests.provider import LocalProvider
from tests.services.winleadplus.conftest import Sync, counts
from tests.services.winleadplus.looking import items, reasons
from tests.services.winleadplus.raw import first
from tests.upstream import Upstream
from webapp import clock, tenancy
from webapp.extensions import db
from webapp.models.organisations import Company
from webapp.models.runs import RunStatus, RunTrigger
from webapp.models.winleadplus import ItemKind, RunPhase, SyncRun
from webapp.services.winleadplus import config, payload, progress, runs
from webapp.services.winleadplus.carry_out import carry_out


def test_a_run_that_does_not_exist_or_has_ended_is_left_alone(cast: Cast, winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(1)])
    run = sync()
    asked = len(winleadplus.requests)
    carry_out(cast.organisation.id, run.id)
    carry_out(cast.organisation.id, uuid4())
    carry_out(cast.other_organisation.id, run.id)
    assert len(winleadplus.requests) == asked


def test_a_scheduled_run_uses_the_service_account(cast: Cast, winleadplus: Upstream, provider: LocalProvider) -> None:
    winleadplus.serve([first(1)])
    run_id, _ = runs.start(trigger=RunTrigger.SCHEDULED, at=clock.now(), enqueue=False)
    carry_out(cast.organisation.id, run_id)
    assert winleadplus.requests[0]["Authorization"].startswith("Bearer ey")


def test_an_identity_provider_that_is_down_fails_the_run_with_its_reason(cast: Cast, winleadplus: Upstream) -> None:
    run_id, _ = runs.start(trigger=RunTrigger.SCHEDULED, at=clock.now(), enqueue=False)
    carry_out(cast.organisation.id, run_id)
    run = runs.find_run(run_id)
    assert run
    assert (run.status, winleadplus.requests) == (RunStatus.FAILED, [])
    assert "Le service de connexion ne répond pas" in (run.error or "")


def test_without_a_default_company_the_run_says_so(winleadplus: Upstream, sync: Sync) -> None:
    db.session.query(Company).update({"is_default": False})
    winleadplus.serve([first(1)])
    run = sync()
    assert run.status is RunStatus.FAILED
    assert (run.error or "").startswith("Aucune société par défaut")


def test_a_bug_ends_the_run_with_a_reference_and_no_secret(
    winleadplus: Upstream, sync: Sync, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def break_down(*_: object) -> None:
        raise ZeroDivisionError("HAMDANI")

    monkeypatch.setattr(progress, "link_awaiting", break_down)
    winleadplus.serve([first(1)])
    run = sync()
    assert run.status is RunStatus.FAILED
    assert (run.error or "").startswith("Une erreur inattendue a arrêté la synchronisation (référence ")
    assert "HAMDANI" not in capsys.readouterr().err


def test_a_row_that_we_did_not_foresee_costs_itself_only(
    winleadplus: Upstream, sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = payload.read

    def stumble(raw: dict[str, Any]) -> payload.Prospect:
        if raw["idProspect"] == 2:
            raise KeyError("never seen")
        return read(raw)

    monkeypatch.setattr(payload, "read", stumble)
    winleadplus.serve([first(1), first(2), first(3)])
    run = sync()
    assert (run.status, counts(run)) == (RunStatus.PARTIAL, (2, 0, 0))
    assert reasons(run, ItemKind.ERROR) == {
        "2": "Ce prospect n’a pas pu être lu. Prévenez votre administrateur si cela persiste."
    }


def test_a_row_that_the_database_refuses_costs_itself_only(winleadplus: Upstream, sync: Sync) -> None:
    db.session.execute(text("SELECT 1"))
    winleadplus.serve([first(number) for number in range(1, 40)])
    refusing = payload.read

    def overlong(raw: dict[str, Any]) -> payload.Prospect:
        prospect = refusing(raw)
        if raw["idProspect"] == 17:
            object.__setattr__(prospect, "postcode", "9" * 30)
        return prospect

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(payload, "read", overlong)
        run = sync()
    assert (run.status, counts(run), run.errors) == (RunStatus.PARTIAL, (38, 0, 0), 1)
    (item,) = items(run, ItemKind.ERROR)
    assert (item.external_id, item.label) == ("17", "HAMDANI Karim")
    assert (item.reason or "").startswith("Ce prospect n’a pas pu être enregistré.")
    assert counts(sync()) == (1, 0, 38)


def test_a_database_that_goes_away_leaves_the_run_to_the_sweeper(
    cast: Cast, winleadplus: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object, **__: object) -> None:
        raise psycopg.OperationalError("the connection is closed")

    winleadplus.serve([first(1)])
    run_id, _ = runs.start(trigger=RunTrigger.MANUAL, at=clock.now(), user_token="t", enqueue=False)
    monkeypatch.setattr(progress, "find_known", gone)
    with pytest.raises(psycopg.OperationalError):
        carry_out(cast.organisation.id, run_id)
    run = runs.find_run(run_id)
    assert run
    assert not run.is_finished


@pytest.mark.usefixtures("committed")
def test_counts_grow_and_the_lease_is_kept_while_upstream_takes_its_time(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "RENEWAL_SECONDS", 0.1)
    organisation_id = factories.OrganisationFactory().id
    go_on = threading.Event()

    def trickle(request: BaseHTTPRequestHandler) -> None:
        rows = [orjson.dumps(first(number)) for number in range(1, 121)]
        request.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n[" + b",".join(rows[:60]))
        while not go_on.wait(0.05):
            request.wfile.write(b" ")
        request.wfile.write(b"," + b",".join(rows[60:]) + b"]")
        request.close_connection = True

    with upstream.running() as running, tenancy.organisation(organisation_id):
        running.handler = trickle
        factories.CompanyFactory(is_default=True)
        config.change(endpoint=running.url)
        db.session.commit()
        run_id, _ = runs.start(trigger=RunTrigger.MANUAL, at=clock.now(), user_token="t", enqueue=False)
        worker = threading.Thread(target=_in_context, args=(app, organisation_id, run_id))
        worker.start()
        seen = _watch(run_id, until=lambda run: run.created >= 60)
        leases = {_look(run_id).lease_until for _ in range(20) if not time.sleep(0.05)}
        go_on.set()
        worker.join(30)
        run = _look(run_id)
    assert (seen.phase, run.status, run.created) == (RunPhase.APPLYING, RunStatus.SUCCESS, 120)
    assert len(leases) > 2
    assert all(lease and lease > clock.now() + runs.LEASE - timedelta(seconds=20) for lease in leases)


def _in_context(app: Flask, organisation_id: Any, run_id: Any) -> None:
    with app.app_context():
        carry_out(organisation_id, run_id)
        db.session.remove()


def _look(run_id: Any) -> SyncRun:
    run = db.session.scalars(
        select(SyncRun).where(SyncRun.id == run_id).execution_options(populate_existing=True)
    ).one()
    db.session.rollback()
    db.session.refresh(run)
    db.session.expunge(run)
    db.session.rollback()
    return run


def _watch(run_id: Any, *, until: Any) -> SyncRun:
    deadline = time.monotonic() + 30
    while not until(run := _look(run_id)):
        assert time.monotonic() < deadline, "the run makes no progress"
        time.sleep(0.02)
    return run
