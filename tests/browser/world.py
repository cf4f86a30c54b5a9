"""The product as ``bin/dev`` runs it, on a database of its own, and what a test may do to it from outside."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
from psycopg import sql
from redis import Redis
from sqlalchemy.engine import make_url

from demo.home import is_free, secrets_of
from tests.databases import admin_url, create_migrated, named

ROOT = Path(__file__).resolve().parents[2]
START_PATIENCE = 240.0
PATIENCE = 15.0
REDIS_DATABASE = 15  # the last one: processes of pytest count up from 0
PORTS = range(14_000, 15_000)


def eventually(condition: Callable[[], Any], *, within: float = PATIENCE) -> Any:
    """What ``condition`` returns as soon as that is true. Fails the test when it never is."""
    deadline = time.monotonic() + within
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"still not so after {within:.0f} s"
        time.sleep(0.1)


class World:
    """A running product."""

    options: tuple[str, ...] = ()
    """What bin/dev is given."""
    start_patience = START_PATIENCE

    def __init__(self, home: Path, database_url: str, owner_url: str, redis_url: str) -> None:
        self.home = home
        self.owner_url = make_url(owner_url).set(drivername="postgresql").render_as_string(hide_password=False)
        self.admin_url = admin_url(make_url(owner_url).database)
        self.redis_url = redis_url
        port = next(port for port in PORTS if is_free(port))
        self.url = f"http://127.0.0.1:{port}"
        self.environment = os.environ | {
            "CRM_HOME": str(home),
            "PORT": str(port),
            "DATABASE_URL": database_url,
            "DATABASE_OWNER_URL": owner_url,
            "REDIS_URL": redis_url,
            "DEMO_PROSPECTS": "250",
            "WEB_CONCURRENCY": "1",
        }
        self._log = home / "output.log"

    def start(self) -> None:
        """Start everything and wait until a page can be served."""
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "demo.dev", *self.options],
                cwd=ROOT,
                env=self.environment,
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + self.start_patience
        while not (self.home / "dev.json").is_file():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise AssertionError("the product did not start:\n" + self._log.read_text()[-4000:])
            time.sleep(0.1)

    def stop(self) -> None:
        """End everything that was started."""
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)

    def complaints(self) -> str:
        """The last lines of its log that tell of a fault."""
        lines = self._log.read_text(errors="replace").splitlines()
        return "\n".join([line for line in lines if re.search('"level": "error"|Traceback|Error:|died', line)][-5:])

    @property
    def known(self) -> dict[str, Any]:
        """What dev.json tells now."""
        found: dict[str, Any] = json.loads((self.home / "dev.json").read_text())
        return found

    def reset(self) -> None:
        """The first morning: only the demo data, nobody signed in, WinLeadPlus well and unchanged."""
        self.switch_winleadplus_on()
        self.winleadplus(reset=True, mode="ok")
        jobs = Redis.from_url(self.redis_url)
        jobs.flushdb()  # what workers have not begun would meet the rows of the next test
        eventually(self._is_as_at_first, within=60)
        jobs.flushdb()

    def _is_as_at_first(self) -> bool:
        """Whether all tables hold the demo data now; not where a worker that is at work locks them in another order.

        Only what has changed is written anew: TRUNCATE of all tables makes every file of every index anew.
        """
        names = [sql.Identifier(name) for name in self._demo_data]
        try:
            with psycopg.connect(self.admin_url) as connection:
                connection.execute("SET session_replication_role = replica")  # tables come in any order
                connection.execute("SET deadlock_timeout = '100ms'")  # it is this one that gives way, and tries again
                connection.execute(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(sql.SQL(", ").join(names)))
                for name, rows in self._demo_data.items():
                    if sorted(_rows_of(connection, name).splitlines()) == sorted(rows.splitlines()):
                        continue
                    connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(name)))
                    with connection.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(name))) as copy:
                        copy.write(rows)
        except psycopg.errors.DeadlockDetected:
            return False
        return True

    @cached_property
    def _demo_data(self) -> dict[str, bytes]:
        """The rows of each table, as COPY writes them, made once in a database that nobody works in meanwhile."""
        name = f"{make_url(self.owner_url).database}_at_first"
        # The demo's senders, carrier and operator are those of the servers that run.
        addresses = ("maildev_smtp", "sms_sandbox_url", "carrier_sandbox_url", "depanssur_operator_url")
        outside = {address.upper(): self.known[address] for address in addresses}
        outside["DEPANSSUR_OPERATOR_SECRET"] = secrets_of(self.home)["DEPANSSUR_OPERATOR_SECRET"]
        for url in ("DATABASE_URL", "DATABASE_OWNER_URL"):
            outside[url] = named(self.environment[url], name)
        create_migrated(name)
        subprocess.run([sys.executable, "-m", "demo.prepare"], cwd=ROOT, env=self.environment | outside, check=True)
        with psycopg.connect(named(self.admin_url, name)) as connection:
            # Every reset would have all the demo's claims told anew.
            connection.execute("UPDATE cover_operators SET delivery_url = NULL")
            names = connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
            ).fetchall()
            return {name: _rows_of(connection, name) for (name,) in names}

    def has_prospects(self) -> bool:
        """Whether a synchronisation has brought clients in."""
        with self.database() as connection:
            return connection.execute("SELECT FROM clients WHERE source = 'WinLeadPlus' LIMIT 1").fetchone() is not None

    def winleadplus(self, **order: object) -> None:
        """Tell the pretend WinLeadPlus how to behave."""
        httpx.post(f"{self.known['winleadplus_url']}/_control", json=order).raise_for_status()

    def payment_provider(self, **order: object) -> None:
        """Tell the pretend payment provider how to behave."""
        httpx.post(f"{self.known['payment_sandbox_url']}/_control", json=order).raise_for_status()

    def carrier(self, **order: object) -> None:
        """Tell the pretend carrier how to behave."""
        httpx.post(f"{self.known['carrier_sandbox_url']}/_control", json=order).raise_for_status()

    def next_email_of_the_shop(self) -> str:
        """The e-mail of the person who will buy next in the pretend shop."""
        numbers = httpx.get(f"{self.known['woocommerce_shop_url']}/_state").json()["numbers"]
        return f"acheteur.{numbers['user'] + 1}@boutique.example"

    def emails_with(self, subject: str) -> list[dict[str, Any]]:
        """The e-mails that were sent with such a subject, the latest last."""
        sent: list[dict[str, Any]] = httpx.get(f"{self.known['maildev_url']}/email").json()
        return [email for email in sent if subject in email["subject"]]

    def captures_of(self, subscription_id: str) -> list[str]:
        """The amounts that the pretend payment provider has captured for a subscription."""
        ledger = httpx.get(f"{self.known['payment_sandbox_url']}/_ledger").json()
        return [row["amount"] for row in ledger["captures"] if row["subscription"] == subscription_id]

    def switch_winleadplus_off(self) -> None:
        """End its process."""
        process = psutil.Process(self.known["pids"]["winleadplus"])
        process.terminate()
        process.wait(PATIENCE)

    def switch_winleadplus_on(self) -> None:
        """Start its process again, unless it runs."""
        if "winleadplus" not in self.known["pids"] or not _answers(f"{self.known['winleadplus_url']}/_control"):
            os.kill(self.known["pids"]["supervisor"], signal.SIGUSR1)
        eventually(lambda: _answers(f"{self.known['winleadplus_url']}/_control"))

    def kill_worker(self) -> None:
        """kill -9 of the sync worker and of whatever it forked."""
        worker = psutil.Process(self.known["pids"]["worker-sync"])
        for process in [worker, *worker.children(recursive=True)]:
            process.kill()

    @contextmanager
    def database(self) -> Iterator[psycopg.Connection]:
        """A connection as the owner, to look behind the pages."""
        with psycopg.connect(self.owner_url, autocommit=True) as connection:
            yield connection


def _rows_of(connection: psycopg.Connection, table: str) -> bytes:
    with connection.cursor().copy(sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(table))) as copy:
        return b"".join(bytes(part) for part in copy)


def _answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=1).is_success
    except httpx.HTTPError:
        return False
