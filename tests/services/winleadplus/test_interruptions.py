"""kill -9 between any two lines: what was committed counts once, the rest is done again, nothing partial is left."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any
from uuid import UUID

import orjson
import pytest
from flask import Flask
from sqlalchemy import event, text

from demo.prospects import prospects
from tests import factories, upstream
from tests.forking import die_at, fork, was_killed
from tests.provider import LocalProvider
from tests.services.winleadplus.raw import contract, first, second
from tests.upstream import Upstream
from webapp import clock, tenancy
from webapp.extensions import db
from webapp.models.identity import User
from webapp.models.operations import OperationState
from webapp.models.runs import RunStatus, RunTrigger
from webapp.models.winleadplus import SyncRun
from webapp.services.operations import deciding, undoing_syncs
from webapp.services.operations import runs as operations
from webapp.services.operations.carry_out import carry_out as carry_out_operation
from webapp.services.winleadplus import config, progress, runs
from webapp.services.winleadplus.carry_out import carry_out

LATER = runs.LEASE + timedelta(seconds=1)

# What is left of an organisation, but for what differs from one run to the next: ids, times, ciphertexts.
LEFT = {
    "clients": """SELECT c.last_name, c.first_name, c.email, phone, city, status, source, contracts_count, version,
        contract_references, k.email AS commercial, commercial_external_id, archived_at IS NULL
        FROM clients c LEFT JOIN commercials k ON k.id = c.commercial_id
        WHERE c.organisation_id = :organisation_id ORDER BY 1, 2, 3""",
    "contracts": """SELECT reference, c.email, t.status, amount, signed_at, t.missing_since IS NULL, lines
        FROM contracts t JOIN clients c ON c.id = client_id LEFT JOIN LATERAL (
            SELECT string_agg(label || unit_price, '|' ORDER BY position) AS lines FROM contract_lines l
            WHERE l.contract_id = t.id) l ON true
        WHERE t.organisation_id = :organisation_id ORDER BY 1""",
    "accounts": """SELECT c.email, c.last_name, iban_masked, bic IS NULL, m.status FROM bank_accounts a
        JOIN clients c ON c.id = a.client_id LEFT JOIN mandates m ON m.bank_account_id = a.id
        WHERE a.organisation_id = :organisation_id ORDER BY 1, 2, 3""",
    "mappings": """SELECT external_id, c.email, c.last_name, hash, fingerprint, m.missing_since IS NULL
        FROM sync_mappings m JOIN clients c ON c.id = m.client_id
        WHERE m.organisation_id = :organisation_id ORDER BY 1""",
    "events": """SELECT c.email, c.last_name, kind, changes FROM timeline_events e JOIN clients c ON c.id = client_id
        WHERE e.organisation_id = :organisation_id ORDER BY 1, 2, 3, changes::text""",
    "items": """SELECT external_id, kind, label, reason, resolved_at IS NULL, client_id IS NULL, run.status
        FROM sync_items i JOIN sync_runs run ON run.id = run_id
        WHERE i.organisation_id = :organisation_id ORDER BY started_at, 1, 2""",
    "commercials": """SELECT external_id, email, user_id IS NULL FROM commercials
        WHERE organisation_id = :organisation_id ORDER BY 1, 2""",
    "products": "SELECT name FROM products WHERE organisation_id = :organisation_id ORDER BY 1",
    "runs": """SELECT status, phase, absent, created, updated, skipped, errors, warnings, conflicts, done, error
        FROM sync_runs WHERE organisation_id = :organisation_id ORDER BY started_at""",
}
Left = dict[str, list[Any]]


def _yesterday() -> list[Any]:
    return [first(1, contrats=[contract("A"), contract("B", montant=5)]), first(2), first(3), *prospects(20)]


def _healthy() -> list[Any]:
    return [first(200 + number) for number in range(20)]


def _today() -> list[Any]:
    """Of everything a bit: new, changed, vanished, linked, in conflict, in error, warned, ignored, repeated."""
    return [
        first(1, ville="Roubaix", contrats=[contract("A", statut="Résilié")]),
        first(57, nom="AVANT"),
        first(57, nom="APRÈS"),
        first(3, couleur="bleu"),
        *prospects(24, changed={4: 1, 17: 1}),
        first(50, email="mine@example.org"),
        first(51, email="twice@example.org"),
        first(52, contrats=[contract("A")]),
        first(53, nom=None, prenom=None),
        "pas un prospect",
        first(54, email="a@@b"),
        second(55),
        first(56, contrats=[]),
        *_healthy(),
    ]


@dataclass(frozen=True)
class World:
    """An organisation with clients of its own, whose WinLeadPlus has moved on since yesterday's run."""

    organisation_id: UUID

    def start(self) -> UUID:
        """The click."""
        with tenancy.organisation(self.organisation_id):
            return runs.start(trigger=RunTrigger.SCHEDULED, at=clock.now(), enqueue=False)[0]

    def run(self, run_id: UUID) -> SyncRun:
        """The run as it stands."""
        with tenancy.organisation(self.organisation_id):
            found = runs.find_run(run_id)
            db.session.rollback()
        assert found
        return found

    def left(self) -> Left:
        """Everything in the database that matters."""
        parameters = {"organisation_id": self.organisation_id}
        found = {name: [tuple(row) for row in db.session.execute(text(sql), parameters)] for name, sql in LEFT.items()}
        db.session.rollback()
        return found


