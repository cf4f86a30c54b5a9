"""The embedded servers: rights, ownership, and what kill -9 leaves behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from demo.embedded import Servers, start
from demo.processes import is_alive

ROOT = Path(__file__).resolve().parents[2]
# An owner that does nothing but hold its servers.
HOLD = "import sys, time; from pathlib import Path; from demo.embedded import start; \
start(Path(sys.argv[1]), durable=False); print('up', flush=True); time.sleep(600)"


@pytest.fixture
def servers(home: Path) -> Iterator[Servers]:
    servers = start(home, durable=False)
    yield servers
    servers.stop()


def _connect(url: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(url.replace("+psycopg", ""), autocommit=True)


def _answer(servers: Servers) -> bool:
    with _connect(servers.database_url) as connection, redis.Redis.from_url(servers.redis_url) as client:
        return connection.execute("SELECT 1").fetchone() == (1,) and bool(client.ping())


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    while is_alive(pid):
        time.sleep(0.02)


def test_the_application_has_rows_and_the_owner_has_tables(servers: Servers) -> None:
    with _connect(servers.database_owner_url) as owner, _connect(servers.database_url) as application:
        for extension in ("pg_trgm", "unaccent", "btree_gin"):
            owner.execute(f"CREATE EXTENSION {extension}")
        owner.execute("CREATE TABLE things (id serial PRIMARY KEY, name text)")
        application.execute("INSERT INTO things (name) VALUES ('Éléonore')")
        application.execute("CREATE TEMPORARY TABLE incoming (LIKE things)")
        assert application.execute("SELECT lower(name), unaccent(name) FROM things").fetchone() == (
            "éléonore",
            "Eleonore",
        )
        for forbidden in ("CREATE TABLE mine ()", "DROP TABLE things", "TRUNCATE things"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                application.execute(forbidden)


def test_a_searched_text_is_known_to_the_planner(servers: Servers) -> None:
    with _connect(servers.database_url) as application:
        assert application.execute("SHOW plan_cache_mode").fetchone() == ("force_custom_plan",)


def test_a_second_start_finds_the_same_servers(home: Path, servers: Servers) -> None:
    assert start(home, durable=False).pids == servers.pids


def test_data_survive_a_stop(home: Path, servers: Servers) -> None:
    with _connect(servers.database_owner_url) as owner:
        owner.execute("CREATE TABLE kept ()")
    servers.stop()
    again = start(home, durable=False)
    with _connect(again.database_owner_url) as owner:
        owner.execute("DROP TABLE kept")
    again.stop()


def test_killed_servers_start_again(home: Path, servers: Servers) -> None:
    for pid in servers.pids.values():
        _kill(pid)
    again = start(home, durable=False)
    assert _answer(again)
    assert not set(again.pids.values()) & set(servers.pids.values())
    again.stop()


def test_a_guest_leaves_the_servers_running_until_their_owner_is_killed(home: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, home], cwd=ROOT, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        owner.stdout.readline()
        guest = start(home, durable=False)
        guest.stop()
        assert _answer(guest)
        owner.kill()
    heir = start(home, durable=False)
    assert _answer(heir)
    heir.stop()
    assert not any(is_alive(pid) for pid in heir.pids.values())


def test_a_pid_file_that_names_another_program_is_no_obstacle(home: Path, servers: Servers) -> None:
    servers.stop()
    with subprocess.Popen(["sleep", "60"]) as other:
        lines = [str(other.pid), str(home / "postgres"), "1", "5432", "", "127.0.0.1", "1 2", "ready"]
        (home / "postgres" / "postmaster.pid").write_text("\n".join(lines))
        again = start(home, durable=False)
        assert _answer(again)
        assert other.poll() is None
        other.kill()
    again.stop()


def test_an_initdb_that_was_cut_short_is_done_again(home: Path) -> None:
    (home / "postgres.new").mkdir(parents=True)
    (home / "postgres.new" / "PG_VERSION").write_text("18")
    servers = start(home, durable=False)
    assert _answer(servers)
    servers.stop()


def test_two_homes_run_side_by_side(shared_home: Path, servers: Servers) -> None:
    neighbour = start(shared_home, durable=False)
    assert _answer(neighbour)
    assert _answer(servers)
    neighbour.stop()
    assert _answer(servers)


def test_a_command_gets_servers_of_its_own_that_end_with_it(home: Path) -> None:
    script = "import os; assert 'DATABASE_URL' not in os.environ; print(os.environ['CRM_TEST_DATABASE_URL'])"
    command = [sys.executable, "-m", "demo.embedded", "tests", "--", sys.executable, "-c", script]
    environment = os.environ | {"CRM_HOME": str(home), "DATABASE_URL": "postgresql://somebody-elses"}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    with pytest.raises(psycopg.OperationalError):
        _connect(run.stdout.strip())


def test_the_exit_code_of_the_command_is_passed_on(home: Path) -> None:
    command = [sys.executable, "-m", "demo.embedded", "tests", "--", "sh", "-c", "exit 7"]
    run = subprocess.run(command, cwd=ROOT, env=os.environ | {"CRM_HOME": str(home)}, check=False)
    assert run.returncode == 7
