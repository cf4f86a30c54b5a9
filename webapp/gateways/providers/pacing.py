"""The pace of calls to an account: so many a second, shared by all workers through Redis.

Each call takes the next free turn; turns are spaced evenly, after a burst of at most a tenth of a second's worth.
Where Redis cannot be asked, each process keeps the pace for itself.
"""

import threading
import time
from typing import Any

import structlog
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

log = structlog.get_logger()

BURST_SECONDS = 0.1
"""How far behind the clock the next turn may lag: what idle time may be made up for."""
REDIS_PATIENCE = 1.0
"""Seconds. A call that waited longer for its turn might come after its lease."""

# One clock for all: Redis's own. Answers how many microseconds to wait for the turn that was taken.
_SCRIPT = """
local now = redis.call('TIME')
local at = now[1] * 1000000 + now[2]
local turn = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), at - tonumber(ARGV[2]))
redis.call('SET', KEYS[1], string.format('%.0f', turn + tonumber(ARGV[1])), 'PX', 60000)
return math.max(0, turn - at)
"""

_take: Any = None
_lock = threading.Lock()
_turns: dict[str, float] = {}


def use(redis_url: str) -> None:
    """Set the process's Redis, once, at start-up. It is asked once a turn: by default, the client tries for seconds."""
    global _take
    once = Retry(NoBackoff(), 0)
    redis = Redis.from_url(redis_url, socket_timeout=REDIS_PATIENCE, socket_connect_timeout=REDIS_PATIENCE, retry=once)
    _take = redis.register_script(_SCRIPT)


def take_turn(account: str, *, per_second: int) -> None:
    """Wait until the account may be called again."""
    wait = _wait_shared(account, per_second)
    if wait > 0:
        time.sleep(wait)


def _wait_shared(account: str, per_second: int) -> float:
    if _take is None:
        return _wait_alone(account, per_second)
    spacing, burst = int(1_000_000 / per_second), int(BURST_SECONDS * 1_000_000)
    try:
        return float(_take(keys=[f"pace:{account}"], args=[spacing, burst])) / 1_000_000
    except RedisError:
        log.warning("pace_without_redis")
        return _wait_alone(account, per_second)


def _wait_alone(account: str, per_second: int) -> float:
    with _lock:
        now = time.monotonic()
        turn = max(_turns.get(account, 0.0), now - BURST_SECONDS)
        _turns[account] = turn + 1 / per_second
        return max(0.0, turn - now)