Worlds = Callable[[], World]


@pytest.fixture
def winleadplus(committed: None, provider: LocalProvider) -> Iterator[Upstream]:
    """The upstream that every world reads."""
    with upstream.running() as running:
        yield running


@pytest.fixture
def new_world(winleadplus: Upstream, monkeypatch: pytest.MonkeyPatch) -> Worlds:
    """Makes worlds that begin alike."""
    monkeypatch.setattr(progress, "FIRST_BATCH", 10)
    monkeypatch.setattr(progress, "BATCH", 20)

    def make() -> World:
        organisation_id = factories.OrganisationFactory().id
        with tenancy.organisation(organisation_id):
            factories.CompanyFactory(is_default=True)
            config.change(endpoint=winleadplus.url)
            factories.ClientFactory(email="mine@example.org", last_name="MINE", first_name="", city="")
            for name in ("UN", "DEUX"):
                factories.ClientFactory(email="twice@example.org", last_name=name)
            db.session.commit()
        world = World(organisation_id)
        winleadplus.serve(_yesterday())
        carry_out(organisation_id, world.start())
        winleadplus.serve(_today())
        return world

    return make


@pytest.fixture
def undisturbed(new_world: Worlds) -> Left:
    """What a run leaves that nothing disturbs."""
    world = new_world()
    run_id = world.start()
    carry_out(world.organisation_id, run_id)
    run = world.run(run_id)
    assert (run.status, run.created, run.updated, run.skipped) == (RunStatus.PARTIAL, 27, 4, 20)
    assert (run.errors, run.conflicts, run.warnings) == (3, 1, 1)
    return world.left()


class PowerCutError(BaseException):
    """Nothing after this line happens; not even handlers of exceptions see it as one."""


def _carry_out_until(world: World, run_id: UUID, commit: int) -> bool:
    """Work on the run, and cut the power just before its n-th commit, which is as well just after the one before.

    Returns whether it came to that.
    """
    commits = iter(range(1, commit + 1))

    def count(_session: object) -> None:
        if next(commits, commit) == commit:
            raise PowerCutError

    event.listen(db.session, "before_commit", count)
    try:
        carry_out(world.organisation_id, run_id)
    except PowerCutError:
        return True
    finally:
        event.remove(db.session, "before_commit", count)
        db.session.remove()
    return False


def _resume(world: World, run_id: UUID) -> None:
    """What the sweeper's bell leads to, once the lease has run out."""
    clock.start_at(clock.now() + LATER)
    carry_out(world.organisation_id, run_id)


def test_a_cut_at_any_commit_leaves_what_an_undisturbed_run_leaves(new_world: Worlds, undisturbed: Left) -> None:
    commit, was_cut = 0, True
    while was_cut:
        commit += 1
        world = new_world()
        run_id = world.start()
        was_cut = _carry_out_until(world, run_id, commit)
        if was_cut:
            _resume(world, run_id)
        assert world.left() == undisturbed, f"cut before commit {commit}"
    assert commit > 12


def test_two_cuts_in_one_run_leave_the_same(new_world: Worlds, undisturbed: Left) -> None:
    world = new_world()
    run_id = world.start()
    for commit in (8, 10):
        assert _carry_out_until(world, run_id, commit)
        clock.start_at(clock.now() + LATER)
    carry_out(world.organisation_id, run_id)
    assert world.left() == undisturbed
    assert world.run(run_id).attempts == 3


