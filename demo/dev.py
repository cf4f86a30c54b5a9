"""What bin/dev runs once everything is installed: the application, its servers, and its pretend world.

With --keycloak a real Keycloak signs people in, in the place of the pretend provider (demo/keycloak.py).

Order: servers and pretend world, migrations and demo data, the web server, and once it serves a page the workers and
the scheduler (which would only slow it down before), then « Prêt ». From then on whatever dies is started again, until
Ctrl-C or SIGTERM ends everything that was started here. CRM_HOME/dev.json tells other programs where everything is, as
long as it is there.
"""

import errno
import os
import secrets
import shlex
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

from honcho.environ import parse_procfile

from demo.console import Console
from demo.embedded import Server, ServerError, start_postgres, start_redis
from demo.home import PortTakenError, exclusively, listen, open_home, port_of, read_json, write_json
from demo.node import NODE
from demo.preparation import is_prepared
from demo.processes import end_marked
from demo.readiness import Check, WorkerCheck, checks_of_pages, checks_of_workers
from demo.supervisor import Child, ChildDiedError, StopRequestedError, Supervisor
from demo.surroundings import (
    OWNERS_ADDRESS,
    SERVERS_ADDRESSES,
    environment,
    for_application,
    for_pretend_world,
    needs_carrier,
    needs_identity_provider,
    needs_maildev,
    needs_operator,
    needs_payment_provider,
    needs_sms_gateway,
    needs_winleadplus,
    needs_woocommerce,
)

ROOT = Path(__file__).resolve().parent.parent
PROCFILE = ROOT / "Procfile"
WORKER = "worker-"
WITH_KEYCLOAK = "--keycloak"
START_UP_PATIENCE = 120.0  # seconds, for a slow machine's first imports
EMBEDDED = {"postgres": ("DATABASE_URL", start_postgres), "redis": ("REDIS_URL", start_redis)}

PRETEND_WORLD = {
    "identity": (needs_identity_provider, False),
    "winleadplus": (needs_winleadplus, True),
    "payment": (needs_payment_provider, True),
    "maildev": (needs_maildev, True),
    "smtp": (needs_maildev, False),
    "sms": (needs_sms_gateway, True),
    "carrier": (needs_carrier, True),
    "woocommerce": (needs_woocommerce, False),
    "operator": (needs_operator, False),
}
"""Ports of its servers: whether one is needed, and whether it may move."""


class StartUpError(Exception):
    """bin/dev cannot start; the message says why."""


def main() -> int:
    os.chdir(ROOT)
    if unknown := set(sys.argv[1:]) - {WITH_KEYCLOAK}:
        print(f"bin/dev knows no {' '.join(sorted(unknown))}; it takes {WITH_KEYCLOAK}", file=sys.stderr)
        return 2
    home = open_home(Path(os.environ.get("CRM_HOME") or ROOT / ".local"))
    with ExitStack() as stack:
        try:
            stack.enter_context(exclusively(home / "dev.lock", wait=False))
        except BlockingIOError:
            return _refuse_a_second(home)
        _end_leftovers(home)
        return _run(home)


def _refuse_a_second(home: Path) -> int:
    known = read_json(home / "dev.json")
    where = f" at {known['url']} (pid {known['pids']['supervisor']})" if known else ", and is not ready yet"
    print(
        f"bin/dev already runs for {home}{where}.\n"
        "Stop it first, or give this one a place of its own: CRM_HOME=.local-2 PORT=8001 bin/dev",
        file=sys.stderr,
    )
    return 1


def _end_leftovers(home: Path) -> None:
    """End what an earlier bin/dev, itself killed, could not."""
    (home / "dev.json").unlink(missing_ok=True)
    mark = read_json(home / "dev.run.json").get("mark")
    if mark and (ended := end_marked(mark)):
        print(f"Ended {len(ended)} processes that an earlier bin/dev left behind", file=sys.stderr)


