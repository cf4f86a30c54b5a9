"""Runs and sweeps as jobs, commands and timetable entries; and calls that go wrong in every way."""

import json
import time
from collections.abc import Mapping
from datetime import date, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from jobs import charges as jobs
from tests.conftest import Cast
from tests.services.charges.world import World
from webapp import clock, tenancy
from webapp.extensions import db
from webapp.gateways.providers import pacing, protocol
from webapp.gateways.providers.protocol import PaymentOutcome, PaymentRequest, ProviderRejectedError
from webapp.models.charges import Attention, ChargeRun, ChargeStatus
from webapp.models.organisations import Organisation
from webapp.models.providers import Provider
from webapp.models.runs import RunStatus, RunTrigger
from webapp.queue import queue
from webapp.services.charges import claiming, reconciling, recording, runs, sweeping
from webapp.services.providers import accounts


def _rung() -> list[str]:
    return [job.func_name for job in queue("charges").jobs]


def test_the_button_starts_a_run_that_a_worker_carries_out(world: World, cast: Cast) -> None:
    world.subscribe()
    run_id, is_new = runs.start(trigger=RunTrigger.MANUAL, at=clock.now(), by=cast.manager.id)
    assert (is_new, _rung()) == (True, ["jobs.charges.run"])
    jobs.run(str(world.organisation_id), str(run_id))
    run = runs.find_run(run_id)
    assert run is not None
    assert (run.status, run.charged, run.is_finished) == (RunStatus.SUCCESS, 1, True)
    assert runs.sentence(run) == "Prélèvements terminés\u202f: 1 payé, 0 refusé"
    assert [each.id for each in runs.list_runs()] == [run_id]


def test_a_run_that_finds_nothing_says_so(world: World) -> None:
    assert runs.sentence(world.run()) == "Il n’y avait rien à prélever."


def test_a_second_click_joins_the_run_under_way(world: World) -> None:
    first, _ = runs.start(trigger=RunTrigger.MANUAL, at=clock.now())
    second, is_new = runs.start(trigger=RunTrigger.MANUAL, at=clock.now())
    assert (second, is_new) == (first, False)


def test_a_run_with_refusals_is_partial_and_says_how_many(world: World) -> None:
    for _ in range(2):
        world.subscribe()
    world.subscribe(saved_method_id=None)
    world.ledger.behave("hard")
    run = world.run()
    assert run.status is RunStatus.PARTIAL
    assert runs.sentence(run) == "Prélèvements terminés\u202f: 0 payé, 2 refusés, 1 non prélevé"


def test_a_run_does_not_hide_what_a_worker_died_over(world: World) -> None:
    """Found at the screen: 306 waited, a worker was killed, and « 198 payés, 2 refusés » was all that was said."""
    for _ in range(3):
        world.subscribe()
    run_id, _ = runs.start(trigger=RunTrigger.MANUAL, at=clock.now())
    lost = claiming.claim_due(before=clock.now(), limit=2, at=clock.now())
    assert len(lost.claims) == 2
    world.wait(minutes=6)
    world.sweep()
    runs.carry_out(world.organisation_id, run_id)
    run = runs.find_run(run_id)
    assert run is not None
    assert (run.status, run.charged) == (RunStatus.PARTIAL, 1)
    assert runs.sentence(run) == "Prélèvements terminés : 1 payé, 0 refusé, 2 suivis à part"


def test_a_run_that_kills_its_workers_again_and_again_is_closed(world: World) -> None:
    run_id, _ = runs.start(trigger=RunTrigger.MANUAL, at=clock.now())
    run = runs.find_run(run_id)
    assert run is not None
    run.fence = runs.MOST_CLAIMS
    db.session.commit()
    runs.carry_out(world.organisation_id, run_id)
    closed = runs.find_run(run_id)
    assert closed is not None
    assert (closed.status, runs.sentence(closed)) == (RunStatus.FAILED, runs.INTERRUPTED)


def test_a_bug_closes_the_run_with_a_reference_and_loses_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.subscribe()
    with monkeypatch.context() as broken:
        broken.setattr("webapp.services.charges.claiming.load_means", None)
        run = world.run()
    assert run.status is RunStatus.FAILED
    assert "référence" in runs.sentence(run)
    assert world.charges() == []
    assert world.run().charged == 1


def test_the_schedule_starts_runs_where_something_is_due_and_nowhere_else(world: World) -> None:
    assert runs.start_due_runs(at=clock.now()) == 0
    world.subscribe()
    assert runs.start_due_runs(at=clock.now()) == 1
    assert db.session.scalars(select(ChargeRun.trigger)).all() == [RunTrigger.SCHEDULED]


def test_the_sweeper_rings_once_for_what_waits(world: World) -> None:
    world.subscribe()
    world.ledger.behave("timeout")
    world.run()
    assert sweeping.ring(at=clock.now()) == 0
    later = clock.now() + timedelta(minutes=1)
    assert sweeping.ring(at=later) == 1
    sweeping.ring(at=later)
    assert _rung() == ["jobs.charges.sweep"]
    world.move_to(later)
    jobs.sweep(str(world.organisation_id))
    assert world.charge().status is ChargeStatus.SUCCEEDED


def test_redis_may_forget_everything(world: World) -> None:
    world.subscribe()
    run_id, _ = runs.start(trigger=RunTrigger.MANUAL, at=clock.now())
    queue("charges").connection.flushdb()
    world.wait(minutes=1)
    assert sweeping.ring(at=clock.now()) == 1
    assert _rung() == ["jobs.charges.run"]
    jobs.run(str(world.organisation_id), str(run_id))
    assert world.charge().status is ChargeStatus.SUCCEEDED


