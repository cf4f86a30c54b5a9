"""Runs the processes of bin/dev, relays what they print, and starts those again that die.

Honcho's own manager ends everything when one process dies; here a worker killed with -9 must be back within a second
or two. One thread, one loop: signals, deaths and output all wake the same `select`.
"""

import os
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import FrameType
from typing import Self

from demo.console import Console
from demo.processes import RUN_MARK, die_with_parent, end_marked

BACK_OFF = [0.5, 1, 2, 5, 10, 30]  # seconds before the first, second, … restart in a row
NEVER = float("inf")
SETTLED = 30.0  # seconds after which a process counts as having started well
DELIBERATE = {0, -signal.SIGTERM, -signal.SIGKILL, -signal.SIGINT, 128 + signal.SIGTERM}  # the last is a shell's
LAST_LINES = 20


class StopRequestedError(Exception):
    """Somebody asked us to stop."""


class ChildDiedError(Exception):
    """A process ended during start-up, when nothing may."""

    def __init__(self, child: "Child") -> None:
        super().__init__(f"{child.name} ended ({child.outcome()}). Its last lines:\n" + "\n".join(child.last_lines))


@dataclass
class Child:
    """A process under supervision, and how to start it again."""

    name: str
    command: list[str]
    environment: dict[str, str]
    inherited: tuple[int, ...] = ()
    """Descriptors that it gets from us, open."""
    is_outside: bool = False
    """It plays somebody else's server: who ends it wants it off, so it stays off."""
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    restart_at: float | None = None
    deaths_in_a_row: int = 0
    last_lines: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_LINES))

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process else None

    @property
    def returncode(self) -> int | None:
        return self.process.returncode if self.process else None

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def signal(self, signum: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(signum)

    def close(self) -> None:
        if self.process is not None and self.process.stdout is not None:
            self.process.stdout.close()

    def outcome(self) -> str:
        code = self.returncode
        return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"


class Supervisor:
    """Starts, watches and stops processes, each a session of its own so that signals reach only whom they should."""

    def __init__(self, console: Console, mark: str) -> None:
        self.children: dict[str, Child] = {}
        self.is_starting = True
        """During start-up the death of any child is an error."""
        self._console = console
        self._mark = mark
        self._began = time.monotonic()
        self._errand: Child | None = None
        self._asked_to_stop = False
        self._selector = selectors.DefaultSelector()
        self._wake_pipe = os.pipe()

    def __enter__(self) -> Self:
        self._listen_to_signals()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        signal.set_wakeup_fd(-1)
        for child in self.children.values():
            child.close()
        for descriptor in self._wake_pipe:
            os.close(descriptor)
        self._selector.close()

    def _listen_to_signals(self) -> None:
        """The number of a signal, written into a pipe as it arrives, wakes a `select` without a race."""
        reading, writing = self._wake_pipe
        os.set_blocking(reading, False)
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        self._selector.register(reading, selectors.EVENT_READ, lambda: _read(reading))
        for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(stop, self._ask_to_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # its arrival alone wakes the loop
        signal.signal(signal.SIGUSR1, self._switch_on)

    def _ask_to_stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._asked_to_stop = True

    def _switch_on(self, _signal: int, _frame: FrameType | None) -> None:
        """SIGUSR1 starts again what was switched off."""
        for child in self.children.values():
            if not child.is_running():
                child.restart_at = 0.0

    def start(self, child: Child) -> None:
        """Start a process and keep it running."""
        self.children[child.name] = child
        self._spawn(child)

    def run(self, child: Child) -> None:
        """Run a process to its end. Raises ChildDiedError if it failed."""
        self._errand = child
        self._spawn(child)
        while child.is_running():
            self.turn(0.5)
        self._drain()
        self._errand = None
        if child.returncode != 0:
            raise ChildDiedError(child)

    def turn(self, patience: float) -> bool:
        """Wait a little for something to happen and deal with it; tell whether a process was started again.

        Raises StopRequestedError once somebody asked us to stop.
        """
        self._relay(patience)
        if self._asked_to_stop:
            raise StopRequestedError
        for child in self.children.values():
            if not child.is_running() and child.restart_at is None:
                self._deal_with_death(child)
        due = [c for c in self.children.values() if c.restart_at is not None and c.restart_at <= time.monotonic()]
        for child in due:
            self._spawn(child)
        return bool(due)

    def rest(self, seconds: float) -> None:
        """Deal with whatever happens for so long."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.turn(left)

    def stop(self) -> None:
        """Ask everything to end, ask again, insist. A second SIGTERM makes an RQ worker leave its job at once."""
        for signum, patience in ((signal.SIGTERM, 4.0), (signal.SIGTERM, 1.5), (signal.SIGKILL, 1.0)):
            for child in self._running():
                child.signal(signum)
            deadline = time.monotonic() + patience
            while self._running() and time.monotonic() < deadline:
                self._relay(0.2)
        end_marked(self._mark, patience=1.0)  # grandchildren whose parent did not end them
        self._relay(0)

    def _running(self) -> list[Child]:
        known = [*self.children.values(), *([self._errand] if self._errand else [])]
        return [child for child in known if child.is_running()]

    def _spawn(self, child: Child) -> None:
        child.restart_at = None
        child.started_at = time.monotonic()
        child.process = subprocess.Popen(
            child.command,
            env={**self._at_present(child.environment), RUN_MARK: self._mark},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=child.inherited,
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509  # we have no threads
        )
        self._listen_to(child, child.process)

    def _at_present(self, environment: Mapping[str, str]) -> Mapping[str, str]:
        """With CRM_NOW, where the clock of a process starts, moved on by how long we run: all have one time, also those
        that start late, or again.
        """
        try:
            beginning = datetime.fromisoformat(environment["CRM_NOW"])
        except (KeyError, ValueError):
            return environment  # the application says what is wrong with it
        present = beginning + timedelta(seconds=time.monotonic() - self._began)
        return {**environment, "CRM_NOW": present.isoformat()}

    def _listen_to(self, child: Child, process: subprocess.Popen[bytes]) -> None:
        """Relay its lines until the pipe closes, which may be after its death: what it forked may go on writing."""
        pipe, rest = process.stdout, b""
        if pipe is None:
            return
        os.set_blocking(pipe.fileno(), False)

        def relay() -> None:
            nonlocal rest
            data = _read(pipe.fileno())
            if data is None:
                return
            has_ended = data == b""
            *lines, rest = (rest + data + (b"\n" if has_ended and rest else b"")).split(b"\n")
            for line in lines:
                self._show(child, line.decode("utf-8", "replace").rstrip())
            if has_ended:
                self._selector.unregister(pipe)
                pipe.close()

        self._selector.register(pipe, selectors.EVENT_READ, relay)

    def _show(self, child: Child, line: str) -> None:
        child.last_lines.append(line)
        self._console.line(child.name, line)

    def _relay(self, patience: float) -> None:
        for key, _ in self._selector.select(self._until_next_restart(patience)):
            act: Callable[[], None] = key.data
            act()

    def _drain(self) -> None:
        """Relay what is already in the pipes."""
        for _ in range(50):
            if not self._selector.select(0):
                break
            self._relay(0)

    def _until_next_restart(self, patience: float) -> float:
        due = [child.restart_at - time.monotonic() for child in self.children.values() if child.restart_at is not None]
        return max(0.0, min([patience, *due]))

    def _deal_with_death(self, child: Child) -> None:
        self._drain()
        if self.is_starting:
            raise ChildDiedError(child)
        if child.is_outside and child.returncode in DELIBERATE:
            child.restart_at = NEVER
            self._console.line("system", f"{child.name} was ended and stays off; kill -USR1 {os.getpid()} starts it")
            return
        lived = time.monotonic() - child.started_at
        child.deaths_in_a_row = 1 if lived > SETTLED else child.deaths_in_a_row + 1
        delay = BACK_OFF[min(child.deaths_in_a_row, len(BACK_OFF)) - 1]
        child.restart_at = time.monotonic() + delay
        self._console.line("system", f"{child.name} died ({child.outcome()}); starting it again in {delay} s")


def _read(descriptor: int) -> bytes | None:
    """What is there: nothing at the end, None before anything came."""
    with suppress(BlockingIOError):
        return os.read(descriptor, 65536)
    return None
