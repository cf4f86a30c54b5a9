"""CRM_HOME: ports and secrets chosen once, files replaced at once, locks that die with their holder."""

import base64
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.home import (
    PORTS,
    PortTakenError,
    exclusively,
    is_free,
    port_of,
    read_json,
    secrets_of,
    write_json,
)
from webapp.crypto import Keyring


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server


def _take(home: Path, server: str, listener: socket.socket) -> int:
    port: int = listener.getsockname()[1]
    write_json(home / "ports.json", {server: port})
    return port


def test_a_port_is_chosen_once(home: Path) -> None:
    port = port_of(home, "postgres", may_move=True)
    assert port in PORTS
    assert port_of(home, "postgres", may_move=True) == port


def test_servers_of_a_home_never_share_a_port(home: Path) -> None:
    names = [f"server-{number}" for number in range(30)]
    assert len({port_of(home, name, may_move=True) for name in names}) == 30


def test_a_server_that_may_move_leaves_a_taken_port(home: Path, listener: socket.socket) -> None:
    taken = _take(home, "postgres", listener)
    assert port_of(home, "postgres", may_move=True) != taken


def test_a_server_that_may_not_move_says_which_port_is_taken(home: Path, listener: socket.socket) -> None:
    taken = _take(home, "identity", listener)
    with pytest.raises(PortTakenError, match=str(taken)):
        port_of(home, "identity", may_move=False)


def test_a_listening_port_is_not_free(listener: socket.socket) -> None:
    assert not is_free(listener.getsockname()[1])


def test_secrets_are_made_once_and_readable_by_their_owner_only(home: Path) -> None:
    made = secrets_of(home)
    assert secrets_of(home) == made
    assert len(set(made.values())) == len(made)
    assert (home / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_a_secret_that_came_later_is_added_and_the_others_kept(home: Path) -> None:
    made = secrets_of(home)
    write_json(home / "secrets.json", {"SECRET_KEY": made["SECRET_KEY"]})
    assert secrets_of(home)["SECRET_KEY"] == made["SECRET_KEY"]
    assert secrets_of(home).keys() == made.keys()


def test_data_keys_are_what_the_application_reads(home: Path) -> None:
    keys = secrets_of(home)["CRM_DATA_KEYS"]
    Keyring.parse(keys)
    assert len(base64.urlsafe_b64decode(keys.partition(":")[2])) == 32


def test_a_missing_file_reads_as_nothing_and_a_written_one_leaves_no_other(home: Path) -> None:
    assert read_json(home / "none.json") == {}
    write_json(home / "some.json", {"name": "Prêt"})
    assert read_json(home / "some.json") == {"name": "Prêt"}
    assert [path.name for path in home.iterdir()] == ["some.json"]


def test_a_lock_is_held_by_one_at_a_time(home: Path) -> None:
    with exclusively(home / "lock"), pytest.raises(BlockingIOError), exclusively(home / "lock", wait=False):
        pass
    with exclusively(home / "lock", wait=False):
        pass
