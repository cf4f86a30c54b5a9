"""bin/dev as somebody at a terminal meets it: it starts, survives what is killed, and leaves nothing behind."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from redis import Redis
from rq import Worker

from demo.home import PORTS, is_free
from demo.processes import is_alive
from webapp.queue import QUEUES

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Run:
    """A bin/dev in a home of its own."""

    home: Path
    port: int
    process: "subprocess.Popen[str]"
    working: set[int] = field(default_factory=set)

    def known(self) -> dict[str, Any]:
        known: dict[str, Any] = json.loads((self.home / "dev.json").read_text())
        return known

    def pids(self) -> dict[str, int]:
        pids: dict[str, int] = self.known()["pids"]
        return pids

    def wait_for(self, beginning: str) -> str:
        assert self.process.stdout is not None
        said = []
        for line in self.process.stdout:
            said.append(line)
            if line.startswith(beginning):
                return line.rstrip()
        raise AssertionError("".join(said))

    def until(self, happened: Callable[[], bool], *, within: float = 20) -> None:
        deadline = time.monotonic() + within
        while not happened():
            assert time.monotonic() < deadline
            time.sleep(0.1)


def _environment(home: Path, port: int) -> dict[str, str]:
    for name in ("DATABASE_URL", "REDIS_URL", "OIDC_ISSUER", "EXTERNAL_API_URL", "WINLEADPLUS_API_URL"):
        assert name not in os.environ
    return os.environ | {"CRM_HOME": str(home), "PORT": str(port), "CRM_SCHEDULE": "off", "WEB_CONCURRENCY": "1"}


def _begin(home: Path, port: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [ROOT / "bin" / "dev"],
        env=_environment(home, port),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def port() -> int:
    return next(port for port in PORTS if is_free(port))


@pytest.fixture(scope="module")
def dev(shared_home: Path, port: int) -> Iterator[Run]:
    with _begin(shared_home, port) as process:
        run = Run(shared_home, port, process)
        assert run.wait_for("Prêt") == f"Prêt : http://127.0.0.1:{port}"
        run.working = {worker.pid for worker in Worker.all(connection=Redis.from_url(run.known()["redis_url"]))}
        yield run
        process.terminate()


def test_ready_means_that_every_worker_takes_jobs(dev: Run) -> None:
    assert {dev.pids()[f"worker-{name}"] for name in QUEUES} <= dev.working


def test_a_page_leads_to_the_sign_in(dev: Run) -> None:
    known = dev.known()
    assert httpx.get(f"{known['url']}/sante/vivant").status_code == 200
    page = httpx.get(f"{known['url']}/clients", follow_redirects=True)
    assert str(page.url).startswith(known["oidc_issuer"])


def test_others_learn_where_everything_is(dev: Run) -> None:
    known = dev.known()
    around = {"identity", "winleadplus", "payment", "maildev", "sms", "carrier", "woocommerce", "operator"}
    workers = {f"worker-{name}" for name in QUEUES} | {"postgres", "redis", "supervisor"}
    assert {"web", "scheduler"} | workers | around == set(known["pids"])
    assert all(is_alive(pid) for pid in known["pids"].values())
    assert known["DATABASE_URL"] == known["database_url"]
    assert (dev.home / "dev.json").stat().st_mode & 0o777 == 0o600


def test_only_migrations_know_the_owner(dev: Run) -> None:
    for name in ("web", "worker-sync", "scheduler"):
        assert "DATABASE_OWNER_URL" not in psutil.Process(dev.pids()[name]).environ()


@pytest.mark.parametrize("name", ["worker-sync", "web", "postgres", "redis"])
def test_what_is_killed_comes_back(dev: Run, name: str) -> None:
    killed = dev.pids()[name]
    os.kill(killed, signal.SIGKILL)
    dev.until(lambda: dev.pids().get(name, killed) != killed)
    dev.until(lambda: _serves(dev))


def _serves(dev: Run) -> bool:
    try:
        return httpx.get(f"{dev.known()['url']}/clients").is_redirect
    except httpx.HTTPError:
        return False


def test_winleadplus_stays_off_once_switched_off(dev: Run) -> None:
    os.kill(dev.pids()["winleadplus"], signal.SIGTERM)
    time.sleep(1.5)
    dev.until(lambda: not _answers(dev.known()["winleadplus_url"]))
    os.kill(dev.pids()["supervisor"], signal.SIGUSR1)
    dev.until(lambda: _answers(dev.known()["winleadplus_url"]))


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code > 0
    except httpx.HTTPError:
        return False


def test_a_second_one_in_the_same_home_is_refused(dev: Run) -> None:
    second = subprocess.run(
        [ROOT / "bin" / "dev"], env=_environment(dev.home, dev.port), capture_output=True, text=True, check=False
    )
    assert second.returncode == 1
    assert f"http://127.0.0.1:{dev.port}" in second.stderr


def test_a_port_in_use_is_named(dev: Run, tmp_path: Path) -> None:
    other = subprocess.run(
        [ROOT / "bin" / "dev"], env=_environment(tmp_path, dev.port), capture_output=True, text=True, check=False
    )
    assert other.returncode == 1
    assert f"port {dev.port}" in other.stdout


def test_killed_itself_it_starts_again_and_sigterm_leaves_nothing(dev: Run) -> None:
    before = dev.pids()
    os.kill(before["supervisor"], signal.SIGKILL)
    with _begin(dev.home, dev.port) as process:
        again = Run(dev.home, dev.port, process)
        again.wait_for("Prêt")
        assert not any(is_alive(pid) for pid in before.values())
        pids, asked_at = again.pids(), time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(15)
    assert time.monotonic() - asked_at < 12
    assert not any(is_alive(pid) for pid in pids.values())
    assert not (dev.home / "dev.json").exists()
