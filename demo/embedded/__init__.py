"""A real PostgreSQL and a real Redis out of Python wheels, for development, tests and benchmarks.

`start(home)` brings both up below a home, or finds those that already run there. They listen on loopback TCP only
(no sockets, so no stale ones and no path too long for one), behind passwords. Whoever started a server owns it: a
second caller is a guest, whose `stop()` leaves it alone. A server whose owner was killed goes to the next caller.

`python -m demo.embedded tests|bench|migrations -- COMMAND…` runs a command against servers of its own.
"""

from dataclasses import dataclass
from pathlib import Path

from demo.embedded.postgres import database_url, start_postgres
from demo.embedded.redis import redis_url, start_redis
from demo.embedded.server import Server, ServerError
from demo.home import open_home

__all__ = ["Server", "ServerError", "Servers", "database_url", "redis_url", "start", "start_postgres", "start_redis"]


@dataclass(frozen=True)
class Servers:
    """Both servers of a home, with the addresses under which they are used."""

    home: Path
    postgres: Server
    redis: Server

    @property
    def database_url(self) -> str:
        """For the application: rows, not tables."""
        return database_url(self.home, self.postgres, "crm_app")

    @property
    def database_owner_url(self) -> str:
        """For migrations."""
        return database_url(self.home, self.postgres, "crm_owner")

    @property
    def database_admin_url(self) -> str:
        """A superuser's, for creating and dropping databases."""
        return database_url(self.home, self.postgres, "postgres", "postgres")

    @property
    def redis_url(self) -> str:
        return redis_url(self.home, self.redis)

    @property
    def pids(self) -> dict[str, int]:
        return {"postgres": self.postgres.pid, "redis": self.redis.pid}

    def stop(self) -> None:
        """End those of the two that we own."""
        self.redis.stop()
        self.postgres.stop()


def start(home: Path, *, durable: bool = True) -> Servers:
    """Bring both servers of a home up, or find them running. Raises ServerError.

    Not `durable`: quicker, and lost with the machine's power; for tests.
    """
    home = open_home(home)
    return Servers(home, start_postgres(home, durable=durable), start_redis(home, durable=durable))
