"""Starting processes that do not outlive us, and ending those of an earlier run that did."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

import psutil

RUN_MARK = "CRM_DEV_RUN"
"""Environment variable that marks every process of one run of bin/dev, whatever forks on the way."""

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with_parent(by: signal.Signals) -> Callable[[], None] | None:
    """A `preexec_fn` that makes the kernel send a signal to the child when we die, even by kill -9.

    Only Linux can. Elsewhere, and for grandchildren, `end_marked` clears up at the next start.
    """
    libc = _libc
    if libc is None:
        return None
    parent = os.getpid()

    def ask_the_kernel() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(by))
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return ask_the_kernel


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def end(pid: int, by: signal.Signals, *, patience: float) -> None:
    """End one process: ask with a signal, insist with SIGKILL after `patience` seconds."""
    try:
        process = psutil.Process(pid)
        process.send_signal(by)
        process.wait(patience)
    except psutil.TimeoutExpired:
        process.kill()
        process.wait(5)
    except psutil.NoSuchProcess:
        pass


def end_marked(mark: str, *, patience: float = 3.0) -> list[int]:
    """End the processes that carry a run's mark, and nothing else; return their pids."""
    marked = [process for process in psutil.process_iter() if _carries(process, mark)]
    for process in marked:
        _signal(process, signal.SIGTERM)
    _, stubborn = psutil.wait_procs(marked, timeout=patience)
    for process in stubborn:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(stubborn, timeout=2)
    return [process.pid for process in marked]


def _carries(process: psutil.Process, mark: str) -> bool:
    try:
        return process.pid != os.getpid() and process.environ().get(RUN_MARK) == mark
    except (psutil.Error, OSError):
        return False  # gone, a zombie, or another user's


def _signal(process: psutil.Process, by: signal.Signals) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(by)