def _run(home: Path) -> int:
    mark = secrets.token_hex(8)
    write_json(home / "dev.run.json", {"mark": mark})
    with Console(home / "dev.log", width=12) as console, Supervisor(console, mark) as supervisor:
        development = Development(home, os.environ, supervisor, console, with_keycloak=WITH_KEYCLOAK in sys.argv[1:])
        try:
            development.start()
            development.keep_running()
        except StopRequestedError:
            console.say("Stopping")
            return 0
        except (StartUpError, ServerError, PortTakenError, ChildDiedError) as error:
            console.say(f"bin/dev: {error}")
            return 1
        finally:
            development.stop()


class Development:
    """One run of bin/dev."""

    def __init__(
        self,
        home: Path,
        given: Mapping[str, str],
        supervisor: Supervisor,
        console: Console,
        *,
        with_keycloak: bool = False,
    ) -> None:
        self._home = home
        self._given = {name: value for name, value in given.items() if value != ""}
        self._supervisor = supervisor
        self._console = console
        self._with_keycloak = with_keycloak
        self._servers: dict[str, Server] = {}
        self._ports: dict[str, int] = {}
        self._environment: dict[str, str] = {}
        self._door: socket.socket | None = None

    def start(self) -> None:
        """Bring everything up. Raises StartUpError, ServerError, PortTakenError or ChildDiedError."""
        began = time.monotonic()
        self._door = self._listen()
        self._start_servers()
        self._choose_ports()
        self._environment = environment(self._home, self._given, self._servers, self._ports)
        self._start_pretend_world()
        if not is_prepared(self._environment[OWNERS_ADDRESS]):
            self._supervisor.run(Child("prepare", [sys.executable, "-m", "demo.prepare"], self._environment))
        web, *others = self._application()
        web.inherited = (self._door.fileno(),)
        web.environment |= {"CRM_LISTENING": str(self._door.fileno())}
        self._supervisor.start(web)
        self._wait_until_ready(checks_of_pages(self._environment))
        for child in others:
            self._supervisor.start(child)
        self._wait_until_ready(checks_of_workers(self._environment, _queues_of(others)))
        self._supervisor.is_starting = False
        self._tell_others()
        self._console.line("system", f"ready after {time.monotonic() - began:.1f} s")
        self._console.say(f"Courriels : {self._environment['MAILDEV_URL']}")
        self._console.say(f"SMS : {self._environment['SMS_SANDBOX_URL']}")
        self._console.say(f"Transporteur : {self._environment['CARRIER_SANDBOX_URL']}")
        self._console.say(f"Boutique : {self._environment['WOOCOMMERCE_SHOP_URL']}")
        self._console.say(f"Opérateur : {self._environment['DEPANSSUR_OPERATOR_URL']}")
        self._console.say(f"Prêt : {self._environment['PUBLIC_URL']}")

    def keep_running(self) -> NoReturn:
        """Start again whatever dies, until somebody asks us to stop (StopRequestedError)."""
        while True:
            was_restarted = self._supervisor.turn(1.0)
            if self._start_servers() or was_restarted:
                self._tell_others()

    def stop(self) -> None:
        """End everything that this run started: what uses the servers before the servers."""
        (self._home / "dev.json").unlink(missing_ok=True)
        self._supervisor.stop()
        if self._door:
            self._door.close()
        for server in reversed(self._servers.values()):
            server.stop()

    def _listen(self) -> socket.socket:
        """Take the port at once and keep it: while the web server starts, or starts again, visitors wait in line."""
        host, port = self._given.get("HOST", "127.0.0.1"), self._given.get("PORT", "8000")
        try:
            return listen(int(port), host)
        except ValueError:
            raise StartUpError(f"PORT is not a number: {port}") from None
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise StartUpError(f"cannot listen on {host}, port {port}: {error.strerror}") from error
            raise StartUpError(
                f"port {port} on {host} is already in use. "
                "End what uses it, or choose another one, say: PORT=8001 bin/dev"
            ) from None

    def _start_servers(self) -> bool:
        """Start the embedded servers that are needed and do not run; tell whether one was started."""
        started = False
        for name, (address, start) in EMBEDDED.items():
            server = self._servers.get(name)
            if address not in self._given and not (server and server.is_running()):
                if server:
                    self._console.line("system", f"{name} died; starting it again")
                self._servers[name] = start(self._home)
                started = True
        return started

    def _choose_ports(self) -> None:
        """Four may not move: users, senders, shops and operators are known by the addresses of what they belong to."""
        for name, (is_needed, may_move) in PRETEND_WORLD.items():
            if is_needed(self._given):
                self._ports[name] = port_of(self._home, name, may_move=may_move)

    def _start_pretend_world(self) -> None:
        outside = for_pretend_world(self._environment, self._ports)
        commands = {
            "identity": self._identity_provider(outside),
            "winleadplus": [sys.executable, "-m", "demo.winleadplus_api"],
            "payment": [sys.executable, "-m", "demo.payment_provider"],
            "maildev": self._maildev(),
            "sms": [sys.executable, "-m", "demo.sms_gateway"],
            "carrier": [sys.executable, "-m", "demo.carrier"],
            "woocommerce": [sys.executable, "-m", "demo.woocommerce_shop"],
            "operator": [sys.executable, "-m", "demo.depanssur_operator"],
        }
        for name in commands.keys() & self._ports.keys():
            self._supervisor.start(Child(name, commands[name], outside, is_outside=True))

    def _maildev(self) -> list[str]:
        """A mail server that keeps what it gets on a page of its own, and passes nothing on."""
        ports = [f"--web={self._ports.get('maildev')}", f"--smtp={self._ports.get('smtp')}"]
        return [str(NODE), "node_modules/maildev/bin/maildev", "--ip=127.0.0.1", "--silent", *ports]

    def _identity_provider(self, outside: Mapping[str, str]) -> list[str]:
        """The command of the pretend one, or of a real one, which may have to be fetched and built first."""
        if not self._with_keycloak:
            return [str(NODE), "demo/identity_provider/server.js"]
        keycloak = [sys.executable, "-m", "demo.keycloak"]
        self._supervisor.run(Child("keycloak", [*keycloak, "--install"], dict(outside)))
        return keycloak

    def _application(self) -> list[Child]:
        """The processes that production runs too, the web server first."""
        processes = parse_procfile(PROCFILE.read_text(encoding="utf-8")).processes
        return [
            Child(name, shlex.split(command), for_application(self._environment)) for name, command in processes.items()
        ]

    def _wait_until_ready(self, checks: Sequence[Check | WorkerCheck]) -> None:
        deadline = time.monotonic() + START_UP_PATIENCE
        for check in checks:
            while fault := check.fault():
                if time.monotonic() > deadline:
                    raise StartUpError(f"gave up after {START_UP_PATIENCE:.0f} s: {fault}")
                self._supervisor.rest(0.2)

    def _tell_others(self) -> None:
        known = self._environment
        pids = {name: child.pid for name, child in self._supervisor.children.items() if child.is_running()}
        pids |= {name: server.pid for name, server in self._servers.items()} | {"supervisor": os.getpid()}
        api = known.get("EXTERNAL_API_URL") or known["WINLEADPLUS_API_URL"]
        write_json(
            self._home / "dev.json",
            {
                "url": known["PUBLIC_URL"],
                "public_url": known["PUBLIC_URL"],
                **{name.lower(): known[name] for name in SERVERS_ADDRESSES},
                **{name: known[name] for name in SERVERS_ADDRESSES},
                "oidc_issuer": known["OIDC_ISSUER"],
                "winleadplus_url": api.removesuffix("/api/prospects"),
                "external_api_url": api,
                "payment_sandbox_url": known["PAYMENT_SANDBOX_URL"],
                "maildev_url": known["MAILDEV_URL"],
                "maildev_smtp": known.get("MAILDEV_SMTP", ""),
                "sms_sandbox_url": known["SMS_SANDBOX_URL"],
                "carrier_sandbox_url": known["CARRIER_SANDBOX_URL"],
                "woocommerce_shop_url": known["WOOCOMMERCE_SHOP_URL"],
                "depanssur_operator_url": known["DEPANSSUR_OPERATOR_URL"],
                "home": str(self._home),
                "pids": pids,
            },
        )


def _queues_of(children: Sequence[Child]) -> list[str]:
    """As the Procfile names their workers. (webapp.queue would import half of the application.)"""
    return [child.name.removeprefix(WORKER) for child in children if child.name.startswith(WORKER)]


if __name__ == "__main__":
    sys.exit(main())
