"""The bell: enqueueing by dotted name, with ids only, after commit. PostgreSQL keeps what must happen.

Jobs are named, never imported, so that services and jobs do not import each other in a circle; a test
resolves every name that the code mentions.
"""

import time
from collections.abc import Callable
from functools import partial

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry
from rq import Queue
from rq.serializers import JSONSerializer

from webapp.transactions import after_commit

# One queue per worker process: a worker on several queues loses the job if it dies while popping.
# The timeout in seconds ends a job that hangs; its row is then found by the sweeper.
QUEUES = {
    "sync": 3 * 60 * 60,
    "operations": 3 * 60 * 60,
    "outbox": 10 * 60,
    "payments": 10 * 60,
    "charges": 3 * 60 * 60,
    "messages": 10 * 60,
    "fulfilment": 60 * 60,
    "webhooks": 10 * 60,
}

SERIALIZER = JSONSerializer
"""Pickle would be code execution for whoever can write to Redis."""

LONGEST_SILENCE = 60
"""Seconds after which a bell that was rung once and never heard may be rung again."""

PATIENCE = 2
"""Seconds that Redis may take for a bell: somebody waits for the answer of the request that rings."""
PAUSE = 5
"""Seconds without any bell after one that took so long, or each request would wait anew. Sweepers make up for it."""

_redis: Redis | None = None
_paused_until = 0.0


def use(redis_url: str) -> None:
    """Set the process's Redis, once, at start-up. A Redis object connects at its first command only."""
    global _redis, _paused_until
    _redis = connect(redis_url, patience=PATIENCE)
    _paused_until = 0.0


def connect(redis_url: str, *, patience: float) -> Redis:
    """A Redis that waits once: a connection that broke is tried anew, one that does not answer is not."""
    once = Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,))
    return Redis.from_url(redis_url, socket_timeout=patience, socket_connect_timeout=patience, retry=once)


def queue(name: str) -> Queue:
    """The queue called ``name``, speaking JSON."""
    return Queue(name, connection=_connection(), serializer=SERIALIZER, default_timeout=QUEUES[name])


def _connection() -> Redis:
    if _redis is None:
        raise RuntimeError("Redis is not set: create_app() sets it")
    return _redis


def enqueue_after_commit(job: str, *ids: object, on: str) -> None:
    """Ring for ``job`` (``jobs.<module>.<function>``) on queue ``on`` once the transaction has committed."""
    _ring_after_commit(partial(_enqueue, job, on, [str(value) for value in ids]))


def _enqueue(job: str, on: str, ids: list[str]) -> None:
    # Results and failures live in PostgreSQL; Redis need not remember them for long.
    queue(on).enqueue(job, *ids, result_ttl=0, failure_ttl=24 * 60 * 60)


def enqueue_once_after_commit(job: str, *ids: object, on: str) -> None:
    """Ring as ``enqueue_after_commit`` does, unless the same bell rings already.

    For jobs that do whatever there is to do, and say ``heard`` before they look: a thousand changes ring once.
    """
    _ring_after_commit(partial(_enqueue_once, job, on, [str(value) for value in ids]))


def _ring_after_commit(ring: Callable[[], object]) -> None:
    after_commit(partial(_ring, ring))


def _ring(ring: Callable[[], object]) -> None:
    global _paused_until
    if time.monotonic() < _paused_until:
        return
    try:
        ring()
    except RedisTimeoutError:
        _paused_until = time.monotonic() + PAUSE
        raise


def heard(job: str, *ids: object) -> None:
    """The job is about to look: what happens from now on rings again."""
    _connection().delete(_bell(job, [str(value) for value in ids]))


def _enqueue_once(job: str, on: str, ids: list[str]) -> None:
    if _connection().set(_bell(job, ids), 1, nx=True, ex=LONGEST_SILENCE):
        _enqueue(job, on, ids)


def _bell(job: str, ids: list[str]) -> str:
    return ":".join(["bell", job, *ids])
