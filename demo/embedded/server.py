"""What the two servers have in common: launching on a kept port, and who may end them."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

from demo.home import port_of, read_json, write_json
from demo.processes import die_with_parent, end, is_alive

PATIENCE = 60.0  # seconds; recovery after a crash may take a while on a slow disk
LOG_LIMIT = 10_000_000  # bytes, after which a server's log starts afresh

_launched: dict[int, subprocess.Popen[bytes]] = {}
"""By pid, what this process launched and has not ended: an abandoned Popen of a living process warns."""


class ServerError(Exception):
    """A server did not start; the message ends with the last lines of its log."""


@dataclass(frozen=True)
class Recipe:
    """How to launch one kind of server."""

    name: str
    command: Callable[[int], list[str]]
    """Its command line for a port."""
    is_ready: Callable[[int, int], bool]
    """Whether the server with this pid, on this port, may be used."""
    goodbye: signal.Signals
    """The signal that ends it in order."""
    account: dict[str, Any] = field(default_factory=dict)
    """Popen's arguments for another user to run it as."""


@dataclass(frozen=True)
class Server:
    """One running server."""

    name: str
    pid: int
    port: int
    owned: bool
    """Whether ending it is our business."""
    goodbye: signal.Signals

    def is_running(self) -> bool:
        return is_alive(self.pid)

    def stop(self) -> None:
        """End it in order (it finishes its writes) if we own it."""
        if self.owned:
            end(self.pid, self.goodbye, patience=8)
        if launched := _launched.pop(self.pid, None):
            launched.wait()


def wheel_folder(package: str) -> Path:
    """Where a wheel lies, without importing it: we want its programs, not what its Python does on import."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ServerError(f"The package {package} is not installed; bin/setup installs it.")
    return Path(spec.origin).parent


def launch(home: Path, recipe: Recipe) -> Server:
    """Start a server on its port, or on another one if somebody else was quicker, and wait until it is ready."""
    log = home / f"{recipe.name}.log"
    if log.is_file() and log.stat().st_size > LOG_LIMIT:
        log.unlink()
    said = ""
    for _ in range(3):
        port = port_of(home, recipe.name, may_move=True)
        already_said = log.stat().st_size if log.is_file() else 0
        process = _spawn(recipe, port, log)
        if _becomes_ready(process, recipe, port):
            return claim(home, recipe, process.pid, port)
        said = log.read_bytes()[already_said:].decode(errors="replace")
        if "ddress already in use" not in said:
            break
    last_lines = "\n".join(said.splitlines()[-15:])
    raise ServerError(f"{recipe.name} did not start; {log} ends with:\n{last_lines}")


def _spawn(recipe: Recipe, port: int, log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        process = subprocess.Popen(
            recipe.command(port),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
            start_new_session=True,  # Ctrl-C in the terminal is for us; we end the servers last
            preexec_fn=die_with_parent(recipe.goodbye),  # noqa: PLW1509  # we have no threads
            **recipe.account,
        )
    _launched[process.pid] = process
    return process


def _becomes_ready(process: subprocess.Popen[bytes], recipe: Recipe, port: int) -> bool:
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None:
        if recipe.is_ready(process.pid, port):
            return True
        if time.monotonic() > deadline:
            process.kill()
            process.wait()
        time.sleep(0.05)
    return False


def claim(home: Path, recipe: Recipe, pid: int, port: int) -> Server:
    """Own a running server, unless a living process has claimed it before us."""
    path = home / "servers.json"
    claims = read_json(path)
    server, ourselves = _identity(pid), _identity(os.getpid())
    theirs = claims.get(recipe.name, {})
    owner = theirs.get("owner") if theirs.get("server") == server else None
    is_guest = owner is not None and owner != ourselves and owner == _identity(int(owner[0]))
    if not is_guest:
        write_json(path, claims | {recipe.name: {"server": server, "owner": ourselves}})
    return Server(recipe.name, pid, port, owned=not is_guest, goodbye=recipe.goodbye)


def _identity(pid: int) -> list[float] | None:
    """Pid and start time, which together no other process will ever have."""
    try:
        return [pid, psutil.Process(pid).create_time()]
    except psutil.NoSuchProcess:
        return None
