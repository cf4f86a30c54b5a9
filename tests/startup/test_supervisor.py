"""The supervisor: what dies comes back, what is switched off stays off, and nothing is left at the end."""

import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import psutil
import pytest

from demo.console import Console
from demo.processes import RUN_MARK, end_marked, is_alive
from demo.supervisor import Child, ChildDiedError, StopRequestedError, Supervisor

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1)


@pytest.fixture
def mark() -> str:
    return secrets.token_hex(8)


@pytest.fixture
def supervisor(tmp_path: Path, mark: str, capfd: pytest.CaptureFixture[str]) -> Iterator[Supervisor]:
    handlers = {number: signal.getsignal(number) for number in HANDLED}
    with Console(tmp_path / "dev.log", width=8) as console, Supervisor(console, mark) as supervisor:
        yield supervisor
    for number, handler in handlers.items():
        signal.signal(number, handler)


def _child(name: str, command: list[str], *, is_outside: bool = False) -> Child:
    return Child(name, command, dict(os.environ), is_outside=is_outside)


def _turn_until(supervisor: Supervisor, happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < deadline
        supervisor.turn(0.1)


def test_a_killed_process_is_back_within_two_seconds(supervisor: Supervisor) -> None:
    worker = _child("worker", SLEEP)
    supervisor.start(worker)
    supervisor.is_starting = False
    first = worker.pid
    os.kill(first or 0, signal.SIGKILL)
    killed_at = time.monotonic()
    _turn_until(supervisor, lambda: worker.is_running() and worker.pid != first)
    assert time.monotonic() - killed_at < 2


def test_a_moved_clock_goes_on_where_a_process_starts_later(supervisor: Supervisor, tmp_path: Path) -> None:
    told = tmp_path / "told"
    tell = f"import os; open({str(told)!r}, 'a').write(os.environ['CRM_NOW'] + chr(10))"
    worker = Child("worker", [sys.executable, "-c", tell], os.environ | {"CRM_NOW": "2026-01-31T23:59:59"})
    supervisor.start(worker)
    supervisor.is_starting = False
    _turn_until(supervisor, lambda: told.is_file() and len(told.read_text().splitlines()) > 1)
    first, second, *_ = map(datetime.fromisoformat, told.read_text().splitlines())
    assert datetime.fromisoformat("2026-01-31T23:59:59") <= first < second


def test_one_that_keeps_dying_is_started_ever_more_rarely(supervisor: Supervisor) -> None:
    broken = _child("broken", [sys.executable, "-c", "raise SystemExit(3)"])
    supervisor.is_starting = False
    supervisor.start(broken)
    _turn_until(supervisor, lambda: broken.deaths_in_a_row == 3)
    assert (broken.restart_at or 0) - time.monotonic() > 1


def test_an_outside_server_that_was_ended_stays_off_until_it_is_switched_on(supervisor: Supervisor) -> None:
    outside = _child("outside", SLEEP, is_outside=True)
    supervisor.start(outside)
    supervisor.is_starting = False
    os.kill(outside.pid or 0, signal.SIGTERM)
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        supervisor.turn(0.1)
    assert not outside.is_running()
    os.kill(os.getpid(), signal.SIGUSR1)
    _turn_until(supervisor, outside.is_running)


def test_a_death_during_start_up_tells_the_last_lines(supervisor: Supervisor) -> None:
    supervisor.start(_child("web", [sys.executable, "-c", "import sys; sys.exit('no such setting')"]))
    with pytest.raises(ChildDiedError, match=r"web ended \(exit code 1\)(.|\n)*no such setting"):
        _turn_until(supervisor, lambda: False)


def test_an_errand_that_fails_tells_its_last_lines(supervisor: Supervisor) -> None:
    with pytest.raises(ChildDiedError, match="relation is missing"):
        supervisor.run(_child("migrate", [sys.executable, "-c", "import sys; sys.exit('relation is missing')"]))


def test_sigterm_asks_to_stop(supervisor: Supervisor) -> None:
    supervisor.start(_child("web", SLEEP))
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(StopRequestedError):
        supervisor.turn(1)


def test_stopping_ends_the_deaf_and_their_children(supervisor: Supervisor, mark: str) -> None:
    deaf = "import os, signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); \
print('deaf', flush=True); subprocess.Popen(['sleep', '600']); time.sleep(600)"
    child = _child("deaf", [sys.executable, "-c", deaf])
    supervisor.start(child)
    _turn_until(supervisor, lambda: "deaf" in child.last_lines)
    started = time.monotonic()
    supervisor.stop()
    assert time.monotonic() - started < 10
    assert not is_alive(child.pid or 0)
    assert end_marked(mark) == []


def test_only_marked_processes_are_ended(mark: str) -> None:
    with (
        psutil.Popen(["sleep", "600"], env=os.environ | {RUN_MARK: mark}) as left_over,
        psutil.Popen(["sleep", "600"], env=os.environ | {RUN_MARK: "another run"}) as unrelated,
    ):
        assert end_marked(mark) == [left_over.pid]
        assert unrelated.poll() is None
        unrelated.kill()


def test_output_that_nobody_reads_stops_nothing(tmp_path: Path) -> None:
    script = "import sys; from pathlib import Path; from demo.console import Console\n\
with Console(Path(sys.argv[1]), 8) as console:\n    for number in range(5000): console.line('web', 'x' * 100)"
    unread, write = os.pipe()
    with psutil.Popen([sys.executable, "-c", script, str(tmp_path / "dev.log")], stdout=write) as chatty:
        assert chatty.wait(20) == 0
    os.close(unread)
    os.close(write)
    assert len((tmp_path / "dev.log").read_text().splitlines()) == 5000
