"""`python -m demo.embedded tests|bench|migrations -- COMMAND…`: a command with servers of its own.

They are stopped when the command ends, whatever ends it. Nothing that the command inherits from the environment
leads it to somebody's real servers.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from demo.embedded import ServerError, Servers, database_url, start
from demo.embedded.postgres import create_database, drop_database
from demo.home import exclusively, open_home, secrets_of
from demo.processes import die_with_parent, end

ROOT = Path(__file__).resolve().parents[2]
REAL_SERVERS = [
    "DATABASE_URL",
    "DATABASE_OWNER_URL",
    "REDIS_URL",
    "OIDC_ISSUER",
    "OIDC_CLIENT_ID",
    "OIDC_CLIENT_SECRET",
    "EXTERNAL_API_URL",
    "WINLEADPLUS_API_URL",
]


def main(arguments: list[str]) -> int:
    purpose, dashes, *command = arguments if len(arguments) > 2 else ("", "")
    if purpose not in ENVIRONMENTS or dashes != "--":
        print(f"usage: python -m demo.embedded {'|'.join(ENVIRONMENTS)} -- COMMAND…", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, and so stops the servers
    try:
        with servers_for(purpose) as servers:
            return _run_attended(command, ENVIRONMENTS[purpose](servers))
    except ServerError as error:
        print(error, file=sys.stderr)
        return 1


@contextmanager
def servers_for(purpose: str) -> Iterator[Servers]:
    """Servers below CRM_HOME that nobody else uses meanwhile.

    Test runs at the same time in one clone get a folder each; benchmarks wait for each other, since two at once
    measure nothing.
    """
    home = open_home(Path(os.environ.get("CRM_HOME") or ROOT / ".local"))
    with ExitStack() as stack:
        if purpose == "bench":
            mine = open_home(home / "bench")
            _wait_for_turn(mine, stack)
            servers = start(mine)
        else:
            mine = _enter_free_folder(home, stack)
            servers = _start_disposable(mine)
        stack.callback(servers.stop)
        yield servers


def _wait_for_turn(mine: Path, stack: ExitStack) -> None:
    try:
        stack.enter_context(exclusively(mine / "in-use.lock", wait=False))
    except BlockingIOError:
        print("Waiting for another benchmark to end", file=sys.stderr)
        stack.enter_context(exclusively(mine / "in-use.lock"))


def _enter_free_folder(home: Path, stack: ExitStack) -> Path:
    number = 1
    while True:
        mine = open_home(home / ("test" if number == 1 else f"test-{number}"))
        try:
            stack.enter_context(exclusively(mine / "in-use.lock", wait=False))
        except BlockingIOError:
            number += 1
        else:
            return mine


def _start_disposable(home: Path) -> Servers:
    """Data that was lost with the machine's power, since nothing is synced, is made anew."""
    try:
        return start(home, durable=False)
    except ServerError as error:
        print(f"Starting afresh in {home}: {error}", file=sys.stderr)
        for folder in ("postgres", "redis"):
            shutil.rmtree(home / folder, ignore_errors=True)
        return start(home, durable=False)


def _for_tests(servers: Servers) -> dict[str, str]:
    return _isolated(servers.home) | {
        "CRM_TEST_DATABASE_URL": servers.database_url,
        "CRM_TEST_DATABASE_OWNER_URL": servers.database_owner_url,
        "CRM_TEST_DATABASE_ADMIN_URL": servers.database_admin_url,
        "CRM_TEST_REDIS_URL": servers.redis_url.removesuffix("/0"),  # each process adds a database of its own
    }


def _for_bench(servers: Servers) -> dict[str, str]:
    kept = secrets_of(servers.home)
    return _isolated(servers.home) | {
        "DATABASE_URL": servers.database_url,
        "DATABASE_OWNER_URL": servers.database_owner_url,
        "DATABASE_ADMIN_URL": servers.database_admin_url,
        "REDIS_URL": servers.redis_url,
        "SECRET_KEY": kept["SECRET_KEY"],
        "CRM_DATA_KEYS": kept["CRM_DATA_KEYS"],
    }


def _for_migrations(servers: Servers) -> dict[str, str]:
    """As for a benchmark, but with a database in which nothing was ever made."""
    home, postgres, database = servers.home, servers.postgres, "crm_fresh"
    drop_database(home, postgres, database)
    create_database(home, postgres, database)
    return _for_bench(servers) | {
        "DATABASE_URL": database_url(home, postgres, "crm_app", database),
        "DATABASE_OWNER_URL": database_url(home, postgres, "crm_owner", database),
    }


ENVIRONMENTS: dict[str, Callable[[Servers], dict[str, str]]] = {
    "tests": _for_tests,
    "bench": _for_bench,
    "migrations": _for_migrations,
}


def _isolated(home: Path) -> dict[str, str]:
    harmless = {name: value for name, value in os.environ.items() if name not in REAL_SERVERS}
    return harmless | {"CRM_HOME": str(home)}


def _run_attended(command: list[str], environment: dict[str, str]) -> int:
    """Run a command in our terminal. Ctrl-C reaches it without us; SIGTERM we pass on."""
    with subprocess.Popen(
        command,
        env=environment,
        preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509  # we have no threads
    ) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue
            except SystemExit:
                end(process.pid, signal.SIGTERM, patience=10)
                raise


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