def test_a_process_that_lost_its_lease_writes_nothing_more(
    new_world: Worlds, undisturbed: Left, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = new_world()
    run_id = world.start()
    with tenancy.organisation(world.organisation_id):
        stale = runs.claim(run_id, at=clock.now())
    assert stale
    _resume(world, run_id)
    assert world.left() == undisturbed
    monkeypatch.setattr(runs, "claim", lambda *_, **__: stale)
    carry_out(world.organisation_id, run_id)
    assert world.left() == undisturbed


def test_what_upstream_mends_between_two_processes_is_not_told(new_world: Worlds, winleadplus: Upstream) -> None:
    world = new_world()
    run_id = world.start()
    assert _carry_out_until(world, run_id, 12)
    interrupted = world.run(run_id)
    assert interrupted.errors + interrupted.conflicts > 0
    winleadplus.serve([row for row in _today() if row in (*_yesterday(), *_healthy())])
    _resume(world, run_id)
    run = world.run(run_id)
    assert (run.status, run.errors, run.conflicts) == (RunStatus.SUCCESS, 0, 0)
    assert not [item for item in world.left()["items"] if item[1] in ("error", "conflict") and item[4]]


def test_an_overtaken_process_undoes_its_batch(
    app: Flask, new_world: Worlds, undisturbed: Left, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = new_world()
    run_id = world.start()
    look_up = progress.find_fingerprints

    def be_overtaken(*args: Any, **kwargs: Any) -> dict[str, bytes]:
        found = look_up(*args, **kwargs)
        monkeypatch.setattr(progress, "find_fingerprints", look_up)
        clock.start_at(clock.now() + LATER)
        other = threading.Thread(target=_in_context, args=(app, world, run_id))
        other.start()
        other.join(60)
        return found

    monkeypatch.setattr(progress, "find_fingerprints", be_overtaken)
    carry_out(world.organisation_id, run_id)
    assert world.run(run_id).fence == 2
    assert world.left() == undisturbed


def _in_context(app: Flask, world: World, run_id: UUID) -> None:
    with app.app_context():
        carry_out(world.organisation_id, run_id)


def test_a_resumed_run_uses_the_service_account(new_world: Worlds, winleadplus: Upstream) -> None:
    world = new_world()
    with tenancy.organisation(world.organisation_id):
        run_id, _ = runs.start(trigger=RunTrigger.MANUAL, at=clock.now(), user_token="of-the-user", enqueue=False)
    assert _carry_out_until(world, run_id, 4)
    assert winleadplus.requests[-1]["Authorization"] == "Bearer of-the-user"
    _resume(world, run_id)
    assert winleadplus.requests[-1]["Authorization"] not in ("", "Bearer ", "Bearer of-the-user")


@pytest.mark.parametrize("sent", [1, 15, 35, 50])
def test_kill_9_in_the_middle_is_made_good_by_the_next_process(
    new_world: Worlds, undisturbed: Left, winleadplus: Upstream, sent: int
) -> None:
    world = new_world()
    run_id = world.start()
    has_hung, may_end = _hang_after(winleadplus, sent)
    process = fork(lambda: carry_out(world.organisation_id, run_id))
    try:
        assert has_hung.wait(60)
        _wait_for_progress(world, run_id, at_least=sent - 1)
    finally:
        os.kill(process, signal.SIGKILL)
    assert was_killed(process)
    may_end.set()
    assert not world.run(run_id).is_finished
    winleadplus.serve(_today())
    carry_out(world.organisation_id, run_id)
    assert not world.run(run_id).is_finished, "the dead process still holds its lease"
    _resume(world, run_id)
    assert world.left() == undisturbed


def _hang_after(winleadplus: Upstream, sent: int) -> tuple[threading.Event, threading.Event]:
    """Let the upstream send so many prospects and then nothing but blanks until it may end."""
    has_hung, may_end = threading.Event(), threading.Event()

    def handle(request: BaseHTTPRequestHandler) -> None:
        rows = b",".join(map(orjson.dumps, _today()[:sent]))
        request.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n[" + rows + b",")
        has_hung.set()
        while not may_end.wait(0.2):
            request.wfile.write(b" ")

    winleadplus.handler = handle
    return has_hung, may_end


def _wait_for_progress(world: World, run_id: UUID, *, at_least: int) -> None:
    deadline = time.monotonic() + 30
    while world.run(run_id).done < at_least:
        assert time.monotonic() < deadline, "the worker makes no progress"
        time.sleep(0.02)


def _undo(world: World, run_id: UUID, user_id: UUID) -> None:
    """Take the run back, from wherever an earlier process came to."""
    with tenancy.organisation(world.organisation_id):
        by = db.session.get_one(User, (world.organisation_id, user_id))
        present = undoing_syncs.find_undo(run_id)
        undo_id = present.id if present else undoing_syncs.plan_undo(run_id, by=by, at=clock.now())
        carry_out_operation(world.organisation_id, undo_id)
        if operations.find(undo_id).state is OperationState.PLANNED:
            deciding.apply(undo_id, by=by, at=clock.now())
        carry_out_operation(world.organisation_id, undo_id)
        db.session.rollback()


def _begin_undo(new_world: Worlds) -> tuple[World, UUID, UUID]:
    """A run that has ended, and who may take it back."""
    world = new_world()
    run_id = world.start()
    carry_out(world.organisation_id, run_id)
    with tenancy.organisation(world.organisation_id):
        user_id = factories.UserFactory(roles=["manager"]).id
        db.session.commit()
    return world, run_id, user_id


def test_an_undo_that_dies_before_any_commit_is_ended_by_the_next_process(new_world: Worlds) -> None:
    world, run_id, user_id = _begin_undo(new_world)
    was = world.left()
    _undo(world, run_id, user_id)
    undone, has_died, fatal = world.left(), True, 0
    assert undone["clients"] != was["clients"]
    while has_died:
        world, run_id, user_id = _begin_undo(new_world)

        def die_and_undo(world: World = world, run_id: UUID = run_id, user_id: UUID = user_id, at: int = fatal) -> None:
            die_at("commit", at)
            _undo(world, run_id, user_id)

        has_died = was_killed(fork(die_and_undo))
        clock.start_at(clock.now() + operations.LEASE + timedelta(seconds=1))
        _undo(world, run_id, user_id)
        assert world.left() == undone, f"killed before commit {fatal}"
        fatal += 1
    assert fatal > 5