def test_reconciliation_is_rung_for_where_there_is_a_provider(world: World) -> None:
    assert reconciling.ring(at=clock.now()) == 1
    jobs.reconcile(str(world.organisation_id))


def test_one_row_that_cannot_be_recorded_costs_one_row(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    bad, good = world.subscribe("10.00"), world.subscribe("20.00")
    apply = recording._apply

    def fail_for_one(found: recording._Rows, outcome: PaymentOutcome, *, at: datetime) -> None:
        if found.subscription.id == bad.id:
            raise ValueError("a bug that only this row meets")
        apply(found, outcome, at=at)

    with monkeypatch.context() as broken:
        broken.setattr(recording, "_apply", fail_for_one)
        world.run()
    assert world.charge(good).status is ChargeStatus.SUCCEEDED
    assert world.charge(bad).status is ChargeStatus.SENDING
    world.wait(minutes=4)
    world.sweep()
    assert world.charge(bad).status is ChargeStatus.SUCCEEDED
    assert len(world.ledger.captures()) == 2


def test_a_gateway_that_raises_leaves_the_result_unknown(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(_request: PaymentRequest) -> PaymentOutcome:
        raise RuntimeError("a bug in the gateway")

    world.subscribe()
    monkeypatch.setattr(world.ledger, "create_payment", explode)
    world.run()
    assert world.charge().status is ChargeStatus.UNKNOWN


def test_an_account_that_is_not_set_up_is_tried_again_soon_since_nothing_was_sent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def provider_for(
        kind: Provider, credentials: Mapping[str, str], *, longest_delay: timedelta
    ) -> protocol.PaymentProvider:
        raise ProviderRejectedError("credentials are missing: api_key")

    world.subscribe()
    with monkeypatch.context() as broken:
        broken.setattr(accounts, "provider_for", provider_for)
        world.run()
    charge = world.charge()
    assert charge.status is ChargeStatus.RETRYING
    assert "n’est pas configuré" in (charge.explanation or "")
    world.wait(minutes=11)
    world.sweep()
    assert world.charge().status is ChargeStatus.SUCCEEDED


def test_the_calls_of_a_run_wait_for_the_turns_of_their_account(world: World) -> None:
    world.account.rate_per_second = 2
    world.subscribe()
    world.subscribe()
    start = time.monotonic()
    pacing.take_turn(str(world.account.id), per_second=2)
    assert world.run().charged == 2
    assert time.monotonic() - start >= 0.85, "the third turn of an account that allows two a second"


def test_the_command_charges_and_answers_in_json(world: World, app: Flask) -> None:
    world.subscribe()
    slug = db.session.scalars(select(Organisation.slug).where(Organisation.id == world.organisation_id)).one()
    runner = app.test_cli_runner()
    with tenancy.organisation(None):  # type: ignore[arg-type]
        result = runner.invoke(args=["charges", "run", "--organisation", slug, "--json"])
    assert result.exit_code == 0
    assert json.loads(result.output)["charged"] == 1
    assert runner.invoke(args=["charges", "run"]).output.strip() == "Rien à prélever."
    assert runner.invoke(args=["charges", "run", "--organisation", "nulle-part"]).exit_code == 1


def test_the_command_says_by_its_exit_code_that_not_all_was_paid(world: World, app: Flask) -> None:
    world.subscribe()
    world.ledger.behave("soft")
    result = app.test_cli_runner().invoke(args=["charges", "run"])
    assert (result.exit_code, result.output.strip()) == (2, "Prélèvements terminés\u202f: 0 payé, 1 refusé")


def test_the_command_sweeps(world: World, app: Flask) -> None:
    world.subscribe()
    world.ledger.behave("timeout")
    world.run()
    world.wait(minutes=1)
    result = app.test_cli_runner().invoke(args=["sweep", "--json"])
    assert json.loads(result.output)["charges"] == {"succeeded": 1}


def test_a_zero_amount_of_an_unpaid_subscription_is_skipped_like_any_other(world: World) -> None:
    world.subscribe("0.00", status="past_due")
    world.run()
    assert world.charge().status is ChargeStatus.SKIPPED


def test_a_retry_of_who_pays_by_transfer_by_now_waits_for_the_transfer(world: World) -> None:
    subscription = world.subscribe(anchor=date(2026, 1, 31))
    world.ledger.behave("soft")
    world.run()
    world.reload(subscription).payment_method = "transfer"  # type: ignore[assignment]
    db.session.commit()
    world.wait(days=4)
    world.sweep()
    assert (world.charge().status, world.charge().attention) == (ChargeStatus.FAILED, Attention.BY_HAND)


def test_whoever_works_on_a_run_keeps_its_lease(world: World) -> None:
    run_id, _ = runs.start(trigger=RunTrigger.MANUAL, at=clock.now(), enqueue=False)
    began = clock.now()
    due_before = runs._take_part(run_id, at=began)
    assert due_before is not None
    claim = runs._claimer(run_id, due_before)
    for later, lease_until in (
        (runs.LEASE / 4, began + runs.LEASE),
        (runs.LEASE * 3 / 4, began + runs.LEASE * 7 / 4),
    ):
        claim(1, began + later)
        run = runs.find_run(run_id)
        assert run is not None
        assert run.lease_until == lease_until
